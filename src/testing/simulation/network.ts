/**
 * The network of a simulation: `Transport` on one side, simulated engines on the other, and between them latency, bytes
 * cut anywhere, connections that are refused, lost, or cut. Behaves towards its reader as undici does: an abort destroys the
 * body with the signal's reason, a body that nobody reads keeps its connection.
 */
import { ServiceError } from '../../core/errors.ts';
import type { Transport, WireRequest, WireResponse } from '../../core/transport.ts';
import type { TransportOptions } from '../../engines/transport.ts';
import type { SeededRandom } from '../../planning/seeded-random.ts';
import type { VirtualClock } from '../../planning/virtual-clock.ts';
import type { LinkFault } from './faults.ts';
import type { Trace } from './trace.ts';

/** The engine's end of one exchange. */
export interface ServerSide {
  /** Aborts when the client has gone, as the server comes to know it. */
  readonly closed: AbortSignal;
  head(status: number, headers: Readonly<Record<string, string>>): void;
  /** Waits for a slow reader; rejects when the client has gone. */
  send(bytes: Uint8Array): Promise<void>;
  end(): void;
  reset(): void;
}

/** Whoever listens at an origin. */
export interface Peer {
  readonly name: string;
  /** What happens to a connection before the peer answers; null: it is taken. */
  greet(request: WireRequest): LinkFault | null;
  accept(request: WireRequest, side: ServerSide): void;
}

export interface NetworkOptions {
  readonly clock: VirtualClock;
  readonly random: SeededRandom;
  readonly trace: Trace;
  /** By origin: `http://swift.test:8000`. */
  readonly peers: ReadonlyMap<string, Peer>;
  /** One way, without a spread (ms). */
  readonly latencyMs: number;
  /** Chance that delivered bytes are cut into pieces. */
  readonly cutChance: number;
}

/** Bytes that wait for the reader before the sender is held. */
const BUFFER_BYTES_MAX = 65_536;
/** Pieces that one delivery is cut into at most; a drip is made by the engine. */
const PIECES_MAX = 6;
/** As long as Linux tries to connect by default, when the caller sets no limit (tcp(7), tcp_syn_retries). */
const CONNECT_GIVES_UP_MS = 127_000;

export class SimulatedNetwork {
  readonly #options: NetworkOptions;
  readonly #open = new Set<Exchange>();
  #opened = 0;

  constructor(options: NetworkOptions) {
    this.#options = options;
  }

