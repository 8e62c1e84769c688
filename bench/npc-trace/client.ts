/**
 * Plays a trace against a running server. Open loop: each line begins when the trace says, whatever became of the
 * earlier ones, on a connection of its own, stamped at the socket. Lines fail on error statuses, error events, streams
 * without an end and empty answers; players who hang up close the socket.
 */
import { machineMs } from '../load/clock.ts';
import { Connection } from '../load/connection.ts';
import { ChatReader, chatBody } from './chat-door.ts';
import { DialogueReader, dialogueBody } from './dialogue-door.ts';
import { type AnswerReader, NOTHING_HEARD } from './heard.ts';
import type { HintEntry, SayEntry, SayOutcome, Trace, TraceEntry } from './trace.ts';

interface Address {
  /** `http://127.0.0.1:8080`; a path before the door's own is kept, and a final `/v1` is not doubled. */
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface GreenroomTarget extends Address {
  readonly kind: 'greenroom';
  /** `sentence` (default): TTFT is that of the first sentence, since nothing comes before it. */
  readonly units?: 'sentence' | 'token';
}

export interface OpenAiTarget extends Address {
  readonly kind: 'openai';
  readonly model: string;
  /** Default 0.4, as examples/body-broker has it. */
  readonly temperature?: number;
}

export type DriveTarget = GreenroomTarget | OpenAiTarget;

export interface DriveOptions {
  /** Multiplies the rate of the trace; how long players wait before they hang up stays as it is. */
  readonly speed: number;
  /** The part of the trace that is played, in its own milliseconds at speed 1. */
  readonly fromMs: number;
  readonly forMs: number;
  readonly includeBarks: boolean;
  /** Whether our own door is told which lines belong to one event. */
  readonly useEvents: boolean;
  /** Milliseconds after which nobody waits any more and the line has failed; default 30,000. */
  readonly giveUpMs?: number;
  /** Called at the end of each line, in the order of their ends. */
  readonly onOutcome?: (outcome: SayOutcome, entry: SayEntry) => void;
  /** Called for what is no line: a hint that was refused. */
  readonly onFault?: (fault: string) => void;
}

const GIVE_UP_MS = 30_000;
const TEMPERATURE = 0.4;
/** At once; a line for which there is none has failed: the server is too far behind for anybody to wait. */
const CONNECTIONS_MAX = 512;

/** Entries of the window, each with the moment at which it begins, in milliseconds from the start of the run. */
export function windowOf(
  entries: readonly TraceEntry[],
  options: Pick<DriveOptions, 'speed' | 'fromMs' | 'forMs' | 'includeBarks'>,
): { readonly dueMs: number; readonly entry: TraceEntry }[] {
  const { speed, fromMs, forMs, includeBarks } = options;
  return entries
    .filter(({ atMs }) => atMs >= fromMs && atMs < fromMs + forMs)
    .filter((entry) => includeBarks || entry.kind !== 'say' || entry.prompt !== '')
    .map((entry) => ({ dueMs: (entry.atMs - fromMs) / speed, entry }));
}

/**
 * Plays a part of the trace and waits until every line of it has ended or was given up. Outcomes come in the order of the
 * entries. Throws for an address that is not http and a speed that is not above 0; aborting closes every socket and
 * rejects with the signal's reason.
 */
export async function drive(
  trace: Trace,
  target: DriveTarget,
  options: DriveOptions,
  signal: AbortSignal,
): Promise<readonly SayOutcome[]> {
  if (!(options.speed > 0)) throw new Error(`speed is ${options.speed}; expected a number above 0`);
  signal.throwIfAborted();
  const run = new Run(trace, target, options);
  const aborted = Promise.withResolvers<never>();
  const abort = () => {
    run.stop();
    aborted.reject(signal.reason);
  };
  signal.addEventListener('abort', abort, { once: true });
  try {
    return await Promise.race([run.play(), aborted.promise]);
  } finally {
    signal.removeEventListener('abort', abort);
    run.stop();
  }
}

class Run {
  readonly #trace: Trace;
  readonly #target: DriveTarget;
  readonly #options: DriveOptions;
  readonly #door: Door;
  readonly #running = new Map<Line, string>();
  readonly #open = new Set<Connection>();
  #timer: NodeJS.Timeout | undefined;
  #isStopped = false;

