/**
 * Cuts a stream of text into sentences, the unit of everything spoken (npc-domain §4 "Sentence cutting").
 *
 * Invariants: the sentences depend on the text alone, never on how it was chunked; no visible character is lost; none is
 * longer than `maxChars`; no surrogate pair is split.
 *
 * Latency: a sentence leaves when the first visible character behind it arrives (or at a line end, or at `flush`), not at
 * its mark, because only then "3.14", "Mr. Hale", `no."` and "Wait... what" can be told from an end. Word-piece tokens
 * bring the space and the next letter together, so the wait is one token. A quote that opens at the beginning of a
 * sentence does not hold ends back: small models wrap whole replies in quotes, and the first sentence must not wait for
 * the last. A short piece joins the one behind it, never the one before, which has been spoken by then.
 */
import { countWords } from '../lib/text/words.ts';
import { CLOSERS, END_MARKS, endsSentence, endsWithoutSpace, hasEndMark } from './sentence-end.ts';

export interface SentenceOptions {
  /** A sentence is cut by force before it grows beyond this many UTF-16 units. */
  readonly maxChars?: number;
  /** Pieces with fewer words join the piece behind them, so that "No." is not a sound of its own. */
  readonly minWords?: number;
}

export interface FlushedSentence {
  /** What was left, or null. */
  readonly sentence: string | null;
  /** Whether it closes with an end mark. */
  readonly complete: boolean;
  /** When it does not: the whole sentence it begins with, if there is one ("No." of "No. Not ton"). */
  readonly wholePart: string | null;
}

interface OpenMark {
  readonly family: string;
  /** Whether sentence ends inside it do not count. */
  readonly isBlocking: boolean;
}

const OPENERS: Readonly<Record<string, string>> = {
  '(': ')',
  '[': ']',
  '{': '}',
  '（': ')',
  '【': ']',
  '«': '»',
  '「': '」',
  '『': '』',
  '《': '》',
  '“': '"',
  '„': '"',
};
const CLOSING: Readonly<Record<string, string>> = {
  ')': ')',
  ']': ']',
  '}': '}',
  '）': ')',
  '】': ']',
  '»': '»',
  '」': '」',
  '』': '』',
  '》': '》',
  '”': '"',
  '“': '"',
};
const BRACKETS = ')]}';
const JOINER = '\u200d';
const OPEN_MARKS_MAX = 8;
const BREAKS = ',;:–';
const UNSPACED_BREAKS = '—，、；：';

export class SentenceCutter {
  readonly #maxChars: number;
  readonly #minWords: number;
  /** The text of the sentence under way; never begins with a space. */
  #buffer = '';
  #at = 0;
  /** End of a piece that was whole but too short to leave alone. */
  #heldEnd = 0;
  /** End of the last end mark with its closers, while it is not known whether it ends the sentence. */
  #candidate = -1;
  #open: OpenMark[] = [];
  /** Up to where stars have been settled; a unit may be looked at twice. */
  #starsSettledAt = 0;

  constructor(options: SentenceOptions = {}) {
    this.#maxChars = options.maxChars ?? 200;
    this.#minWords = options.minWords ?? 3;
  }

