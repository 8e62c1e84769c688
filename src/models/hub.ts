/**
 * A model hub over HTTP as a source: one file by repository and revision, continued with a Range request after every
 * break. An unreachable hub is given up within `connectTimeoutMs`, because the next source may be near. The digest, not
 * the connection, decides whether the bytes are right, so mirrors and redirects need no trust.
 */
import http from 'node:http';
import https from 'node:https';
import { ServiceError } from '../core/errors.ts';
import type { Clock } from '../core/runtime.ts';
import { linkSignals } from '../lib/abort.ts';
import { StorageError } from './cache.ts';
import type { ModelArtefact } from './catalogue.ts';
import type { PartialFile } from './partial.ts';
import type { ProgressMeter } from './progress.ts';

export const DEFAULT_HUB_URL = 'https://huggingface.co';

export interface HubOptions {
  /** Scheme and host, perhaps a path: `https://huggingface.co`. */
  readonly baseUrl: string;
  /** Proxy settings are read from here (HTTPS_PROXY, NO_PROXY). */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly limits?: Partial<HubLimits>;
}

export interface HubLimits {
  /** From the request to a connection that can be written to, TLS included. */
  readonly connectTimeoutMs: number;
  /** From there to the headers, and between any two pieces of the body. */
  readonly silenceTimeoutMs: number;
  /** Breaks in a row that brought no byte. */
  readonly fruitlessBreaksMax: number;
  readonly redirectsMax: number;
  /** Wait before going on after a break; doubled for each fruitless one. */
  readonly pauseMs: number;
}

const DEFAULT_LIMITS: HubLimits = {
  connectTimeoutMs: 5_000,
  silenceTimeoutMs: 20_000,
  fruitlessBreaksMax: 3,
  redirectsMax: 5,
  pauseMs: 500,
};

/** A break worth going on after: the connection ended or fell silent, or the hub asked for patience. */
class Broken extends Error {}

/** The address of a model at a hub. */
export function hubUrl(baseUrl: string, model: ModelArtefact): URL {
  const { repository, revision, path } = model.hub;
  return new URL(`${baseUrl.replace(/\/+$/, '')}/${repository}/resolve/${revision}/${path}`);
}

/**
 * Appends what is missing to `partial`. Returns when it is whole; throws `model_unavailable` with the reason
 * otherwise, leaving what came for the next try. Aborting closes the connection and rejects with the signal's reason.
 */
export async function fetchFromHub(
  model: ModelArtefact,
  partial: PartialFile,
  meter: ProgressMeter,
  options: HubOptions,
  signal: AbortSignal,
): Promise<void> {
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  const url = hubUrl(options.baseUrl, model);
  let fruitless = 0;
  let isReached = false;
  meter.begin('fetching', 'hub', partial.bytes);
  while (!partial.isWhole) {
    const before = partial.bytes;
    try {
      await fetchOnce(url, model, partial, meter, options, limits, signal);
      if (!partial.isWhole) throw new Broken(`the body ended at ${partial.bytes} of ${model.bytes} bytes`);
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (!(error instanceof Broken)) throw error;
      if (partial.bytes > before) isReached = true;
      fruitless = partial.bytes > before ? 0 : fruitless + 1;
      // A hub that was never reached is given up at once; one that was, is given some patience.
      if (fruitless > limits.fruitlessBreaksMax || !isReached) {
        throw new ServiceError('model_unavailable', `${url.origin}: ${error.message}`, { cause: error });
      }
      await options.clock.sleep(limits.pauseMs * 2 ** fruitless, signal);
    }
  }
}

async function fetchOnce(
  url: URL,
  model: ModelArtefact,
  partial: PartialFile,
  meter: ProgressMeter,
  options: HubOptions,
  limits: HubLimits,
  signal: AbortSignal,
): Promise<void> {
  const from = partial.bytes;
  const headers = {
    'user-agent': 'greenroom',
    'accept-encoding': 'identity',
    ...(from > 0 ? { range: `bytes=${from}-` } : {}),
  };
  let target = url;
  for (let redirects = 0; ; redirects++) {
    using watch = new Watch(options.clock, limits, signal);
    const response = await open(target, headers, options, watch);
    const status = response.statusCode ?? 0;
    if (status >= 300 && status < 400 && response.headers.location !== undefined) {
      response.destroy();
      if (redirects >= limits.redirectsMax)
        throw refused(url, `more than ${limits.redirectsMax} redirects, the last to ${target.origin}`);
      target = redirected(response.headers.location, target);
      continue;
    }
    try {
      await accept(url, response, partial, model);
      for await (const chunk of response) {
        watch.heard();
        await partial.append(chunk as Buffer);
        meter.advance(partial.bytes);
      }
    } catch (error) {
      throw watch.explain(error);
    } finally {
      response.destroy();
    }
    return;
  }
}

