/**
 * The dialogue cache: what was generated once is said again to whoever asks the same, and what is being generated is
 * shared by all who ask it now. Two tiers: this process, and where there is one a tier that gateways share. Whatever
 * becomes of either, a question costs at most the shared tier's bound more and is answered.
 */
import type { RecallEvent, RecallState } from '../core/recall.ts';
import type { Clock } from '../core/runtime.ts';
import { type Flight, Flights } from './flights.ts';
import { MeaningIndex } from './meaning/meaning-index.ts';
import { MemoryTier } from './memory-tier.ts';
import type { RecallOptions } from './options.ts';
import { Savings } from './savings.ts';
import type { FlightLease, FlownSentence, SharedLook, SharedTier } from './shared-tier.ts';
import type { Variant } from './variant.ts';

export interface RecallParts {
  readonly options: RecallOptions;
  readonly shared: SharedTier | null;
  readonly clock: Clock;
  readonly onEvent: (event: RecallEvent) => void;
}

/** A generation that somebody else leads, here or at another gateway. */
export interface Joinable {
  follow(from: number, signal: AbortSignal): AsyncGenerator<FlownSentence, 'landed' | 'lost'>;
}

/** The right and duty to generate: each sentence is told, then `landed`, or disposing says that it is lost. */
export interface Lead extends Disposable {
  /** An operator had it forgotten meanwhile: it is not to be kept. */
  readonly isForgotten: boolean;
  said(sentence: FlownSentence): void;
  landed(): void;
}

export type Known =
  | { readonly kind: 'variants'; readonly variants: readonly Variant[] }
  | { readonly kind: 'join'; readonly flight: Joinable }
  | { readonly kind: 'lead'; readonly lead: Lead };

/** What a bark answers to, and all that must be equal before its words are compared. */
export interface BarkWords {
  readonly gate: string;
  readonly words: string;
}

/** A bark takes about a kilobyte. */
const GATES_MAX = 1_000;
const BARKS_PER_GATE_MAX = 32;

export class Recall implements AsyncDisposable {
  readonly #parts: RecallParts;
  readonly #memory: MemoryTier;
  readonly #flights = new Flights();
  readonly #meaning = new MeaningIndex({ gatesMax: GATES_MAX, entriesPerGateMax: BARKS_PER_GATE_MAX });
  readonly savings = new Savings();

  constructor(parts: RecallParts) {
    this.#parts = parts;
    this.#memory = new MemoryTier(parts.options.memoryBytesMax);
  }

  get options(): RecallOptions {
    return this.#parts.options;
  }

