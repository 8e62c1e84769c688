/**
 * Tokens to text that may be shown. Two things are held back: bytes of a character that is not whole, and text that
 * may turn out to be the beginning of a stop string. What was given out is never taken back.
 */

/** Longest UTF-8 character in byte tokens; after so many a U+FFFD is the model's own. */
const HELD_TOKENS_MAX = 8;
/** Earlier tokens shown to the detokeniser, for vocabularies that write a word's leading space on its neighbour. */
const CONTEXT_TOKENS = 4;

/**
 * Incremental detokeniser (the method of vLLM's `detokenize_incrementally`): the difference between the text with and
 * without the new tokens, held while it ends inside a character.
 */
export class TokenText {
  readonly #detokenize: (tokens: readonly number[]) => string;
  #window: number[];
  #shownTokens: number;
  #shownText: string;

  constructor(detokenize: (tokens: readonly number[]) => string, prompt: readonly number[]) {
    this.#detokenize = detokenize;
    this.#window = prompt.slice(-CONTEXT_TOKENS);
    this.#shownTokens = this.#window.length;
    this.#shownText = detokenize(this.#window);
  }

  /** The text that `token` completes; '' while a character is not whole. */
  push(token: number): string {
    this.#window.push(token);
    return this.#take(this.#window.length - this.#shownTokens >= HELD_TOKENS_MAX);
  }

  /** What is still held, at the end: an unfinished character is dropped. */
  flush(): string {
    return this.#take(true).replace(/\uFFFD+$/, '');
  }

  #take(force: boolean): string {
    if (this.#shownTokens === this.#window.length) return '';
    const text = this.#detokenize(this.#window);
    if (text.endsWith('\uFFFD') && !force) return '';
    const fresh = text.slice(this.#shownText.length);
    this.#window = this.#window.slice(-CONTEXT_TOKENS);
    this.#shownTokens = this.#window.length;
    this.#shownText = this.#detokenize(this.#window);
    return fresh;
  }
}

/** Cuts at the first stop string; a part of one is never given out. */
export class StopStrings {
  readonly #stops: readonly string[];
  readonly #includes: boolean;
  #held = '';
  /** The stop string that was met, or null. */
  matched: string | null = null;

  constructor(stops: readonly string[], options: { includeInOutput: boolean }) {
    this.#stops = stops;
    this.#includes = options.includeInOutput;
  }

  /** What of `text` and of what was held may be shown now. After a match: nothing more. */
  push(text: string): string {
    if (this.matched !== null) return '';
    if (this.#stops.length === 0) return text;
    const whole = this.#held + text;
    let at = -1;
    for (const stop of this.#stops) {
      const found = whole.indexOf(stop);
      if (found >= 0 && (at < 0 || found < at)) {
        at = found;
        this.matched = stop;
      }
    }
    if (this.matched !== null) {
      this.#held = '';
      return whole.slice(0, at + (this.#includes ? this.matched.length : 0));
    }
    const keep = this.#stops.reduce((most, stop) => Math.max(most, overlap(whole, stop)), 0);
    this.#held = whole.slice(whole.length - keep);
    return whole.slice(0, whole.length - keep);
  }

  /** At the end without a match, what was held is text after all. */
  flush(): string {
    const held = this.#held;
    this.#held = '';
    return held;
  }
}

const END_MARK = /[.!?…]["'”’»)\]]*\s+\S|[。！？]["”』」）]*\S|\n/g;
/** A sentence of fewer words is heard together with its neighbour (npc-domain.md §4); these scripts have no spaces. */
const WORDS_MIN = 3;
const WITHOUT_SPACES = /[\u3040-\u30ff\u3400-\u9fff]/;

/**
 * Whether a text has its first sentence whole, for the order of work alone: "Mr. Hale" may end one too early. What ends it is
 * the first character behind it, which is what lets the gateway send it.
 */
export class SentenceMark {
  #text = '';
  hasEnded = false;

  push(piece: string): void {
    if (this.hasEnded) return;
    this.#text += piece;
    for (const match of this.#text.matchAll(END_MARK)) {
      const said = this.#text.slice(0, match.index);
      if (WITHOUT_SPACES.test(said) || said.split(/\s+/).filter(Boolean).length >= WORDS_MIN) {
        this.hasEnded = true;
        this.#text = '';
        return;
      }
    }
  }
}

/** How many characters at the end of `text` begin `stop`. */
function overlap(text: string, stop: string): number {
  for (let length = Math.min(text.length, stop.length - 1); length > 0; length--)
    if (text.endsWith(stop.slice(0, length))) return length;
  return 0;
}
