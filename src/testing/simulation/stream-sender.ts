/** Sends one answer token by token over a wire, and spoils it on the way when a fault was chosen. */

import type { SeededRandom } from '../../planning/seeded-random.ts';
import type { VirtualClock } from '../../planning/virtual-clock.ts';
import type { Generation } from './engine.ts';
import type { StreamFault } from './faults.ts';
import type { ServerSide } from './network.ts';
import type { Asked, Wire } from './wires.ts';

export interface StreamSenderOptions {
  readonly wire: Wire;
  readonly asked: Asked;
  readonly generation: Generation;
  readonly side: ServerSide;
  readonly clock: VirtualClock;
  readonly random: SeededRandom;
  readonly decodeMsPerToken: number;
  readonly fault: StreamFault | null;
  /** Whether the engine has stopped making tokens behind everybody's back. */
  readonly isStuck: () => boolean;
}

/** Over every reader's limit for one event. */
const HUGE_EVENT_CHARACTERS = 1_100_000;
/** An answer that never ends by itself is ended here, so that a forgotten one ends the simulation all the same. */
const ENDLESS_TOKENS = 20_000;
const DRIP_BYTES = 7;

/** Chunks of real servers that hold nothing, and must hurt nobody. */
const ODD_EVENTS = [
  ': keep-alive\n\n',
  'data: {"choices":[]}\n\n',
  'data: {"choices":null}\n\n',
  'data: {"choices":[{"index":0,"delta":null}]}\n\n',
  'data: {"choices":[{"index":0,"delta":{"content":null}}]}\n\n',
  'retry: 100\n\n',
];

export class StreamSender {
  readonly #options: StreamSenderOptions;

  constructor(options: StreamSenderOptions) {
    this.#options = options;
  }

  /** Rejects when stopped. */
  async send(tokens: readonly string[], stopped: AbortSignal): Promise<void> {
    const { wire, asked, generation, side, random, fault } = this.#options;
    side.head(200, { 'content-type': wire.contentType });
    await this.#write(wire.begin(asked, generation));
    if (fault === 'empty-answer') return await this.#finish('stop');
    const isEndless = fault === 'endless';
    const count = isEndless ? ENDLESS_TOKENS : Math.min(tokens.length, asked.maxTokens);
    const spoiledAt = random.between(0, Math.max(0, count - 1));
    for (let at = 0; at < count; at++) {
      await this.#decode(stopped);
      if (at === spoiledAt && (await this.#spoil(stopped)) === 'over') return;
      generation.completionTokens += 1;
      const text = tokens[at % tokens.length] ?? '';
      const event = wire.token(text, asked, generation);
      await (fault === 'drip' ? this.#drip(event, stopped) : this.#write(event));
      if (fault === 'duplicate-events' && random.chance(0.3)) await this.#write(event);
    }
    if (fault === 'truncated') return side.end();
    if (fault === 'done-without-finish') {
      await this.#write(wire.end);
      return side.end();
    }
    await this.#finish(fault === 'aborted-finish' ? 'aborted' : count < tokens.length ? 'length' : 'stop');
  }

  async #finish(reason: 'stop' | 'length' | 'aborted'): Promise<void> {
    const { wire, asked, generation, side, fault } = this.#options;
    const counted =
      fault === 'usage-missing'
        ? null
        : fault === 'usage-absurd'
          ? { promptTokens: -3, completionTokens: 1e15 }
          : generation;
    generation.isFinished = reason !== 'aborted';
    await this.#write(wire.finish(reason, asked, counted) + wire.end);
    side.end();
  }

  async #decode(stopped: AbortSignal): Promise<void> {
    const { clock, decodeMsPerToken, isStuck } = this.#options;
    do await clock.sleep(decodeMsPerToken, stopped);
    while (isStuck());
  }

  /** Once in the stream, at a moment that the seed chooses. `over`: nothing more is to be sent. */
  async #spoil(stopped: AbortSignal): Promise<'over' | 'goes on'> {
    const { wire, side, clock, random, fault } = this.#options;
    switch (fault) {
      case 'stall':
        await clock.sleep(random.spread(200, 60_000), stopped);
        return 'goes on';
      case 'reset':
        side.reset();
        return 'over';
      case 'truncated':
        side.end();
        return 'over';
      case 'error-event':
        await this.#write(wire.failure('CUDA error: an illegal memory access was encountered'));
        side.end();
        return 'over';
      case 'error-event-then-done':
        await this.#write(wire.failure('the engine died') + wire.end);
        side.end();
        return 'over';
      case 'garbage-bytes':
        await side.send(random.bytes(random.between(1, 200)));
        return 'goes on';
      case 'garbage-event':
        await this.#write(
          random.pick(['data: {"choices":[{"del\n\n', 'data: 42\n\n', '{]\n', 'data: null\n\n']),
        );
        return 'goes on';
      case 'huge-event':
        await this.#write(`data: {"pad":"${'x'.repeat(HUGE_EVENT_CHARACTERS)}"}\n\n`);
        return 'goes on';
      case 'odd-events':
        if (wire.contentType.startsWith('text/event-stream')) await this.#write(random.pick(ODD_EVENTS));
        return 'goes on';
      default:
        return 'goes on';
    }
  }

  async #write(text: string): Promise<void> {
    if (text !== '') await this.#options.side.send(Buffer.from(text));
  }

  async #drip(text: string, stopped: AbortSignal): Promise<void> {
    const { side, clock } = this.#options;
    const bytes = Buffer.from(text);
    for (let from = 0; from < bytes.length; from += DRIP_BYTES) {
      await clock.sleep(1, stopped);
      await side.send(bytes.subarray(from, from + DRIP_BYTES));
    }
  }
}