  /** Exchanges under way, as the client sees it, to one engine or to all. */
  open(origin?: string): readonly { readonly path: string; readonly peer: string }[] {
    return [...this.#open].filter((each) => origin === undefined || each.origin === origin);
  }

  get opened(): number {
    return this.#opened;
  }

  connect(options: TransportOptions): Transport {
    const { origin, pathname } = new URL(options.baseUrl);
    const base = pathname.replace(/\/$/, '');
    const own = new Set<Exchange>();
    const waiting = new Set<() => void>();
    let isClosed = false;
    const release = (exchange: Exchange) => {
      own.delete(exchange);
      this.#open.delete(exchange);
      const [next] = waiting;
      if (next === undefined) return;
      waiting.delete(next);
      next();
    };
    const freeConnection = async (signal: AbortSignal) => {
      while (own.size >= options.connections) {
        await new Promise<void>((resolve, reject) => {
          const onAbort = () => {
            waiting.delete(go);
            reject(signal.reason as Error);
          };
          const go = () => {
            signal.removeEventListener('abort', onAbort);
            resolve();
          };
          signal.addEventListener('abort', onAbort, { once: true });
          waiting.add(go);
        });
      }
    };
    return {
      exchange: async (request, signal) => {
        signal.throwIfAborted();
        await freeConnection(signal);
        if (isClosed) throw unreachable(origin, 'UND_ERR_DESTROYED');
        this.#opened += 1;
        const exchange = new Exchange({
          ...this.#options,
          number: this.#opened,
          request: {
            ...request,
            path: base + request.path,
            headers: { ...request.headers, ...options.headers },
          },
          origin,
          connectTimeoutMs: options.connectTimeoutMs,
          onOver: release,
        });
        own.add(exchange);
        this.#open.add(exchange);
        return await exchange.start(signal);
      },
      [Symbol.asyncDispose]: async () => {
        isClosed = true;
        for (const go of [...waiting]) go();
        for (const exchange of [...own]) exchange.cut(unreachable(origin, 'UND_ERR_DESTROYED'));
      },
    };
  }
}

interface ExchangeOptions extends NetworkOptions {
  readonly number: number;
  readonly origin: string;
  readonly request: WireRequest;
  readonly connectTimeoutMs: number;
  readonly onOver: (exchange: Exchange) => void;
}

type Parcel =
  | { readonly kind: 'head'; readonly status: number; readonly headers: Readonly<Record<string, string>> }
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  | { readonly kind: 'end' }
  | { readonly kind: 'reset' };

class Exchange {
  readonly #options: ExchangeOptions;
  readonly #closed = new AbortController();
  /** On their way to the client, in order. */
  readonly #flying: Parcel[] = [];
  /** At the client, not yet read. */
  readonly #arrived: Uint8Array[] = [];
  #arrivedBytes = 0;
  #lastDueMonoMs = 0;
  #ended: 'no' | 'well' | Error = 'no';
  #isOver = false;
  #wakeReader: (() => void) | null = null;
  #wakeSender: (() => void) | null = null;
  #timer: Disposable | null = null;
  #settle: { resolve: (response: WireResponse) => void; reject: (error: unknown) => void } | null = null;
  #unhook: () => void = () => {};

  constructor(options: ExchangeOptions) {
    this.#options = options;
  }

  get path(): string {
    return this.#options.request.path;
  }

  get origin(): string {
    return this.#options.origin;
  }

  get peer(): string {
    return this.#options.peers.get(this.origin)?.name ?? this.origin;
  }

  start(signal: AbortSignal): Promise<WireResponse> {
    const { peers, origin, request, clock } = this.#options;
    const peer = peers.get(origin);
    const fault = peer === undefined ? 'dns' : peer.greet(request);
    this.#note(fault === null ? 'request' : `request meets ${fault}`, { path: request.path });
    const onAbort = () => this.cut(signal.reason as Error);
    signal.addEventListener('abort', onAbort, { once: true });
    this.#unhook = () => signal.removeEventListener('abort', onAbort);
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
      const fail = (code: string, afterMs: number) => {
        this.#timer = clock.timer(afterMs, () => this.cut(unreachable(origin, code)));
      };
      const tripMs = this.#tripMs();
      switch (fault) {
        case 'refused':
          return fail('ECONNREFUSED', tripMs * 2);
        case 'dns':
          return fail('ENOTFOUND', tripMs * 2);
        case 'certificate':
          return fail('ERR_TLS_CERT_ALTNAME_INVALID', tripMs * 4);
        case 'connect-black-hole':
          return fail(
            'UND_ERR_CONNECT_TIMEOUT',
            Math.min(this.#options.connectTimeoutMs, CONNECT_GIVES_UP_MS),
          );
        case 'reset-before-head':
          return fail('ECONNRESET', tripMs * 3);
        case 'black-hole':
          return;
        case null:
          this.#timer = clock.timer(tripMs, () => peer?.accept(request, this.#serverSide()));
      }
    });
  }