  constructor(trace: Trace, target: DriveTarget, options: DriveOptions) {
    this.#trace = trace;
    this.#target = target;
    this.#options = options;
    this.#door = doorOf(target);
  }

  async play(): Promise<readonly SayOutcome[]> {
    const lines: Promise<SayOutcome>[] = [];
    const hints: Promise<void>[] = [];
    const startedMs = machineMs();
    for (const { dueMs, entry } of windowOf(this.#trace.entries, this.#options)) {
      await this.#until(startedMs + dueMs);
      if (this.#isStopped) return [];
      if (entry.kind === 'say') lines.push(this.#say(entry, startedMs + dueMs));
      else if (entry.kind === 'hint') hints.push(this.#hint(entry));
      else for (const [line, playerId] of this.#running) if (playerId === entry.playerId) line.hangUp();
    }
    await Promise.all(hints);
    return await Promise.all(lines);
  }

  /** Closes every socket; what runs has no outcome. */
  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    for (const line of this.#running.keys()) line.abandon();
    for (const connection of this.#open) connection.close();
  }

  async #until(atMs: number): Promise<void> {
    // Timers may fire a little early; a line that begins before its time would be measured too well.
    for (let waitMs = atMs - machineMs(); waitMs > 0 && !this.#isStopped; waitMs = atMs - machineMs()) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#timer = setTimeout(resolve, waitMs);
      await promise;
    }
  }

  #say(entry: SayEntry, dueAtMs: number): Promise<SayOutcome> {
    const { promise, resolve } = Promise.withResolvers<SayOutcome>();
    const { giveUpMs = GIVE_UP_MS, onOutcome } = this.#options;
    const line = new Line(entry, dueAtMs, giveUpMs, this.#readerFor(), (outcome) => {
      this.#running.delete(line);
      onOutcome?.(outcome, entry);
      resolve(outcome);
    });
    this.#running.set(line, entry.playerId);
    if (this.#open.size >= CONNECTIONS_MAX) line.fail(`over ${CONNECTIONS_MAX} connections at once`);
    else line.begin(this.#connect(), this.#door.request(this.#door.sayPath, this.#bodyOf(entry)));
    return promise;
  }

  #readerFor(): AnswerReader {
    return this.#target.kind === 'greenroom' ? new DialogueReader() : new ChatReader();
  }

  #bodyOf(entry: SayEntry): string {
    const target = this.#target;
    if (target.kind === 'openai') {
      const { model, temperature = TEMPERATURE } = target;
      return chatBody(this.#trace.header, entry, { model, temperature });
    }
    const { useEvents } = this.#options;
    return dialogueBody(entry, { units: target.units ?? 'sentence', useEvents });
  }

  /** A hint fails nothing and nobody waits for it, but one that is refused is told. */
  #hint(entry: HintEntry): Promise<void> {
    if (this.#target.kind !== 'greenroom' || this.#open.size >= CONNECTIONS_MAX) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    const connection = this.#connect();
    const { giveUpMs = GIVE_UP_MS, onFault } = this.#options;
    const end = (fault: string | null) => {
      clearTimeout(timer);
      connection.close();
      if (fault !== null) onFault?.(`hint for ${entry.npcIds.join(', ')}: ${fault}`);
      resolve();
    };
    const timer = setTimeout(() => end('no answer'), giveUpMs);
    let status = 0;
    connection.send(this.#door.request(this.#door.hintPath, JSON.stringify({ npc_ids: entry.npcIds })), {
      onHead: (got) => {
        status = got;
      },
      onBody: () => {},
      onEnd: () => end(status === 202 ? null : `status ${status}`),
      onFailure: (error) => end(this.#isStopped ? null : error.message),
    });
    return promise;
  }

  #connect(): Connection {
    const { host, port } = this.#door;
    const connection = new Connection(host, port, {
      onIdle: () => connection.close(),
      onClose: () => this.#open.delete(connection),
    });
    this.#open.add(connection);
    return connection;
  }
}

/** One line from its beginning to its end; tells its outcome once. */
class Line {
  readonly #entry: SayEntry;
  readonly #dueAtMs: number;
  readonly #beganAtMs = machineMs();
  readonly #reader: AnswerReader;
  readonly #tell: (outcome: SayOutcome) => void;
  readonly #giveUp: NodeJS.Timeout;
  readonly #leave: NodeJS.Timeout | undefined;
  #connection: Connection | null = null;
  #isOver = false;

  constructor(
    entry: SayEntry,
    dueAtMs: number,
    giveUpMs: number,
    reader: AnswerReader,
    tell: (outcome: SayOutcome) => void,
  ) {
    this.#entry = entry;
    this.#dueAtMs = dueAtMs;
    this.#reader = reader;
    this.#tell = tell;
    const afterMs = (ms: number) => Math.max(0, dueAtMs + ms - this.#beganAtMs);
    this.#giveUp = setTimeout(() => this.fail(`no whole answer in ${giveUpMs} ms`), afterMs(giveUpMs));
    if (entry.hangUpAfterMs !== undefined)
      this.#leave = setTimeout(() => this.hangUp(), afterMs(entry.hangUpAfterMs));
  }

  begin(connection: Connection, request: string): void {
    this.#connection = connection;
    connection.send(request, {
      onHead: (status) => this.#reader.onHead(status),
      onBody: (bytes, atMs) => this.#reader.onBody(bytes, atMs),
      onEnd: (atMs) => {
        const failure = this.#reader.failure();
        if (failure !== null) this.#end('failed', atMs, failure);
        else this.#end(this.#reader.heard().isUnspoken ? 'unspoken' : 'done', atMs);
      },
      onFailure: (error) => this.fail(error.message),
    });
  }

  /** The player has gone, or lost the connection. */
  hangUp(): void {
    this.#end('hung_up', machineMs());
  }

  fail(failure: string): void {
    this.#end('failed', machineMs(), failure);
  }

  /** Ends without an outcome. */
  abandon(): void {
    this.#isOver = true;
    this.#close();
  }

  #end(end: SayOutcome['end'], atMs: number, failure?: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#close();
    // What came before the break was heard, so its times and words are told of a failure as well.
    const heard = this.#connection === null ? NOTHING_HEARD : this.#reader.heard();
    const since = (at: number | null) => (at === null ? null : at - this.#dueAtMs);
    const { source, cause, promptTokens, cachedTokens, completionTokens, costUsd, text } = heard;
    this.#tell({
      id: this.#entry.id,
      tier: this.#entry.tier,
      isBark: this.#entry.prompt === '',
      startLateMs: this.#beganAtMs - this.#dueAtMs,
      ttftMs: since(heard.firstTextAtMs),
      ttfsMs: since(heard.firstSentenceAtMs),
      totalMs: atMs - this.#dueAtMs,
      end,
      ...(failure === undefined ? {} : { failure }),
      source,
      cause,
      promptTokens,
      cachedTokens,
      completionTokens,
      costUsd,
      text,
    });
  }

  #close(): void {
    clearTimeout(this.#giveUp);
    clearTimeout(this.#leave);
    this.#connection?.close();
  }
}

/** Where requests go, and how they are written. */
interface Door {
  readonly host: string;
  readonly port: number;
  readonly sayPath: string;
  readonly hintPath: string;
  request(path: string, body: string): string;
}

function doorOf({ kind, url, headers = {} }: DriveTarget): Door {
  const { protocol, hostname, host, port, pathname } = new URL(url);
  if (protocol !== 'http:')
    throw new Error(`${url}: only http is driven; put a proxy that ends TLS before it`);
  const base = pathname.replace(/\/+$/, '').replace(/\/v1$/, '');
  return {
    host: hostname,
    port: Number(port === '' ? 80 : port),
    sayPath: `${base}/v1/${kind === 'greenroom' ? 'dialogue' : 'chat/completions'}`,
    hintPath: `${base}/v1/prepare`,
    request: (path, body) => {
      const fields = {
        host,
        accept: 'text/event-stream',
        'content-type': 'application/json',
        'content-length': String(Buffer.byteLength(body)),
        ...headers,
      };
      const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
      return `POST ${path} HTTP/1.1\r\n${lines.join('')}\r\n${body}`;
    },
  };
}
