/**
 * What stands before every door, whoever reads the request off its socket: a place among those being answered, the
 * route's count, and who calls. Invariant: a request that was let in or refused here is counted once, when its
 * connection or its reply has ended.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { ServiceError } from '../core/errors.ts';
import { Gate } from './access.ts';
import type { AccessLevel, Caller } from './door.ts';
import type { DoorLimits, Services } from './services.ts';

export interface EntranceOptions {
  readonly limits: DoorLimits;
  /** Whether any API key is active; one that is made later is noticed. */
  readonly authRequired: boolean;
}

export class Entrance {
  readonly #services: Services;
  readonly #requestsMax: number;
  readonly #gate: Gate;
  #active = 0;

  constructor(services: Services, { limits, authRequired }: EntranceOptions) {
    this.#services = services;
    this.#requestsMax = limits.requestsMax;
    this.#gate = new Gate({ keys: services.keys, clock: services.clock, authRequired });
  }

  /** Requests being answered now, health apart: what a drain waits for. */
  get active(): number {
    return this.#active;
  }

  /**
   * The caller, when there is room and it may use this route. Rejects with `draining`, `overloaded`, `unauthorized`,
   * `forbidden` or `store_unavailable`; the request counts as active until `raw` closes all the same.
   */
  async enter(
    request: Pick<IncomingMessage, 'headers'>,
    raw: ServerResponse,
    route: { readonly name: string; readonly level: AccessLevel },
  ): Promise<Caller> {
    const { level } = route;
    const services = this.#services;
    const weight = level === 'health' ? 0 : 1;
    this.#active += weight;
    raw.once('close', () => {
      this.#active -= weight;
      services.countHttp(route.name, raw.headersSent ? raw.statusCode : 499);
    });
    if (services.draining.aborted) raw.shouldKeepAlive = false;
    if (level === 'game' && services.draining.aborted)
      throw new ServiceError('draining', 'this instance is shutting down and takes no new work');
    if (level !== 'health' && this.#active > this.#requestsMax)
      throw new ServiceError(
        'overloaded',
        `${this.#requestsMax} requests are being answered, which is the limit (limits.requestsMax)`,
      );
    return await this.#gate.admit(request, level);
  }
}