/** Makes `partial` fit what the hub answered, or throws. */
async function accept(
  url: URL,
  response: http.IncomingMessage,
  partial: PartialFile,
  model: ModelArtefact,
): Promise<void> {
  const status = response.statusCode ?? 0;
  if (status === 206) {
    const match = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(response.headers['content-range'] ?? '');
    const total = match?.[2] ?? '*';
    if (total !== '*' && Number(total) !== model.bytes)
      throw refused(url, `the file there has ${total} bytes, expected ${model.bytes}`);
    if (Number(match?.[1]) !== partial.bytes) {
      await partial.restart();
      throw new Broken(`asked for the bytes from ${partial.bytes}, got another range`);
    }
    return;
  }
  if (status === 200) {
    // The hub ignores ranges: it sends the file from its beginning.
    if (partial.bytes > 0) await partial.restart();
    const length = response.headers['content-length'];
    if (length !== undefined && Number(length) !== model.bytes)
      throw refused(url, `the file there has ${length} bytes, expected ${model.bytes}`);
    return;
  }
  if (status === 416) {
    await partial.restart();
    throw refused(url, 'the hub says that the file is shorter than what was fetched (416)');
  }
  if (status === 429 || status >= 500) throw new Broken(`the hub answered ${status} for ${url.pathname}`);
  throw refused(url, `the hub answered ${status} for ${url.pathname}`);
}

function open(
  target: URL,
  headers: http.OutgoingHttpHeaders,
  options: HubOptions,
  watch: Watch,
): Promise<http.IncomingMessage> {
  const isSecure = target.protocol === 'https:';
  const agentOptions = { proxyEnv: { ...options.environment } as NodeJS.ProcessEnv };
  const agent = isSecure ? new https.Agent(agentOptions) : new http.Agent(agentOptions);
  return new Promise((resolve, reject) => {
    const request = (isSecure ? https : http).request(target, { headers, agent, signal: watch.signal });
    request.once('socket', (socket) => {
      // Without an event in between the socket was connected already (a proxy's).
      if (!socket.connecting) watch.connected();
      socket.once(isSecure ? 'secureConnect' : 'connect', () => watch.connected());
    });
    request.once('response', (response) => {
      watch.heard();
      resolve(response);
    });
    request.once('error', (error) => reject(watch.explain(error)));
    request.end();
  });
}

/** The two bounds on silence, and the caller's signal, as one signal. */
class Watch implements Disposable {
  readonly #clock: Clock;
  readonly #limits: HubLimits;
  readonly #outer: AbortSignal;
  readonly #link;
  #timer: Disposable;
  #reason: string | null = null;

  constructor(clock: Clock, limits: HubLimits, outer: AbortSignal) {
    this.#clock = clock;
    this.#limits = limits;
    this.#outer = outer;
    this.#link = linkSignals(outer);
    this.#timer = this.#arm(
      limits.connectTimeoutMs,
      `no connection within ${limits.connectTimeoutMs / 1000} s`,
    );
  }

  get signal(): AbortSignal {
    return this.#link.signal;
  }

  connected(): void {
    this.heard();
  }

  heard(): void {
    this.#timer[Symbol.dispose]();
    this.#timer = this.#arm(
      this.#limits.silenceTimeoutMs,
      `nothing came for ${this.#limits.silenceTimeoutMs / 1000} s`,
    );
  }

  /** What a failure of the connection really was. Storage and our own refusals pass. */
  explain(error: unknown): unknown {
    if (this.#outer.aborted) return this.#outer.reason;
    if (error instanceof Broken || error instanceof ServiceError || error instanceof StorageError)
      return error;
    if (this.#reason !== null) return new Broken(this.#reason, { cause: error });
    const failure = error as NodeJS.ErrnoException;
    return new Broken(failure.code === undefined ? failure.message : reasonOf(failure), { cause: error });
  }

  [Symbol.dispose](): void {
    this.#timer[Symbol.dispose]();
    this.#link[Symbol.dispose]();
  }

  #arm(durationMs: number, reason: string): Disposable {
    return this.#clock.timer(durationMs, () => {
      this.#reason = reason;
      this.#link.abort(new Broken(reason));
    });
  }
}

function reasonOf(error: NodeJS.ErrnoException): string {
  if (error.code === 'ENOTFOUND' || error.code === 'EAI_AGAIN')
    return `its name cannot be resolved (${error.code})`;
  if (error.code === 'ECONNREFUSED') return 'the connection was refused (ECONNREFUSED)';
  if (error.code === 'ECONNRESET') return 'the connection broke (ECONNRESET)';
  return `${error.message} (${error.code})`;
}

function redirected(location: string, from: URL): URL {
  const target = URL.parse(location, from.href);
  if (target === null || (target.protocol !== 'https:' && target.protocol !== 'http:'))
    throw refused(from, `a redirect to ${JSON.stringify(location.slice(0, 200))}, which is no web address`);
  return target;
}

function refused(url: URL, message: string): ServiceError {
  return new ServiceError('model_unavailable', `${url.origin}: ${message}`);
}
