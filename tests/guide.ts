/**
 * A guide as a program. Fenced blocks whose info string has a second word are acted on, in their order:
 *
 *   bash run        the lines are run as they stand; they must end with exit code 0
 *   bash start      the service of that command is started and waited for; it serves the blocks behind it
 *   json file=PATH  the block is written to PATH (any language)
 *   json like       the output before it has at least these keys, with values of the same JSON type
 *   text like       each line is found in the output before it, in this order; … stands for anything
 *
 * Blocks without a second word are for reading only.
 */

export type GuideStep =
  | { readonly kind: 'run' | 'start'; readonly command: string; readonly line: number }
  | { readonly kind: 'file'; readonly path: string; readonly content: string; readonly line: number }
  | {
      readonly kind: 'like';
      readonly format: 'json' | 'text';
      readonly content: string;
      readonly line: number;
    };

/** The steps of a guide. Throws on an info string that means nothing, so that a typing mistake is not a skipped step. */
export function guideSteps(markdown: string): readonly GuideStep[] {
  const steps: GuideStep[] = [];
  for (const match of markdown.matchAll(/^```(\w+)[ \t]+(\S.*?)[ \t]*\n([\s\S]*?)^```$/gm)) {
    const [, language = '', verb = '', content = ''] = match;
    const line = markdown.slice(0, match.index).split('\n').length;
    const file = /^file=(\S+)$/.exec(verb)?.[1];
    if (file !== undefined) steps.push({ kind: 'file', path: file, content, line });
    else if (language === 'bash' && (verb === 'run' || verb === 'start'))
      steps.push({ kind: verb, command: content.trim(), line });
    else if (verb === 'like' && (language === 'json' || language === 'text'))
      steps.push({ kind: 'like', format: language, content, line });
    else throw new Error(`line ${line}: "${language} ${verb}" is no kind of block`);
  }
  return steps;
}

/** What of `shown` the value `found` lacks, as paths; empty when it is like it. Lists need only be lists. */
export function unlike(shown: unknown, found: unknown, at = '$'): string[] {
  const kind = (value: unknown) => (value === null ? 'null' : Array.isArray(value) ? 'list' : typeof value);
  if (kind(shown) !== kind(found)) return [`${at} is ${kind(found)}, the guide shows ${kind(shown)}`];
  if (kind(shown) !== 'object') return [];
  const other = found as Record<string, unknown>;
  return Object.entries(shown as Record<string, unknown>).flatMap(([key, value]) =>
    key in other ? unlike(value, other[key], `${at}.${key}`) : [`${at}.${key} is missing`],
  );
}

/** The first line of `shown` that `output` does not have after the lines before it; null when it has all. */
export function missingLine(shown: string, output: string): string | null {
  const rest = output.split('\n');
  for (const wanted of shown.split('\n').filter((line) => line.trim() !== '')) {
    const parts = wanted
      .trim()
      .split('…')
      .map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
    const pattern = new RegExp(parts.join('.*'));
    const found = rest.findIndex((line) => pattern.test(line));
    if (found === -1) return wanted;
    rest.splice(0, found + 1);
  }
  return null;
}
