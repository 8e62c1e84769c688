/**
 * Where a prompt's beginning comes from: the line's own sequence, the store, or another sequence, whichever saves most for
 * its cost; and what is kept of it for others. Decisions are sequence-table.ts's and prefix-store.ts's; here they meet the
 * context. Called by the loop alone, between passes. Invariant: what is reused was computed under the line's adapter.
 */
import type { Line } from './line.ts';
import { adapterOf } from './line.ts';
import type { DecodeContext } from './llama/decode-context.ts';
import type { SequenceCopy } from './llama/sequence-copies.ts';
import { PrefixStore, type StoredKind } from './prefix-store.ts';
import type { SequenceState } from './sequence-table.ts';
import { SequenceTable, sharedLength } from './sequence-table.ts';
import { SharedBeginnings } from './shared-beginnings.ts';

export interface PromptCacheOptions {
  readonly sequences: number;
  readonly prefixSequences: number;
  readonly prefixStoreBytesMax: number;
  readonly prefixReuse: boolean;
}

/** Sequences to make beside those of the lines: none where copies in the store do the same for a fraction of the memory. */
export function keptSequences(options: PromptCacheOptions, copiesWhole: boolean): number {
  const hasStore = options.prefixStoreBytesMax > 0 && copiesWhole;
  return hasStore || !options.prefixReuse ? 0 : options.prefixSequences;
}

/** Counts since the start, and what is there now. */
export interface PrefixStoreState {
  readonly bytes: number;
  readonly entries: number;
  /** Lines whose prompt began like something in the store. */
  readonly hits: number;
  /** Copies put back into a sequence. */
  readonly restores: number;
  readonly evictions: number;
}

/**
 * A copy from another sequence moves that sequence's whole place in the context, whatever it holds: 4 ms at 1,024 tokens,
 * 7 at 2,048, about what evaluating so many tokens takes.
 */
const COPY_GAIN_MIN = 16;
/** A prompt waits for an older one that is about to hold this many more tokens of it. */
const WAIT_GAIN_MIN = 32;
/** Fewer tokens are not worth an entry in the store. */
const KEEP_GAIN_MIN = 16;
/**
 * This part of a beginning must be new: an entry costs the bytes of all its tokens and saves those that no other has. A system
 * message with a changing end is not, nor is a scene that two players stand in. Over the published NPC trace 0.2 had more tokens
 * cached than 0 and 0.1 at 200, 256 and 384 MB.
 */
const KEEP_NEW_RATIO = 0.2;
/** A conversation that must leave its sequence is worth a copy when this many of its tokens are nowhere else. */
const TALK_GAIN_MIN = 64;

export class PromptCache implements Disposable {
  readonly #context: DecodeContext;
  readonly #options: PromptCacheOptions;
  readonly #table: SequenceTable;
  readonly #store: PrefixStore<SequenceCopy>;
  readonly #shared = new SharedBeginnings();
  #hits = 0;
  #restores = 0;

