/**
 * A file that comes over a connection, continued after every break from the byte where it ended. How the connection is
 * opened is the caller's (`web-body.ts`, an object store's client); here are patience, the bounds on silence, and the
 * rule that bytes of two versions of a file never come together: without a digest that would tell, what came is
 * continued only when the server says that the file is still the same.
 */
import { ServiceError } from '../core/errors.ts';
import type { Clock } from '../core/runtime.ts';
import { linkSignals } from '../lib/abort.ts';
import type { PartialFile } from './partial.ts';
import type { ModelSource, ProgressMeter } from './progress.ts';

export interface DownloadLimits {
  /** From the request to a connection that can be written to, TLS included. */
  readonly connectTimeoutMs: number;
  /** From there to the headers, and between any two pieces of the body. */
  readonly silenceTimeoutMs: number;
  /** Breaks in a row that brought no byte. */
  readonly fruitlessBreaksMax: number;
  readonly redirectsMax: number;
  /** Wait before going on after a break; doubled for each fruitless one. */
  readonly pauseMs: number;
  /** The longest wait that a server may ask for (Retry-After); asked for more, the fetch fails and says so. */
  readonly retryAfterMaxMs: number;
}

export const DEFAULT_DOWNLOAD_LIMITS: DownloadLimits = {
  connectTimeoutMs: 5_000,
  silenceTimeoutMs: 20_000,
  fruitlessBreaksMax: 3,
  redirectsMax: 5,
  pauseMs: 500,
  retryAfterMaxMs: 60_000,
};

/** A break worth going on after: the connection ended or fell silent, or the server asked for patience. */
export class Broken extends Error {
  /** The server answered, if only that it cannot now: it is there. */
  readonly isAnswer: boolean;
  /** How long the server asked to be left alone; 0 when it did not. */
  readonly retryAfterMs: number;

  constructor(message: string, options: { cause?: unknown; isAnswer?: boolean; retryAfterMs?: number } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.isAnswer = options.isAnswer ?? false;
    this.retryAfterMs = options.retryAfterMs ?? 0;
  }
}

export interface OpenedBody {
  /** Where in the file the body begins: as asked, or 0. */
  readonly fromBytes: number;
  /** Of the whole file; null when the server does not say. */
  readonly totalBytes: number | null;
  /** What changes when the file does (a strong ETag); null when the server gives none. */
  readonly version: string | null;
  readonly body: AsyncIterable<Uint8Array>;
  /** Ends the connection. Harmless after the body's end. */
  readonly close: () => void;
}

/**
 * Asks for the file from a byte on, of that version or else whole. `unchanged` when nothing came because what the caller
 * has is the server's version, `shorter` when the file there ends before the byte. Throws `Broken` where going on may
 * help.
 */
export type OpenBody = (
  from: { readonly bytes: number; readonly version: string | null },
  watch: Watch,
) => Promise<OpenedBody | 'unchanged' | 'shorter'>;

export interface DownloadContext {
  readonly clock: Clock;
  readonly limits: DownloadLimits;
  readonly meter: ProgressMeter;
  readonly source: ModelSource;
  /** The version that the bytes of an earlier start are of; null when unknown. */
  readonly version: string | null;
  /** Hears what is about to be appended to an empty file, before its first byte: what a later start must know. */
  readonly onVersion?: (version: string | null, totalBytes: number | null) => Promise<void>;
  /** The error when patience has ended. */
  readonly fail: (message: string, cause: unknown) => ServiceError;
}

/**
 * Appends what is missing to `partial`; returns when it is whole, or `unchanged` at the opener's word. Throws what `fail`
 * makes when the source cannot be reached or stops giving, leaving what came for the next try. Aborting closes the
 * connection and rejects with the signal's reason.
 */
export async function download(
  partial: PartialFile,
  open: OpenBody,
  context: DownloadContext,
  signal: AbortSignal,
): Promise<'whole' | 'unchanged'> {
  const { limits, meter } = context;
  const patience = new Patience(context.clock, limits, context.fail);
  let version = context.version;
  meter.begin('fetching', context.source, partial.bytes, partial.expectedBytes ?? 0);
  while (!partial.isWhole) {
    if (version === null && !partial.isDigestKnown && partial.bytes > 0) await partial.restart();
    const before = partial.bytes;
    try {
      using watch = new Watch(context.clock, limits, signal);
      try {
        const opened = await open({ bytes: partial.bytes, version }, watch);
        if (opened === 'unchanged') return 'unchanged';
        if (opened === 'shorter') {
          await partial.restart();
          throw new Broken('the file there is shorter than what was fetched (416)', { isAnswer: true });
        }
        patience.reached();
        try {
          version = await follow(opened, partial, context, version);
          for await (const chunk of opened.body) {
            watch.heard();
            await partial.append(chunk);
            meter.advance(partial.bytes);
          }
        } finally {
          opened.close();
        }
      } catch (error) {
        throw watch.explain(error);
      }
      if (partial.expectedBytes === null) partial.expect(partial.bytes);
      if (!partial.isWhole)
        throw new Broken(`the body ended at ${partial.bytes} of ${partial.expectedBytes} bytes`);
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (!(error instanceof Broken)) throw error;
      await patience.after(error, partial.bytes > before, signal);
    }
  }
  return 'whole';
}

