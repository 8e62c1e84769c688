/**
 * Lines that a player would call the same, found without comparing each with each: lines are grouped by their rarest
 * words, and only neighbours in a group are compared.
 */

export interface Named {
  readonly id: string;
  readonly text: string;
}

export interface NearDuplicate {
  readonly first: string;
  readonly second: string;
  /** Shared words over all words (Jaccard), 0..1. */
  readonly overlap: number;
}

export const OVERLAP_MIN = 0.8;
/** A group larger than this is of a common word; its pairs meet in the groups of their rarer words. */
const GROUP_MAX = 60;
/** Words looked at per line: with an overlap of 0.8 two lines share one of their rarest few. */
const RARE_WORDS = 4;

/** Pairs whose words overlap by OVERLAP_MIN or more. Short lines (under four words) count only when they are equal. */
export function findNearDuplicates(lines: readonly Named[]): readonly NearDuplicate[] {
  const bags = lines.map((line) => new Set(wordsOf(line.text)));
  const frequency = new Map<string, number>();
  for (const bag of bags) for (const word of bag) frequency.set(word, (frequency.get(word) ?? 0) + 1);
  const groups = new Map<string, number[]>();
  const put = (key: string, index: number) => {
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [index]);
    else group.push(index);
  };
  for (const [index, bag] of bags.entries()) {
    put(`=${wordsOf(lines[index]?.text ?? '').join(' ')}`, index);
    const rare = [...bag].sort(
      (a, b) => (frequency.get(a) ?? 0) - (frequency.get(b) ?? 0) || (a < b ? -1 : 1),
    );
    if (bag.size >= 4) for (const word of rare.slice(0, RARE_WORDS)) put(word, index);
  }
  const found = new Map<string, NearDuplicate>();
  for (const [key, group] of groups) {
    if (group.length > GROUP_MAX && !key.startsWith('=')) continue;
    // Equal lines form a chain: each with its first.
    const pairs = key.startsWith('=')
      ? group.slice(1).map((index): readonly [number, number] => [group[0] ?? 0, index])
      : group.flatMap((a, at) => group.slice(at + 1).map((b): readonly [number, number] => [a, b]));
    for (const [a, b] of pairs) {
      const overlap = jaccard(bags[a] ?? new Set(), bags[b] ?? new Set());
      const [first, second] = [lines[a]?.id ?? '', lines[b]?.id ?? ''];
      if (overlap >= OVERLAP_MIN && first !== second)
        found.set(`${first}|${second}`, { first, second, overlap });
    }
  }
  return [...found.values()];
}

/** Words without case, marks and apostrophes. */
export function wordsOf(text: string): readonly string[] {
  return (
    text
      .toLowerCase()
      .replace(/['’]/g, '')
      .match(/[\p{L}\p{N}]+/gu) ?? []
  );
}

function jaccard(a: ReadonlySet<string>, b: ReadonlySet<string>): number {
  let shared = 0;
  for (const word of a) if (b.has(word)) shared += 1;
  return shared / (a.size + b.size - shared || 1);
}
