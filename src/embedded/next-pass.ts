/**
 * Who is in the next pass. A player hears nothing until the first sentence is whole, and afterwards speech needs 3.5 tokens a
 * second (npc-domain.md §10): while anybody waits for a first sentence, the tails of others rest between tokens; not while
 * every sequence is taken, because a tail that rests keeps its sequence longer (with four sequences at the edge of what they
 * can serve, the mean first sentence came after 1,336 ms instead of 739, on the clock of scheduler.test.ts). Pure.
 *
 * Bounds: a tail whose last token is TAIL_GAP_MS old is in the next pass of its adapter, so it has about
 * TAIL_TOKENS_PER_SECOND, or one token in two or three passes where passes are longer than that; with nobody waiting nothing
 * rests. A prompt that was passed over OVERTAKES_MAX times is next.
 */

/** What is asked of a line; line.ts has the rest. */
export interface PassLine {
  readonly request: { readonly priority: number };
  /** null while in prefill. */
  readonly next: number | null;
  readonly hasSaidSentence: boolean;
  readonly lastTokenMs: number;
  readonly hasEnded: boolean;
  /** How often a prompt that came later went before it. */
  overtaken: number;
}

/** What a tail has at least: near twice what speech takes. */
export const TAIL_TOKENS_PER_SECOND = 6;
export const OVERTAKES_MAX = 8;
/** Prompts that differ by less than this go by their age. */
const PREFILL_CLASS_TOKENS = 32;

/**
 * How long a tail may rest after a token (ms): the pass that it is then in, and the one before, take time themselves.
 */
export function tailRestMs(stepTargetMs: number): number {
  return Math.max(0, 1_000 / TAIL_TOKENS_PER_SECOND - stepTargetMs);
}

function isTail(line: PassLine): boolean {
  return line.next !== null && line.hasSaidSentence;
}

/** The lines that have a claim on the next pass; at least one, unless all have ended. */
export function wakeful<L extends PassLine>(
  lines: readonly L[],
  nowMs: number,
  restMs: number,
): readonly L[] {
  const isPressed = lines.some((line) => !line.hasEnded && !isTail(line));
  if (!isPressed) return lines;
  return lines.filter((line) => !isTail(line) || nowMs - line.lastTokenMs >= restMs);
}

/**
 * The lines of one pass of decoding, out of those of its adapter: those that wait for a first sentence, and with the first
 * tail that is due all others, because one pass for all of them costs less than one for each.
 */
export function decodingNow<L extends PassLine>(awake: readonly L[], all: readonly L[]): readonly L[] {
  const decoding = awake.filter((line) => line.next !== null);
  return decoding.some(isTail) ? all.filter((line) => line.next !== null) : decoding;
}

/** Prefill left, in classes, so that a few tokens are no reason to change the order of arrival. */
export function prefillClass(tokens: number): number {
  return Math.ceil(tokens / PREFILL_CLASS_TOKENS);
}

/** Prompts in the order they are served, given oldest first: by priority, then the shortest, then the oldest. */
export function promptOrder<L extends PassLine>(
  prompts: readonly L[],
  remaining: (line: L) => number,
): readonly L[] {
  if (prompts.length < 2) return prompts;
  const ranked = prompts.map((line) => ({
    line,
    isDue: line.overtaken >= OVERTAKES_MAX,
    size: prefillClass(remaining(line)),
  }));
  ranked.sort((a, b) => {
    if (a.isDue !== b.isDue) return a.isDue ? -1 : 1;
    if (a.isDue) return 0;
    return a.line.request.priority - b.line.request.priority || a.size - b.size;
  });
  return ranked.map(({ line }) => line);
}

/**
 * Counts for each prompt that had nothing of a pass whether a younger one had, and begins anew with those that had. `prompts`
 * are oldest first; a willing one waits for what another is about to share.
 */
export function countOvertaken<L extends PassLine>(
  prompts: readonly L[],
  isServed: (line: L) => boolean,
  isWilling: (line: L) => boolean,
): void {
  let hasYoungerServed = false;
  for (const line of prompts.toReversed()) {
    if (isServed(line)) {
      hasYoungerServed = true;
      line.overtaken = 0;
    } else if (hasYoungerServed && !isWilling(line)) line.overtaken += 1;
  }
}