/** Makes `partial` fit what the server is about to send; gives the version that it then is of. */
async function follow(
  opened: OpenedBody,
  partial: PartialFile,
  context: DownloadContext,
  version: string | null,
): Promise<string | null> {
  if (opened.fromBytes > 0) {
    const isSame =
      opened.fromBytes === partial.bytes &&
      (opened.totalBytes === null ||
        partial.expectedBytes === null ||
        opened.totalBytes === partial.expectedBytes) &&
      (opened.version === null || version === null || opened.version === version);
    if (!isSame) {
      await partial.restart();
      throw new Broken('another range came than was asked for, or one of another version of the file');
    }
    if (opened.totalBytes !== null) partial.expect(opened.totalBytes);
    return version;
  }
  await partial.restart();
  if (opened.totalBytes !== null) partial.expect(opened.totalBytes);
  await partial.requireRoom();
  await context.onVersion?.(opened.version, opened.totalBytes);
  context.meter.begin('fetching', context.source, 0, partial.expectedBytes ?? 0);
  return opened.version;
}

/** What a source says in one short answer, asked again after breaks as a file is. Throws as `download` does. */
export async function patiently<T>(
  ask: (watch: Watch) => Promise<T>,
  context: Pick<DownloadContext, 'clock' | 'limits' | 'fail'>,
  signal: AbortSignal,
): Promise<T> {
  const patience = new Patience(context.clock, context.limits, context.fail);
  for (;;) {
    using watch = new Watch(context.clock, context.limits, signal);
    try {
      return await ask(watch);
    } catch (error) {
      const explained = watch.explain(error);
      if (!(explained instanceof Broken)) throw explained;
      await patience.after(explained, false, signal);
    }
  }
}

/** How often a source is asked again: more often while something comes of it, not at all where nobody is there. */
class Patience {
  readonly #clock: Clock;
  readonly #limits: DownloadLimits;
  readonly #fail: DownloadContext['fail'];
  #fruitless = 0;
  #isReached = false;

  constructor(clock: Clock, limits: DownloadLimits, fail: DownloadContext['fail']) {
    this.#clock = clock;
    this.#limits = limits;
    this.#fail = fail;
  }

  /** The source has answered. */
  reached(): void {
    this.#isReached = true;
  }

  /** Waits until the next try is due, or throws what `fail` makes of the break. */
  async after(error: Broken, hasGained: boolean, signal: AbortSignal): Promise<void> {
    if (hasGained || error.isAnswer) this.#isReached = true;
    this.#fruitless = hasGained ? 0 : this.#fruitless + 1;
    // A source that was never reached is given up at once; one that was, is given some patience.
    if (this.#fruitless > this.#limits.fruitlessBreaksMax || !this.#isReached)
      throw this.#fail(error.message, error);
    const { retryAfterMs } = error;
    if (retryAfterMs > this.#limits.retryAfterMaxMs)
      throw this.#fail(
        `${error.message}, and asks to come back after ${Math.ceil(retryAfterMs / 1000)} s`,
        error,
      );
    await this.#clock.sleep(Math.max(retryAfterMs, this.#limits.pauseMs * 2 ** this.#fruitless), signal);
  }
}

/** The two bounds on silence, and the caller's signal, as one signal. */
export class Watch implements Disposable {
  readonly #clock: Clock;
  readonly #limits: DownloadLimits;
  readonly #outer: AbortSignal;
  readonly #link;
  #timer: Disposable;
  #reason: string | null = null;

  constructor(clock: Clock, limits: DownloadLimits, outer: AbortSignal) {
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

  /** A further connection is being made, to where a redirect points. */
  connecting(): void {
    this.#timer[Symbol.dispose]();
    this.#timer = this.#arm(
      this.#limits.connectTimeoutMs,
      `no connection within ${this.#limits.connectTimeoutMs / 1000} s`,
    );
  }

  /** The connection stands, or something came over it. */
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
    if (error instanceof Broken || error instanceof ServiceError) return error;
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
