/** What a refusal to an adapter means to its keeper: try again, never try again, or that there is no place for it. */
import type { AdapterAddress } from '../core/adapter.ts';
import { ServiceError } from '../core/errors.ts';

export interface AdapterTrouble {
  /** The engine's name in the configuration. */
  readonly engine: string;
  readonly adapter: Pick<AdapterAddress, 'engineName'>;
  readonly cause?: unknown;
}

/** `what` goes on behind the names of engine and adapter; it says what to change. */
export function adapterFailed(
  { engine, adapter, cause }: AdapterTrouble,
  what: string,
  isPermanent: boolean,
): ServiceError {
  return new ServiceError('adapter_failed', `${engine}: ${adapter.engineName} ${what}`, {
    cause,
    details: { engine, adapter: adapter.engineName, isPermanent },
  });
}

export function noRoom({ engine, adapter, cause }: AdapterTrouble, what: string): ServiceError {
  return new ServiceError('no_room', `${engine}: no place for ${adapter.engineName}: ${what}`, {
    cause,
    details: { engine, adapter: adapter.engineName },
  });
}

/** Engines that start, stop or are overrun say so with these: that is nothing about the adapter. */
const PASSING: ReadonlySet<number> = new Set([408, 425, 429, 502, 503, 504, 529]);

/** A refusal that tells nothing of its own: passing ones as `engine_unavailable`, the others as failed. */
export function refusedAdapter(trouble: AdapterTrouble, status: number, text: string): ServiceError {
  const { engine, adapter } = trouble;
  if (PASSING.has(status))
    return new ServiceError('engine_unavailable', `${engine} answered ${status}: ${text}`, {
      details: { engine, adapter: adapter.engineName, status },
    });
  if (status === 401 || status === 403)
    return adapterFailed(
      trouble,
      `was refused with ${status}: ${text}; the engine's key must allow changes of adapters`,
      true,
    );
  return adapterFailed(trouble, `was refused with ${status}: ${text}`, false);
}

/** For wires without adapters: to answer as the base would be the wrong voice, said by nobody. */
export function refuseAnyAdapter(
  engine: string,
  kind: string,
  adapter: Pick<AdapterAddress, 'engineName'> | undefined,
): void {
  if (adapter === undefined) return;
  throw adapterFailed(
    { engine, adapter },
    `cannot be asked for at an engine of kind ${kind}, which has no adapters`,
    true,
  );
}

/** Some refuse the name of an adapter that they do not have as a bad request: to the ladder it is an unknown model. */
const ABSENT =
  /\b(?:lora|adapter)s?\b.*\b(?:not|never|unknown|unloaded)\b|\b(?:not|unknown)\b.*\b(?:lora|adapter)/i;

/** A line's failure says which adapter was asked for, so that its keeper can look whether the engine has lost it. */
export function withAdapter(failure: unknown, adapter: AdapterTrouble['adapter'] | undefined): unknown {
  if (adapter === undefined || !(failure instanceof ServiceError)) return failure;
  const { code, message, cause, details } = failure;
  const isAbsent = (code === 'bad_request' || code === 'engine_error') && ABSENT.test(message);
  return new ServiceError(isAbsent ? 'unknown_model' : code, message, {
    cause,
    details: { ...details, adapter: adapter.engineName },
  });
}
