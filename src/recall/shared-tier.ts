/**
 * What gateways share: variants, and the flights that are under way elsewhere. Everything behind this contract may be
 * slow, lost, full, restarted empty or wrong; only `forget` rejects, and no other takes longer than the tier's own bound.
 */
import type { Variant, VariantSource } from './variant.ts';

export interface SharedTier extends AsyncDisposable {
  /**
   * What is known of a key. At most `waitMs` of the options (2 ms), then `away`. With `mayLead`, a key without variants and
   * without a flight is this gateway's to generate from then on, until its lease is ended or runs out.
   */
  look(key: string, mayLead: boolean, signal: AbortSignal): Promise<SharedLook>;
  /**
   * Adds a variant to those of the key; in the background, bounded, the oldest waiting one dropped when there are too many.
   * Called before the flight is `landed`, nobody who asks in between leads anew.
   */
  keep(key: string, variant: Variant, limits: { readonly variantsMax: number; readonly ttlMs: number }): void;
  /**
   * Forgets what an NPC said (null: everybody), and what is being said. Resolves to how many keys had variants; rejects with
   * `store_unavailable`, or with the signal's reason. What another gateway keeps at that moment may stay.
   */
  forget(npcId: string | null, signal: AbortSignal): Promise<number>;
  /** Whether questions are asked now and flights heard. */
  readonly isReachable: boolean;
}

export type SharedLook =
  | {
      readonly kind: 'variants';
      readonly variants: readonly Variant[];
      /** Milliseconds for which all of them may still be said: a copy elsewhere must not outlive them. */
      readonly leftMs: number;
    }
  /** Nobody generates it: we do. */
  | { readonly kind: 'lead'; readonly lease: FlightLease }
  /** Another gateway generates it now. */
  | { readonly kind: 'join'; readonly flight: FlightElsewhere }
  | { readonly kind: 'nothing' }
  /** Not reached in time: go on alone. */
  | { readonly kind: 'away' };

/** Held by the gateway that generates. Each call returns at once. */
export interface FlightLease extends Disposable {
  said(sentence: string, source: VariantSource): void;
  /** All was said. Disposing without it tells the joiners that the flight is lost. */
  landed(): void;
}

export interface FlightElsewhere {
  /**
   * The sentences from `from` on, as they are said. Returns `landed`, or `lost` when the leader left, its lease ran out or the
   * tier went away. Throws the signal's reason only.
   */
  follow(from: number, signal: AbortSignal): AsyncGenerator<FlownSentence, 'landed' | 'lost'>;
}

export interface FlownSentence {
  readonly text: string;
  readonly source: VariantSource;
}