  get state(): RecallState {
    const { bytes, keys, variants, evictions } = this.#memory;
    const isSharedReachable = this.#parts.shared?.isReachable ?? null;
    return { bytes, keys, variants, evictions, flights: this.#flights.size, isSharedReachable };
  }

  note(event: RecallEvent): void {
    this.savings.note(event);
    this.#parts.onEvent(event);
  }

  /** Variants of another question of this gate whose words mean the same: for barks, never for conversation. */
  meant({ gate, words }: BarkWords): readonly Variant[] {
    const nearest = this.#meaning.nearest(gate, words);
    if (nearest === null) return [];
    const variants = this.recalled(nearest.key);
    if (variants.length === 0) this.#meaning.forget(nearest.key);
    return variants;
  }

  /** Variants that this process holds, enough of them to be said again; empty otherwise. */
  recalled(key: string): readonly Variant[] {
    const variants = this.#memory.get(key, this.#parts.clock.monotonicMs());
    return variants.length >= this.options.variantsMin ? variants : [];
  }

  /**
   * What a question that this process cannot answer finds: a generation to join, variants of the shared tier, or the lead.
   * `heard` is what the asker was told of this reply already. `isFresh` asks for another answer than those there are.
   */
  async board(key: string, heard: readonly string[], isFresh: boolean, signal: AbortSignal): Promise<Known> {
    const { shared, options } = this.#parts;
    if (!options.joinEqual) return await this.#alone(key, heard, isFresh, signal);
    const running = this.#running(key, heard);
    if (running !== null) return running;
    if (shared === null || isFresh || heard.length > 0)
      return { kind: 'lead', lead: this.#begin(key, heard) };
    // Equal questions of one moment are one for the shared tier. No flight stands here before it has answered: with
    // variants, or a flight elsewhere, all who had joined would lose it and ask one after the other.
    const look = await shared.look(key, true, signal);
    const known = this.#knownElsewhere(key, look);
    if (known !== null) return known;
    const begun = this.#running(key, heard);
    if (look.kind === 'lead') {
      if (begun === null) return { kind: 'lead', lead: both(this.#begin(key, heard), look.lease) };
      look.lease[Symbol.dispose]();
    }
    if (begun !== null) return begun;
    if (look.kind === 'join') return { kind: 'join', flight: look.flight };
    return { kind: 'lead', lead: this.#begin(key, heard) };
  }

  /**
   * Keeps a whole, unblemished reply. `ttlS`: the persona's own; null: the option's. `bark`: the words it may be found by in
   * its gate; left out: by its key alone.
   */
  keep(key: string, variant: Variant, ttlS: number | null, bark: BarkWords | null = null): void {
    const seconds = ttlS ?? this.options.ttlS;
    if (bark !== null) this.#meaning.note(bark.gate, bark.words, key);
    this.#remember(key, variant, seconds);
    this.#parts.shared?.keep(key, variant, {
      variantsMax: this.options.variantsMax,
      ttlMs: seconds * 1_000,
    });
  }

  /** Forgets what an NPC said (null: everybody), here and in the shared tier. Resolves to how many keys this process held. */
  async forget(npcId: string | null, signal: AbortSignal): Promise<number> {
    const count = this.#memory.forget(npcId);
    this.#flights.forget(npcId);
    await this.#parts.shared?.forget(npcId, signal);
    return count;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.shared?.[Symbol.asyncDispose]();
  }

  /** Where equal questions do not share a generation they still share what was generated. */
  async #alone(key: string, heard: readonly string[], isFresh: boolean, signal: AbortSignal): Promise<Known> {
    const { shared } = this.#parts;
    const look =
      shared === null || isFresh || heard.length > 0 ? null : await shared.look(key, false, signal);
    const known = look === null ? null : this.#knownElsewhere(key, look);
    return known ?? { kind: 'lead', lead: SOLO };
  }

  /** The variants of the shared tier, remembered here; null: there are not enough to say one again. */
  #knownElsewhere(key: string, look: SharedLook): Known | null {
    if (look.kind !== 'variants' || look.variants.length < this.options.variantsMin) return null;
    for (const variant of look.variants) this.#remember(key, variant, look.leftMs / 1_000);
    return { kind: 'variants', variants: look.variants };
  }

  /** What to do where this process generates it already; null: it does not. */
  #running(key: string, heard: readonly string[]): Known | null {
    const flight = this.#flights.of(key);
    if (flight === null) return null;
    return flight.continues(heard) ? { kind: 'join', flight } : { kind: 'lead', lead: SOLO };
  }

  #begin(key: string, heard: readonly string[]): Flight {
    const flight = this.#flights.begin(key);
    for (const text of heard) flight.said({ text, source: UNKNOWN_SOURCE });
    return flight;
  }

  #remember(key: string, variant: Variant, ttlS: number): void {
    const expiresMonoMs = this.#parts.clock.monotonicMs() + ttlS * 1_000;
    this.#memory.keep(key, variant, expiresMonoMs, this.options.variantsMax);
  }
}

/** Of a sentence that a new leader was told by the one before. */
const UNKNOWN_SOURCE = { engine: '', model: null, modelVersion: null, adapter: null } as const;

/** A generation that nobody joins. */
const SOLO: Lead = { isForgotten: false, said: () => {}, landed: () => {}, [Symbol.dispose]: () => {} };

/** Joiners here hear it from the flight, those elsewhere through the lease. */
function both(flight: Flight, lease: FlightLease): Lead {
  return {
    get isForgotten() {
      return flight.isForgotten;
    },
    said: (sentence) => {
      flight.said(sentence);
      lease.said(sentence.text, sentence.source);
    },
    landed: () => {
      flight.landed();
      lease.landed();
    },
    [Symbol.dispose]: () => {
      flight[Symbol.dispose]();
      lease[Symbol.dispose]();
    },
  };
}
