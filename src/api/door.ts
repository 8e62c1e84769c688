/** What every door gets, and the marks it leaves on its routes. A door decodes, hands over and encodes; no more. */
import type { FastifyInstance } from 'fastify';
import type { ApiKey } from '../core/store.ts';
import type { FastLane } from './fast-lane.ts';
import type { DoorLimits, Services } from './services.ts';

export interface DoorContext {
  readonly services: Services;
  readonly limits: DoorLimits;
  /** The short way, for the few addresses whose time counts; the door answers there as well. */
  readonly lane: FastLane;
  /** Where the built console lies; null: none. */
  readonly consoleDirectory: string | null;
}

/** Adds its routes to a scope of its own: parsers and hooks stay with the door. */
export type Door = (scope: FastifyInstance, context: DoorContext) => void | Promise<void>;

/** Who may call a route: anyone, a key with this scope, or nobody's business (`health`: answered also when full). */
export type AccessLevel = 'health' | 'public' | 'game' | 'operator';

/** Who calls. Without keys everyone on this machine is the operator. */
export interface Caller {
  readonly key: ApiKey | null;
  readonly mayRaiseTier: boolean;
}

declare module 'fastify' {
  interface FastifyContextConfig {
    readonly access?: AccessLevel;
  }
  interface FastifyRequest {
    caller: Caller;
  }
}
