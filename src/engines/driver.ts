/**
 * The frame of a driver: one file an engine, one line in `engines/index.ts`. A driver turns the neutral request into its
 * engine's wire and back; it keeps no connection, never retries, and decides nothing about routing.
 */
import type { z } from 'zod';
import type { EngineAdapters } from '../core/adapter.ts';
import type { Engine, EngineProbe, TokenCounter } from '../core/engine.ts';
import type { Transport } from '../core/transport.ts';

/** What is made for one engine of the configuration. */
export interface Driver {
  readonly engine: Engine;
  readonly probe: EngineProbe;
  /** Counts as this engine's model does where its wire can be asked; elsewhere an upper estimate. */
  readonly counter: TokenCounter;
  /**
   * Brings the model into the engine's memory, for engines that otherwise load it inside somebody's request. Takes up to
   * minutes; never under a player's deadline. Throws as a probe does; aborting may make the next load begin anew.
   */
  prepare?(signal: AbortSignal): Promise<void>;
  /** Left out: this wire has no adapters. */
  readonly adapters?: EngineAdapters;
}

export interface DriverParts<Options> {
  /** The name in the configuration. */
  readonly name: string;
  /** The engine's own name for the model. */
  readonly model: string;
  /** Parsed by the definition's `options`. */
  readonly options: Options;
  /** Asked at each request: a supervised engine comes back on another port. Throws `not_ready` while there is none. */
  readonly transport: () => Transport;
}

export interface DriverDefinition<Schema extends z.ZodObject = z.ZodObject> {
  /** The `kind` of the configuration. */
  readonly kind: string;
  /** For the configuration's reference: what it is, and from which version on it was looked at. */
  readonly title: string;
  /** Where it usually listens; null when the configuration must say. Scheme, host, port and path before `/v1`. */
  readonly defaultBaseUrl: string | null;
  /** Whether its tokens cost money unless the configuration says otherwise. */
  readonly isPaid: boolean;
  /** Whether `/v1/chat/completions` may be passed to it as it came; left out: yes. */
  readonly relaysOpenAi?: boolean;
  /** What this driver can be told beyond what every engine can (model, base URL, key, limits); strict. */
  readonly options: Schema;
  /** Headers of every request; the key is null when the configuration names none. */
  headers(apiKey: string | null, options: z.infer<Schema>): Readonly<Record<string, string>>;
  create(parts: DriverParts<z.infer<Schema>>): Driver;
}

/** Keeps a definition's own options type. */
export function defineDriver<Schema extends z.ZodObject>(
  definition: DriverDefinition<Schema>,
): DriverDefinition<Schema> {
  return definition;
}
