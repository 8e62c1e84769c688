/**
 * Flights that other gateways lead, as they are known here: what the server holds of one is asked for once, from then on
 * its sentences come to our inbox. A gap, or silence until the lease must have ended, asks again; nothing else does.
 * All who follow the same flight share one mirror.
 */
import type { Clock } from '../../core/runtime.ts';
import { Flight } from '../flights.ts';
import type { FlightElsewhere, FlownSentence } from '../shared-tier.ts';
import type { Connection } from './connection.ts';
import { decodeFlown, FLOWN_LENGTH_MAX, FLOWN_SENTENCES_MAX } from './flown.ts';
import { HEAR } from './scripts.ts';

/** The server forgets a lease a little after its time. */
const GRACE_MS = 5;

export interface MirrorsParts {
  readonly connection: Connection;
  readonly clock: Pick<Clock, 'timer'>;
  readonly inbox: string;
  readonly leaseMs: number;
  readonly onError: (error: unknown) => void;
  /** Told of a sentence that is not one. */
  readonly onMalformed: () => void;
}

interface Mirror {
  readonly flightKey: string;
  readonly id: string;
  readonly flight: Flight;
  /** Index of the sentence that comes next. */
  next: number;
  followers: number;
  /** Whether the server is being asked, and whether something was told meanwhile that may be missing in its answer. */
  asking: 'no' | 'asking' | 'again';
  watch: Disposable | null;
}

export class Mirrors {
  readonly #parts: MirrorsParts;
  readonly #mirrors = new Map<string, Mirror>();

  constructor(parts: MirrorsParts) {
    this.#parts = parts;
  }

  /** How many flights are followed. */
  get size(): number {
    return this.#mirrors.size;
  }

  of(flightKey: string, id: string): FlightElsewhere {
    return { follow: (from, signal) => this.#follow(flightKey, id, from, signal) };
  }

  /** A message of the inbox: `<id> <index> <sentence>` or `<id> end <how>`. */
  hear(message: string): void {
    const [id = '', what = ''] = message.slice(0, 200).split(' ', 2);
    const mirror = this.#mirrors.get(id);
    if (mirror === undefined) return;
    if (mirror.asking !== 'no') mirror.asking = 'again';
    else if (what === 'end') {
      if (message.endsWith(' landed')) this.#end(mirror, 'landed');
      else this.#end(mirror, 'lost');
    } else if (Number(what) === mirror.next) {
      this.#say(mirror, message.slice(id.length + what.length + 2));
      this.#watch(mirror, this.#parts.leaseMs + GRACE_MS);
    } else if (!(Number(what) < mirror.next)) this.#ask(mirror);
  }

  /** Nothing more will be heard. */
  lose(): void {
    for (const mirror of [...this.#mirrors.values()]) this.#end(mirror, 'lost');
  }

  async *#follow(
    flightKey: string,
    id: string,
    from: number,
    signal: AbortSignal,
  ): AsyncGenerator<FlownSentence, 'landed' | 'lost'> {
    const mirror = this.#mirrors.get(id) ?? this.#open(flightKey, id);
    mirror.followers += 1;
    try {
      return yield* mirror.flight.follow(from, signal);
    } finally {
      mirror.followers -= 1;
      if (mirror.followers === 0) this.#end(mirror, 'lost');
    }
  }

  #open(flightKey: string, id: string): Mirror {
    const mirror: Mirror = {
      flightKey,
      id,
      flight: new Flight(() => {}),
      next: 0,
      followers: 0,
      asking: 'no',
      watch: null,
    };
    this.#mirrors.set(id, mirror);
    this.#ask(mirror);
    return mirror;
  }

  #ask(mirror: Mirror): void {
    mirror.asking = 'asking';
    const { connection, inbox, leaseMs } = this.#parts;
    // A server that does not answer for as long as a lease has lost it.
    this.#watch(mirror, leaseMs, () => this.#end(mirror, 'lost'));
    const args = [mirror.id, inbox, mirror.next, FLOWN_SENTENCES_MAX, FLOWN_LENGTH_MAX];
    connection.run(HEAR, [mirror.flightKey], args).then(
      (reply) => this.#heard(mirror, reply),
      (error: unknown) => {
        this.#parts.onError(error);
        this.#end(mirror, 'lost');
      },
    );
  }

  #heard(mirror: Mirror, reply: unknown): void {
    if (this.#mirrors.get(mirror.id) !== mirror) return;
    const [state, leftMs, ...sentences] = Array.isArray(reply) ? (reply as unknown[]) : [];
    for (const sentence of sentences) this.#say(mirror, String(sentence));
    if (!this.#mirrors.has(mirror.id)) return;
    if (state === 'landed') this.#end(mirror, 'landed');
    else if (state !== 'on') this.#end(mirror, 'lost');
    else if (mirror.asking === 'again') this.#ask(mirror);
    else {
      mirror.asking = 'no';
      this.#watch(mirror, Math.max(0, Number(leftMs)) + GRACE_MS);
    }
  }

  #say(mirror: Mirror, encoded: string): void {
    const sentence = decodeFlown(encoded);
    if (sentence === null || mirror.next >= FLOWN_SENTENCES_MAX) {
      this.#parts.onMalformed();
      this.#end(mirror, 'lost');
      return;
    }
    mirror.next += 1;
    mirror.flight.said(sentence);
  }

  #watch(mirror: Mirror, durationMs: number, ring = () => this.#ask(mirror)): void {
    mirror.watch?.[Symbol.dispose]();
    mirror.watch = this.#mirrors.has(mirror.id) ? this.#parts.clock.timer(durationMs, ring) : null;
  }

  #end(mirror: Mirror, how: 'landed' | 'lost'): void {
    mirror.watch?.[Symbol.dispose]();
    mirror.watch = null;
    if (this.#mirrors.get(mirror.id) === mirror) this.#mirrors.delete(mirror.id);
    if (how === 'landed') mirror.flight.landed();
    else mirror.flight[Symbol.dispose]();
  }
}
