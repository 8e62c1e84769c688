/**
 * A reply as server-sent events. The head leaves with the first event, each event leaves at once, a slow reader is
 * waited for, and a comment breaks every silence of `heartbeatMs` so that nothing between us and the game hangs up.
 */
import type { ServerResponse } from 'node:http';
import type { Clock } from '../core/runtime.ts';
import { encodeSseComment } from '../lib/sse.ts';
import { writeAll } from './hang-up.ts';

export interface EventStreamOptions {
  readonly clock: Clock;
  /** Milliseconds of silence after which a comment is sent. */
  readonly heartbeatMs: number;
}

const HEARTBEAT = encodeSseComment('heartbeat');

export class EventStream implements Disposable {
  readonly #raw: ServerResponse;
  readonly #options: EventStreamOptions;
  #wroteMonoMs: number;
  #timer: Disposable;

  /** Sends the head at once; from here errors are events. */
  constructor(raw: ServerResponse, options: EventStreamOptions) {
    this.#raw = raw;
    this.#options = options;
    raw.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache, no-transform',
      // nginx would hold the sentences back.
      'x-accel-buffering': 'no',
    });
    raw.flushHeaders();
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
