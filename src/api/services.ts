/**
 * What the doors need of the service, as contracts. `app.ts` fulfils them; a test may with small true ones. Doors decode,
 * authenticate, hand over, and encode; they decide nothing about dialogue.
 */

import type { AdapterAdmin } from '../adapters/admin.ts';
import type { AdapterAbsence } from '../core/adapter.ts';
import type { DialogueEvent, DialogueRequest, Priority } from '../core/dialogue.ts';
import type { Jobs } from '../core/job.ts';
import type { LineDesk } from '../core/learned-line.ts';
import type { RecallDesk } from '../core/recall.ts';
import type { Clock, Logger, Random } from '../core/runtime.ts';
import type { IdempotencyStore, KeyStore } from '../core/store.ts';
import type { Transport } from '../core/transport.ts';
import type { Spending } from '../spending/spending.ts';
import type { ShortWork } from './short-work.ts';

/** Where the start stands; `ready` only after a real warm-up line was generated. */
export interface Readiness {
  readonly ready: boolean;
  readonly stage:
    | 'starting'
    | 'fetching'
    | 'loading'
    | 'warming'
    | 'ready'
    | 'restarting'
    | 'failed'
    | 'draining';
  /** One sentence for people: `fetching 41 %`. */
  readonly detail: string;
  readonly percent?: number;
}

export interface NpcSummary {
  readonly npcId: string;
  readonly name: string;
  readonly kind: string;
  readonly tier: number;
  readonly summary: string;
}

/** What a place is asked for with; see routing/admission.ts. */
export interface PlaceAsk {
  readonly priority: Priority;
  readonly player: string | null;
  /** The game server: the id of its API key, or `local`. */
  readonly source: string;
  readonly promptTokens: number;
  readonly maxTokens: number;
  readonly deadlineMonoMs: number;
}

/** Places at one engine, as `routing/admission.ts` keeps them. */
export interface Places {
  /** Resolves to a place, to be disposed when the work has ended. Throws `overloaded`, or the signal's reason. */
  acquire(ask: PlaceAsk, signal: AbortSignal): Promise<Disposable>;
}

/** Generation, and the short unary work that must not wait behind it (design §5). */
export type Lane = 'generation' | 'short';

/** An engine that speaks OpenAI's wire, as the pass-through door needs it. */
export interface PassThrough {
  readonly engine: string;
  readonly model: string;
  readonly transport: Transport;
  readonly admission: Places;
}

export interface EngineStatus {
  readonly name: string;
  readonly kind: string;
  readonly stage: string;
  readonly model: string | null;
  readonly running: number;
  readonly waiting: number;
  /** How many without a first sentence may run at once now. */
  readonly places: number;
  readonly restarts: number;
  readonly pid: number | null;
  readonly reason: string | null;
}

/** What a hint found. `ready`: nothing is missing, or nothing can be done ahead. */
export interface PreparedNpc {
  readonly npcId: string;
  readonly adapter: string | null;
  readonly state: 'ready' | 'unknown_npc' | AdapterAbsence;
}

export interface Services {
  readonly version: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** The walk. Ends with exactly one `done`, or throws ServiceError (before any event only for a bad request). */
  answer(request: DialogueRequest, signal: AbortSignal): AsyncIterable<DialogueEvent>;
  readonly npcs: readonly NpcSummary[];
  /** Players will meet these soon: what they need is made ready, behind every player who waits. */
  prepare(npcIds: readonly string[]): Promise<readonly PreparedNpc[]>;
  /** Persona JSON, the prompt as the model sees it, and how many written lines there are. Null: no such NPC. */
  describeNpc(npcId: string, signal: AbortSignal): Promise<Readonly<Record<string, unknown>> | null>;
  listLines(filter: {
    readonly speaker?: string;
    readonly trigger?: string;
  }): readonly Readonly<Record<string, unknown>>[];
  /** Models by the names clients may use, engines' own names first. */
  readonly models: readonly {
    readonly id: string;
    readonly ownedBy: string;
    readonly maxModelTokens: number | null;
  }[];
  /** The engine that serves this model now. Throws `unknown_model`, `engine_unavailable`, `not_ready`. */
  passThrough(model: string, version: string | null, lane: Lane): PassThrough;
  /** Servers of tensors and what stands for them at the doors; absent: none is configured. */
  readonly shortWork?: ShortWork;
  /** Work that is answered later; absent: this process takes none. */
  readonly jobs?: Jobs;
  /** LoRA adapters: the registry, and what is published and resident; absent: this process keeps none. */
  readonly adapters?: AdapterAdmin;
  /** Lines that players heard well, and the designer's word on them; absent: this process learns none. */
  readonly lines?: LineDesk;
  /** The dialogue cache for operators; absent: this process has none. */
  readonly recall?: RecallDesk;
  readonly keys: KeyStore;
  readonly idempotency: IdempotencyStore;
  readonly spending: Pick<Spending, 'status' | 'switchOff'>;
  readiness(): Readiness;
  /** The body of GET /admin/v1/status, in wire form. */
  status(): Promise<Readonly<Record<string, unknown>>>;
  expose(): Promise<{ readonly contentType: string; readonly text: string }>;
  countHttp(route: string, status: number): void;
  /** Aborts when the service drains: no new work is taken then. */
  readonly draining: AbortSignal;
}

/** Limits at the doors; each has a default in the configuration and a test that reaches it. */
export interface DoorLimits {
  readonly bodyBytesMax: number;
  readonly headerBytesMax: number;
  readonly connectionsMax: number;
  /** Requests being answered at once over all doors; one more is answered 503. */
  readonly requestsMax: number;
  /** Milliseconds for the headers and the body of a request to arrive whole. */
  readonly requestTimeoutMs: number;
  readonly heartbeatMs: number;
}