  /** Takes the next text; gives the sentences that it completes, trimmed. */
  push(text: string): string[] {
    const sentences: string[] = [];
    this.#buffer += text;
    while (this.#at < this.#buffer.length) this.#step(sentences);
    return sentences;
  }

  /** Gives what is left and begins anew. */
  flush(): FlushedSentence {
    const sentence = this.#buffer.trimEnd();
    const complete = hasEndMark(sentence);
    const whole = complete ? '' : this.#buffer.slice(0, this.#heldEnd).trimEnd();
    this.#startOver('');
    return { sentence: sentence === '' ? null : sentence, complete, wholePart: whole === '' ? null : whole };
  }

  #step(sentences: string[]): void {
    const at = this.#at;
    const unit = this.#buffer.charAt(at);
    this.#settleStars(unit);
    if (isSpace(unit)) this.#space(unit, sentences);
    else if (this.#candidate !== -1 && !this.#extendsCandidate(unit)) this.#judge(unit, sentences);
    else if (at >= this.#maxChars) this.#cutByForce(sentences);
    else this.#visible(unit);
  }

  #space(unit: string, sentences: string[]): void {
    const at = this.#at;
    if (at === 0 || isSpace(this.#buffer.charAt(at - 1))) {
      if (at === 0 || !isLineEnd(unit)) {
        let end = at + 1;
        while (
          end < this.#buffer.length &&
          isSpace(this.#buffer.charAt(end)) &&
          !isLineEnd(this.#buffer.charAt(end))
        )
          end += 1;
        this.#buffer = this.#buffer.slice(0, at) + this.#buffer.slice(end);
        return;
      }
      // Space before a line end says nothing; without this a stream of blank lines would grow the buffer.
      this.#buffer = this.#buffer.slice(0, at - 1) + this.#buffer.slice(at);
      this.#at = at - 1;
    }
    if (isLineEnd(unit)) {
      this.#open = [];
      this.#candidate = -1;
      if (this.#endPiece(this.#at, this.#at + 1, sentences)) return;
    }
    this.#at += 1;
  }

  /** Whether `unit` belongs to the end mark before it: "?!", `."`, ". . ." */
  #extendsCandidate(unit: string): boolean {
    if (this.#candidate === this.#at && unit !== '“')
      return END_MARKS.includes(unit) || CLOSERS.includes(unit);
    if (unit === '.' && this.#buffer.charAt(this.#candidate - 1) === '.') return true;
    // “ closes in German and opens in English, where a space stands before it.
    if (unit === '“' && this.#candidate !== this.#at) return false;
    const family = CLOSING[unit];
    return family !== undefined && this.#open.some((mark) => mark.family === family);
  }

  #judge(unit: string, sentences: string[]): void {
    const end = this.#candidate;
    this.#candidate = -1;
    if (this.#open.some((mark) => mark.isBlocking)) return;
    const isEnd =
      end === this.#at ? endsWithoutSpace(this.#buffer, end, unit) : endsSentence(this.#buffer, end, unit);
    if (isEnd) this.#endPiece(end, this.#at, sentences);
  }

  /** A piece ends at `end`; it leaves, or waits for the next when it is short. Says whether it left. */
  #endPiece(end: number, next: number, sentences: string[]): boolean {
    const piece = this.#buffer.slice(0, end).trimEnd();
    if (countWords(piece) < this.#minWords) {
      this.#heldEnd = end;
      return false;
    }
    sentences.push(piece);
    const open = this.#open;
    this.#startOver(this.#buffer.slice(next));
    this.#open = open;
    return true;
  }

  #startOver(rest: string): void {
    this.#buffer = rest;
    this.#at = 0;
    this.#heldEnd = 0;
    this.#candidate = -1;
    this.#starsSettledAt = 0;
    this.#open = [];
  }

  /** Cuts at the last comma, else the last space, else between two characters. What is left is read again. */
  #cutByForce(sentences: string[]): void {
    const limit = this.#maxChars;
    let cut = limit;
    const isBreak = (index: number) =>
      (BREAKS.includes(this.#buffer.charAt(index)) && isSpace(this.#buffer.charAt(index + 1))) ||
      UNSPACED_BREAKS.includes(this.#buffer.charAt(index));
    for (cut = limit - 1; cut > limit / 3 && !isBreak(cut); ) cut -= 1;
    if (cut > limit / 3) {
      cut += 1;
    } else {
      for (cut = limit; cut > 0 && !isSpace(this.#buffer.charAt(cut)); ) cut -= 1;
      if (cut === 0) cut = characterBoundary(this.#buffer, limit);
    }
    sentences.push(this.#buffer.slice(0, cut).trimEnd());
    this.#startOver(this.#buffer.slice(cut));
  }

  #visible(unit: string): void {
    this.#at += 1;
    if (this.#candidate !== -1 || END_MARKS.includes(unit)) this.#candidate = this.#at;
    if (unit === '"') {
      if (!this.#close('"') && this.#mayOpen(this.#at - 1)) this.#push('"');
      return;
    }
    const closing = CLOSING[unit];
    if (closing !== undefined && this.#close(closing)) return;
    const opening = OPENERS[unit];
    if (opening !== undefined && (!BRACKETS.includes(opening) || this.#mayOpen(this.#at - 1)))
      this.#push(opening);
  }

  /** `*He turns. He looks.*` is one stage direction; a run of stars opens or closes it once what follows is known. */
  #settleStars(next: string): void {
    let start = this.#at;
    if (next === '*' || this.#starsSettledAt === start) return;
    this.#starsSettledAt = start;
    while (start > 0 && this.#buffer.charAt(start - 1) === '*') start -= 1;
    if (start === this.#at || this.#close('*') || isSpace(next)) return;
    if (this.#mayOpen(start) || END_MARKS.includes(this.#buffer.charAt(start - 1))) this.#push('*');
  }

  #push(family: string): void {
    if (this.#open.length === OPEN_MARKS_MAX) return;
    const isQuote = !BRACKETS.includes(family) && family !== '*';
    this.#open.push({ family, isBlocking: !(isQuote && this.#isSentenceStart(this.#at - 1)) });
  }

  #close(family: string): boolean {
    const index = this.#open.findLastIndex((mark) => mark.family === family);
    if (index !== -1) this.#open.length = index;
    return index !== -1;
  }

  /** Whether a mark at `index` can open something: not the inch of 6", not the mouth of ":(". */
  #mayOpen(index: number): boolean {
    const before = this.#buffer.charAt(index - 1);
    return index === 0 || isSpace(before) || !/[\p{L}\p{N}:;=.,!?…-]/u.test(before);
  }

  /** Whether nothing is said before `index` but directions and a speaker label. */
  #isSentenceStart(index: number): boolean {
    const before = this.#buffer.slice(this.#heldEnd, index);
    if (before.length > 120) return false;
    return !/[\p{L}\p{N}]/u.test(before.replace(/\*[^*]*\*|\([^)]*\)|\[[^\]]*\]|^[^:]{1,40}:\s*$/g, ''));
  }
}

/**
 * What to say of a flushed piece. A half sentence (the model was cut by its token limit, or the stream broke) is dropped
 * unless nothing else was said; then it trails off with "…", so that it sounds meant.
 */
export function lastSentence(flushed: FlushedSentence, isOnly: boolean): string | null {
  if (flushed.sentence === null || flushed.complete) return flushed.sentence;
  if (flushed.wholePart !== null) return flushed.wholePart;
  if (!isOnly) return null;
  return `${flushed.sentence.replace(/[\s,;:–—-]+$/u, '')}…`;
}

/** How long a sentence takes to say: 380 ms a word and 150 ms a sentence end (npc-domain §4, "Pacing"). */
export function estimateSpeechMs(sentence: string): number {
  const ends = sentence.match(/[.!?…。！？]+/gu)?.length ?? 0;
  return 380 * countWords(sentence) + 150 * Math.max(1, ends);
}

/** The last index up to `limit` that splits neither a surrogate pair nor a mark from its letter. */
function characterBoundary(text: string, limit: number): number {
  for (let cut = limit; cut > limit - 32 && cut > 1; cut -= 1) {
    const next = text.charAt(cut);
    const isLowSurrogate = next >= '\udc00' && next <= '\udfff';
    const before = text.charAt(cut - 1);
    if (!isLowSurrogate && before !== JOINER && next !== JOINER && !/\p{M}/u.test(next)) return cut;
  }
  const next = text.charAt(limit);
  return next >= '\udc00' && next <= '\udfff' ? limit - 1 : limit;
}

function isSpace(unit: string): boolean {
  return unit === ' ' || /\s/u.test(unit);
}

function isLineEnd(unit: string): boolean {
  return unit === '\n' || unit === '\r' || unit === '\u2028' || unit === '\u2029';
}
