/**
 * An answer as server-sent events, in whatever words a door's encoder gives it. The head leaves with the first event,
 * each event leaves at once, a slow reader is waited for, and a comment breaks every silence of `heartbeatMs` so that
 * nothing between us and the game hangs up.
 */
import type { ServerResponse } from 'node:http';
import type { DialogueEvent } from '../core/dialogue.ts';
import type { ServiceError } from '../core/errors.ts';
import type { Clock } from '../core/runtime.ts';
import { invariant } from '../lib/invariant.ts';
import { encodeSseComment } from '../lib/sse.ts';
import type { DoorContext } from './door.ts';
import { writeAll } from './hang-up.ts';
import { shown } from './problem.ts';

export interface EventStreamOptions {
  readonly clock: Clock;
  /** Milliseconds of silence after which a comment is sent. */
  readonly heartbeatMs: number;
}

/** A wire's words for an answer: whole events, or '' for what it does not say. */
export interface EventEncoder {
  event(event: DialogueEvent): string;
  error(error: ServiceError): string;
}

/**
 * Sends an answer to its end. Throws what comes before the first event, so that a wrong request is refused with its own
 * status; after it an error is the last event, and a client that left ends the answer.
 */
export async function sendEvents(
  { services, limits }: DoorContext,
  events: AsyncIterable<DialogueEvent>,
  encoder: EventEncoder,
  reply: { readonly raw: ServerResponse; begin(): void },
  signal: AbortSignal,
): Promise<void> {
  const iterator = events[Symbol.asyncIterator]();
  let next = await iterator.next();
  signal.throwIfAborted();
  reply.begin();
  using output = new EventStream(reply.raw, { clock: services.clock, heartbeatMs: limits.heartbeatMs });
  try {
    let isDone = false;
    // To the very end: what follows `done` is the answer's own work, such as keeping the turn.
    for (; !next.done; next = await iterator.next()) {
      const encoded = encoder.event(next.value);
      if (encoded !== '') await output.send(encoded, signal);
      isDone ||= next.value.type === 'done';
    }
    invariant(isDone, 'an answer ended without `done`');
  } catch (error) {
    if (signal.aborted) return;
    const told = encoder.error(shown(error, services.log, limits.bodyBytesMax));
    await output.send(told, signal).catch(() => {});
  } finally {
    await iterator.return?.();
  }
}

const HEARTBEAT = encodeSseComment('heartbeat');

export class EventStream implements Disposable {
  readonly #raw: ServerResponse;
  readonly #options: EventStreamOptions;
  #wroteMonoMs: number;
  #timer: Disposable;

  /** Writes the head, which leaves with the first event; from here errors are events. */
  constructor(raw: ServerResponse, options: EventStreamOptions) {
    this.#raw = raw;
    this.#options = options;
    raw.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache, no-transform',
      // nginx would hold the sentences back.
      'x-accel-buffering': 'no',
    });
    this.#wroteMonoMs = options.clock.monotonicMs();
    this.#timer = this.#arm(options.heartbeatMs);
  }

  /** Sends encoded events. Rejects with the signal's reason when the client is gone. */
  async send(encoded: string, signal: AbortSignal): Promise<void> {
    this.#wroteMonoMs = this.#options.clock.monotonicMs();
    await writeAll(this.#raw, encoded, signal);
  }

  /** Ends the reply. */
  [Symbol.dispose](): void {
    this.#timer[Symbol.dispose]();
    this.#raw.end();
  }

  /** One timer for the whole stream that looks how long it was silent, so that a token costs no timer. */
  #arm(waitMs: number): Disposable {
    return this.#options.clock.timer(waitMs, () => {
      const silentMs = this.#options.clock.monotonicMs() - this.#wroteMonoMs;
      const dueMs = this.#options.heartbeatMs - silentMs;
      if (dueMs <= 0) {
        this.#wroteMonoMs = this.#options.clock.monotonicMs();
        // A client that does not read gets no heartbeats piled up.
        if (!this.#raw.writableNeedDrain) this.#raw.write(HEARTBEAT);
      }
      this.#timer = this.#arm(dueMs <= 0 ? this.#options.heartbeatMs : dueMs);
    });
  }
}