  constructor(context: DecodeContext, options: PromptCacheOptions) {
    this.#context = context;
    this.#options = options;
    this.#table = new SequenceTable({
      lines: options.sequences,
      kept: options.prefixSequences,
      copyGainMin: COPY_GAIN_MIN,
    });
    this.#store = new PrefixStore(options.prefixReuse ? options.prefixStoreBytesMax : 0);
  }

  get hasFree(): boolean {
    return this.#table.hasFree;
  }

  /** Share of the context that holds tokens, 0..1. */
  get use(): number {
    const sequences = this.#options.sequences + this.#options.prefixSequences;
    return this.#table.heldTokens / (sequences * this.#context.contextTokens);
  }

  get storeState(): PrefixStoreState {
    return {
      bytes: this.#store.bytes,
      entries: this.#store.size,
      hits: this.#hits,
      restores: this.#restores,
      evictions: this.#store.evictions,
    };
  }

  /** Prompt tokens that the line has still to evaluate, as far as can be told now. */
  remaining(line: Line): number {
    const { prompt } = line.request;
    if (line.isResolved && line.sequence !== null) return prompt.length - line.sequence.held.length;
    return prompt.length - this.#known(prompt, adapterOf(line));
  }

  #known(prompt: readonly number[], adapter: number): number {
    if (!this.#options.prefixReuse) return 0;
    const most = Math.max(this.#table.mostShared(prompt, adapter), this.#store.find(prompt, adapter).tokens);
    return Math.min(most, prompt.length - 1);
  }

  /** Gives the line a sequence; there must be a free one. */
  place(line: Line): void {
    const { prompt } = line.request;
    const adapter = adapterOf(line);
    line.sequence = this.#table.take(prompt, adapter, this.#store.find(prompt, adapter).tokens);
  }

  release(sequence: SequenceState): void {
    this.#table.release(sequence);
  }

  /** Whether a prompt that goes before is about to hold much of this one: evaluating it twice would be waste. */
  waitsFor(line: Line, before: Iterable<Line>): boolean {
    if (!this.#options.prefixReuse || line.isResolved) return false;
    const { prompt } = line.request;
    let known: number | null = null;
    for (const older of before) {
      if (older.next !== null || older.hasEnded || adapterOf(older) !== adapterOf(line)) continue;
      const shared = Math.min(sharedLength(older.request.prompt, prompt), prompt.length - 1);
      if (shared < WAIT_GAIN_MIN) continue;
      known ??= this.#known(prompt, adapterOf(line));
      if (shared - known >= WAIT_GAIN_MIN) return true;
    }
    return false;
  }

  /** Gives the line's sequence the longest beginning of its prompt that is worth having, and says what to keep of it. */
  async resolve(line: Line, sequence: SequenceState): Promise<void> {
    const { prompt } = line.request;
    const adapter = adapterOf(line);
    line.isResolved = true;
    if (!this.#options.prefixReuse) this.#truncate(sequence, 0);
    else {
      await this.#setAside(sequence, prompt, adapter);
      line.keepAt = this.#boundary(line, adapter);
      this.#shared.note(prompt, adapter);
      await this.#reuse(line, sequence, adapter);
    }
    sequence.adapter = adapter;
    line.cachedTokens = sequence.held.length;
    await this.keep(line);
  }

  async #reuse(line: Line, sequence: SequenceState, adapter: number): Promise<void> {
    const { prompt } = line.request;
    const stored = this.#store.find(prompt, adapter);
    const { source, tokens: most } = this.#table.reuse(sequence, prompt, adapter, stored.tokens);
    // Just behind what is to be kept: begin there, so that it can be.
    const beyond = most - (line.keepAt ?? most);
    if (beyond >= KEEP_GAIN_MIN) line.keepAt = null;
    const tokens = beyond > 0 && beyond < KEEP_GAIN_MIN ? most - beyond : most;
    if (stored.entry !== null && stored.tokens >= KEEP_GAIN_MIN) {
      this.#hits += 1;
      this.#store.touch(stored.entry);
    }
    if (source === null) return this.#truncate(sequence, tokens);
    sequence.held = [];
    if (source !== 'store') {
      if (await this.#context.copyPrefix(source, sequence.index, tokens))
        sequence.held = prompt.slice(0, tokens);
      return;
    }
    if (stored.entry === null) return;
    if (await this.#context.restoreSequence(stored.entry.copy, sequence.index, tokens)) {
      this.#restores += 1;
      sequence.held = prompt.slice(0, tokens);
    } else this.#store.drop(stored.entry);
  }

  /** Where the prompt should be copied for others; null when that is done, or nobody would want it. */
  #boundary(line: Line, adapter: number): number | null {
    const { prompt, prefixTokens, maxTokens } = line.request;
    // One token: asked for the sake of the prompt, as a host does to warm an engine up.
    const isWarmUp = maxTokens === 1;
    const learned = isWarmUp ? prompt.length : this.#shared.boundary(prompt, adapter);
    const boundary = Math.max(learned, prefixTokens);
    const covered = Math.min(this.#store.find(prompt, adapter, 'prefix').tokens, boundary);
    const gainMin = Math.max(KEEP_GAIN_MIN, isWarmUp ? 0 : boundary * KEEP_NEW_RATIO);
    return boundary - covered >= gainMin && this.#store.hasRoomFor(boundary, 'prefix') ? boundary : null;
  }

  /** Copies the beginning that others share when the line's sequence holds exactly that. */
  async keep(line: Line): Promise<void> {
    const { sequence } = line;
    if (sequence === null || line.keepAt !== sequence.held.length) return;
    line.keepAt = null;
    await this.#save(sequence, 'prefix');
  }

  /** Where nothing can be copied out: keeps the beginning in a sequence of its own, once the line has its first token. */
  async keepInSequence(line: Line): Promise<void> {
    const { sequence, request } = line;
    if (sequence === null || request.prefixTokens === 0 || !this.#options.prefixReuse) return;
    const prefix = request.prompt.slice(0, request.prefixTokens);
    const place = this.#table.placeFor(prefix, sequence.adapter);
    if (place === null) return;
    const isKept = await this.#context.copyPrefix(sequence.index, place.index, prefix.length);
    place.held = isKept ? prefix : [];
    place.adapter = sequence.adapter;
  }

  /** Saves a conversation that must leave its sequence to another. */
  async #setAside(sequence: SequenceState, prompt: readonly number[], adapter: number): Promise<void> {
    const { held, isContinued } = sequence;
    if (isContinued || held.length < TALK_GAIN_MIN) return;
    if (sequence.adapter === adapter && sharedLength(held, prompt) === held.length) return;
    const elsewhere = this.#store.find(held, sequence.adapter).tokens;
    if (held.length - elsewhere >= TALK_GAIN_MIN && this.#store.hasRoomFor(held.length, 'talk'))
      await this.#save(sequence, 'talk');
  }

  async #save(sequence: SequenceState, kind: StoredKind): Promise<void> {
    const copy = await this.#context.saveSequence(sequence.index);
    if (copy !== null) this.#store.put(sequence.held, sequence.adapter, kind, copy);
  }

  #truncate(sequence: SequenceState, length: number): void {
    if (sequence.held.length === length) return;
    const kept = this.#context.truncate(sequence.index, length);
    sequence.held = kept ? sequence.held.slice(0, length) : [];
  }

  /** Empties a sequence: what it holds is unknown or no longer wanted. */
  forget(sequence: SequenceState): void {
    this.#context.truncate(sequence.index, 0);
    sequence.held = [];
  }

  forgetAdapter(id: number): void {
    for (const sequence of this.#table.heldUnder(id)) this.forget(sequence);
    this.#store.forget(id);
    this.#shared.forget(id);
  }

  [Symbol.dispose](): void {
    this.#store.clear();
  }
}
