/** What happens to adapters, as plain values: for metrics and for whoever watches. Told once, at the moment it happens. */
import type { AdapterAbsence, AdapterWish } from './adapter.ts';

export type AdapterEvent =
  | {
      readonly type: 'loaded';
      readonly engine: string;
      readonly id: string;
      /** Who asked for it: `publish`, `restore`, `pin`, `interactive`, `ambient`, `spread`, `hot`, `hint`. */
      readonly payer: string;
      readonly loadMs: number;
      readonly verifyMs: number;
    }
  /** `isFinal`: it is not tried again. */
  | {
      readonly type: 'load-failed';
      readonly engine: string;
      readonly id: string;
      readonly reason: string;
      readonly isFinal: boolean;
    }
  | { readonly type: 'unloaded'; readonly engine: string; readonly id: string; readonly reason: string }
  /** The engine does not hold any more what it held. */
  | { readonly type: 'lost'; readonly engine: string; readonly id: string }
  /** A load that pushes another adapter out. */
  | { readonly type: 'swapped'; readonly engine: string; readonly isThrashing: boolean }
  /** What answers at once at an engine, after every change. */
  | {
      readonly type: 'resident';
      readonly engine: string;
      /** `name@version` of each. */
      readonly ids: readonly string[];
      readonly bytes: number;
      readonly isThrashing: boolean;
    }
  /** A line's wish has ended: null when it has its adapter. */
  | {
      readonly type: 'wanted';
      readonly priority: AdapterWish['priority'];
      readonly absence: AdapterAbsence | null;
      readonly waitedMs: number;
    };