  /** The client's end breaks with this error, or leaves when null. The server hears of it a trip later. */
  cut(error: Error | null): void {
    if (this.#isOver) return;
    this.#arrived.length = 0;
    this.#arrivedBytes = 0;
    this.#over(error ?? 'well');
    this.#options.clock.timer(this.#tripMs(), () => {
      this.#closed.abort(new Error('the client has gone'));
      this.#wakeSender?.();
    });
  }

  #serverSide(): ServerSide {
    return {
      closed: this.#closed.signal,
      head: (status, headers) => this.#fly({ kind: 'head', status, headers }),
      send: async (bytes) => {
        this.#fly({ kind: 'bytes', bytes });
        while (this.#arrivedBytes > BUFFER_BYTES_MAX && !this.#closed.signal.aborted)
          await new Promise<void>((resolve) => {
            this.#wakeSender = resolve;
          });
        this.#closed.signal.throwIfAborted();
      },
      end: () => this.#fly({ kind: 'end' }),
      reset: () => this.#fly({ kind: 'reset' }),
    };
  }

  /** One timer a parcel; each takes the first in the line, so no jitter turns the order of bytes around. */
  #fly(parcel: Parcel): void {
    if (this.#isOver) return;
    const { clock } = this.#options;
    this.#flying.push(parcel);
    const nowMonoMs = clock.monotonicMs();
    this.#lastDueMonoMs = Math.max(this.#lastDueMonoMs, nowMonoMs + this.#tripMs());
    clock.timer(this.#lastDueMonoMs - nowMonoMs, () => this.#arrive(this.#flying.shift()));
  }

  #arrive(parcel: Parcel | undefined): void {
    if (parcel === undefined || this.#isOver) return;
    switch (parcel.kind) {
      case 'head': {
        this.#note(`reply ${parcel.status}`);
        this.#settle?.resolve({ status: parcel.status, headers: parcel.headers, body: this.#body() });
        this.#settle = null;
        return;
      }
      case 'bytes':
        this.#arrivedBytes += parcel.bytes.byteLength;
        this.#arrived.push(...this.#pieces(parcel.bytes));
        break;
      case 'end':
        // A peer that ends before its head has hung up on us.
        if (this.#settle !== null) this.cut(unreachable(this.origin, 'UND_ERR_SOCKET'));
        else this.#over('well');
        break;
      case 'reset':
        if (this.#settle !== null) this.cut(unreachable(this.origin, 'ECONNRESET'));
        else this.#over(Object.assign(new Error('other side closed'), { code: 'UND_ERR_SOCKET' }));
        break;
    }
    this.#wakeReader?.();
  }

  async *#body(): AsyncGenerator<Uint8Array> {
    try {
      for (;;) {
        const piece = this.#arrived.shift();
        if (piece !== undefined) {
          this.#arrivedBytes -= piece.byteLength;
          this.#wakeSender?.();
          yield piece;
          continue;
        }
        if (this.#ended === 'well') return;
        if (this.#ended !== 'no') throw this.#ended;
        await new Promise<void>((resolve) => {
          this.#wakeReader = resolve;
        });
      }
    } finally {
      this.cut(null);
    }
  }

  #over(how: 'well' | Error): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#ended = how;
    this.#timer?.[Symbol.dispose]();
    this.#unhook();
    this.#note(how === 'well' ? 'over' : `over: ${how.message}`);
    this.#settle?.reject(how === 'well' ? unreachable(this.origin, 'UND_ERR_SOCKET') : how);
    this.#settle = null;
    this.#wakeReader?.();
    this.#options.onOver(this);
  }

  #pieces(bytes: Uint8Array): readonly Uint8Array[] {
    const { random, cutChance } = this.#options;
    if (bytes.byteLength < 2 || !random.chance(cutChance)) return [bytes];
    const cuts = Array.from({ length: random.between(1, PIECES_MAX - 1) }, () =>
      random.between(1, bytes.byteLength - 1),
    ).sort((a, b) => a - b);
    return [0, ...cuts].map((from, at) => bytes.subarray(from, cuts[at])).filter((piece) => piece.length > 0);
  }

  #tripMs(): number {
    const { latencyMs, random } = this.#options;
    return latencyMs * (0.5 + random.next());
  }

  #note(what: string, fields?: Readonly<Record<string, unknown>>): void {
    this.#options.trace.note(`net ${this.#options.number}`, `${this.peer} ${what}`, fields);
  }
}

/** In the words of `engines/transport.ts`. */
function unreachable(origin: string, reason: string): ServiceError {
  return new ServiceError('engine_unavailable', `no reply from ${origin}: ${reason}`, {
    details: { origin, reason },
  });
}
