/**
 * Who may come in. With keys: a Bearer token with the scope of the route. Without keys the service listens on loopback
 * only, and a web page must not reach it through the player's browser: the Host must be a loopback name (DNS rebinding)
 * and an Origin, if any, too. Invariant: once a key existed, this process never goes back to answering without one.
 */
import type { IncomingMessage } from 'node:http';
import { ServiceError } from '../core/errors.ts';
import type { Clock } from '../core/runtime.ts';
import type { KeyScope, KeyStore } from '../core/store.ts';
import type { AccessLevel, Caller } from './door.ts';

/**
 * How long a key that was just created may stay unnoticed. From half of it on, a request starts a look and does not
 * wait for it: under load nobody pays for the store's answer.
 */
const LOOK_EVERY_MS = 2_000;

const EVERYONE_HERE: Caller = { key: null, mayRaiseTier: true };
const STRANGER: Caller = { key: null, mayRaiseTier: false };

type Asking = Pick<IncomingMessage, 'headers'>;

export interface GateOptions {
  readonly keys: KeyStore;
  readonly clock: Clock;
  readonly authRequired: boolean;
}

export class Gate {
  readonly #keys: KeyStore;
  readonly #clock: Clock;
  #isKeyRequired: boolean;
  /** The last Host that was this machine's: clients say the same in every request, and parsing it costs. */
  #knownHost: string | undefined;
  #lookedMonoMs = Number.NEGATIVE_INFINITY;
  #looking: Promise<void> | null = null;

  constructor(options: GateOptions) {
    this.#keys = options.keys;
    this.#clock = options.clock;
    this.#isKeyRequired = options.authRequired;
  }

  /**
   * The caller, when it may use a route of this level. Throws `unauthorized`, `forbidden`, or `store_unavailable` when
   * it cannot be known: never 401 for a key that may be good.
   */
  async admit(request: Asking, level: AccessLevel): Promise<Caller> {
    if (level === 'health') return STRANGER;
    if (!this.#isKeyRequired) await this.#look();
    if (!this.#isKeyRequired) {
      const { host, origin } = request.headers;
      if (host === undefined || host !== this.#knownHost || origin !== undefined) {
        refuseForeignPage(request);
        this.#knownHost = host;
      }
      return EVERYONE_HERE;
    }
    return level === 'public' ? STRANGER : await this.#authenticate(request, level);
  }

  async #authenticate(request: Asking, scope: KeyScope): Promise<Caller> {
    const token = tokenOf(request);
    if (token === null)
      throw new ServiceError(
        'unauthorized',
        'no API key was sent; expected the header `Authorization: Bearer <key>`',
      );
    const key = await this.#keys.authenticate(token);
    if (key === null)
      throw new ServiceError(
        'unauthorized',
        'the API key is unknown or revoked; `greenroom keys list` shows the valid ones',
      );
    if (!key.scopes.includes(scope))
      throw new ServiceError(
        'forbidden',
        `the key "${key.label}" has the scopes ${key.scopes.join(', ')}; this call needs ${scope}`,
      );
    return { key, mayRaiseTier: key.scopes.includes('operator') };
  }

  /** Resolves when what is known is younger than LOOK_EVERY_MS. A store that cannot be asked changes nothing. */
  async #look(): Promise<void> {
    const nowMs = this.#clock.monotonicMs();
    const ageMs = nowMs - this.#lookedMonoMs;
    if (ageMs < LOOK_EVERY_MS / 2) return;
    this.#looking ??= this.#ask(nowMs);
    if (ageMs >= LOOK_EVERY_MS) await this.#looking;
  }

  async #ask(nowMs: number): Promise<void> {
    const hasActive = await this.#keys.hasActive().catch(() => false);
    if (hasActive) this.#isKeyRequired = true;
    this.#lookedMonoMs = nowMs;
    this.#looking = null;
  }
}

function tokenOf(request: Asking): string | null {
  const { authorization } = request.headers;
  const bearer = authorization === undefined ? null : /^bearer +(\S+) *$/i.exec(authorization);
  if (bearer?.[1] !== undefined) return bearer[1];
  const header = request.headers['x-api-key'];
  return typeof header === 'string' && header !== '' ? header : null;
}

function refuseForeignPage({ headers: { host, origin } }: Asking): void {
  if (!isLoopback(`http://${host ?? ''}`))
    throw new ServiceError(
      'forbidden',
      `the Host header names "${(host ?? '').slice(0, 100)}"; without API keys only loopback names are answered (localhost, 127.0.0.1, [::1])`,
    );
  if (origin !== undefined && !isLoopback(origin))
    throw new ServiceError(
      'forbidden',
      `the page at "${origin.slice(0, 100)}" may not call this service; without API keys only pages of this machine may`,
    );
}

/** Whether an origin (`http://name:port`) is this machine by name. `*.localhost` never leaves it (RFC 6761 §6.3). */
export function isLoopback(origin: string): boolean {
  const parsed = URL.parse(origin);
  if (parsed === null || parsed.username !== '' || !/^https?:$/.test(parsed.protocol)) return false;
  const name = parsed.hostname;
  return (
    name === 'localhost' ||
    name === '[::1]' ||
    name.endsWith('.localhost') ||
    /^127(\.\d{1,3}){3}$/.test(name)
  );
}
