/**
 * The shared tier in Valkey or Redis. One question is one round trip that gives variants, the lead, or the flight to join;
 * it is waited for at most `waitMs`, and whatever is wrong with the server, the answer is that there is none. Equal
 * questions of one moment are asked once. What comes back is decoded as untrusted.
 */
import { ServiceError } from '../../core/errors.ts';
import type { Clock, Logger, Random } from '../../core/runtime.ts';
import type { SharedLook, SharedTier } from '../shared-tier.ts';
import { decodeVariants, encodeVariants, type Variant } from '../variant.ts';
import type { SharedAddress } from './address.ts';
import { Connection, NotAsked } from './connection.ts';
import { FaultBook, faultOf, faultOfReply, SHARED_FAULTS, type SharedFault } from './faults.ts';
import { Keeper } from './keeper.ts';
import { HeldLease } from './lease.ts';
import { Mirrors } from './mirrors.ts';
import type { SharedRecallOptions } from './options.ts';
import { Patience } from './patience.ts';
import { FINISH, LOOK } from './scripts.ts';

const AWAY = { kind: 'away' } as const satisfies SharedLook;
const NOTHING = { kind: 'nothing' } as const satisfies SharedLook;
/** How our encoded variants begin; what begins otherwise is another version's. */
const VARIANTS_HEAD = encodeVariants([]).slice(0, -2);
/** When our own loop came so late to the timer, the answer may lie in the socket: it is looked at once more. */
const LOOP_LATE_MS = 2;
const CLOSE_WAIT_MS = 200;
const SCAN_COUNT = 500;

export interface SharedTierParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** Told of each fault, for the metrics. Must not throw. */
  readonly onFault: (fault: SharedFault) => void;
}

/** Returns at once; the server is reached in the background, or not. */
export function openSharedTier(
  options: SharedRecallOptions,
  address: SharedAddress,
  parts: SharedTierParts,
): SharedTier {
  return new RedisTier(options, address, parts);
}

/** What one round trip gave to all who asked the same at once. */
type Answer =
  | Exclude<SharedLook, { kind: 'lead' | 'join' }>
  | { readonly kind: 'lead'; readonly flightId: string }
  | { readonly kind: 'join'; readonly flightId: string };

interface Question {
  readonly answer: Promise<Answer>;
  askers: number;
  isLed: boolean;
}

class RedisTier implements SharedTier {
  readonly #options: SharedRecallOptions;
  readonly #parts: SharedTierParts;
  readonly #faults: FaultBook;
  readonly #connection: Connection;
  readonly #patience: Patience;
  readonly #mirrors: Mirrors;
  readonly #keeper: Keeper;
  readonly #questions = new Map<string, Question>();
  readonly #leases = new Set<HeldLease>();
  #isClosed = false;

  constructor(options: SharedRecallOptions, address: SharedAddress, parts: SharedTierParts) {
    this.#options = options;
    this.#parts = parts;
    const { clock, random, log, onFault } = parts;
    const inbox = `${options.keyPrefix}i:${random.id('gw')}`;
    this.#faults = new FaultBook({ log, shown: address.shown, onFault });
    const faults = this.#faults;
    const onError = (error: unknown) => this.#onError(error);
    this.#connection = new Connection({
      address,
      random,
      inbox,
      unansweredMax: options.unansweredMax,
      onMessage: (text) => this.#mirrors.hear(text),
      onReady: () => this.#keeper.send(),
      onLost: () => this.#onLost(),
      onError: (error) => {
        const { fault, code } = faultOf(error);
        if (!this.#isClosed) faults.tell(fault, code);
      },
    });
    const connection = this.#connection;
    this.#patience = new Patience({
      clock,
      random,
      restMs: options.restMs,
      ping: () => this.#isAnsweredInTime(),
      onRest: () => faults.tell('resting'),
      onAwake: () => {
        faults.reached();
        this.#keeper.send();
      },
    });
    this.#mirrors = new Mirrors({
      connection,
      clock,
      inbox,
      leaseMs: options.leaseMs,
      onError,
      onFault: (fault) => faults.note({ fault }),
    });
    this.#keeper = new Keeper({
      connection,
      queuedMax: options.queuedMax,
      entryBytesMax: options.entryBytesMax,
      isResting: () => this.#patience.isResting,
      onKept: (words) => {
        this.#noteWords(words);
        if (words === '') faults.written();
      },
      onError,
      onDropped: () => faults.note({ fault: 'dropped' }),
    });
  }

  get isReachable(): boolean {
    return this.#connection.isReady && this.#connection.hears && !this.#patience.isResting;
  }

  async look(key: string, mayLead: boolean, signal: AbortSignal): Promise<SharedLook> {
    if (signal.aborted || this.#isClosed) return AWAY;
    if (!this.#connection.isReady) return this.#away('unreachable');
    if (this.#patience.isResting) return this.#away('resting');
    const question = this.#question(key, mayLead);
    question.askers += 1;
    const answer = await question.answer;
    question.askers -= 1;
    const isGone = signal.aborted || this.#isClosed;
    const mayTake = answer.kind === 'lead' && !question.isLed;
    if (mayTake && !isGone) {
      question.isLed = true;
      return { kind: 'lead', lease: this.#leaseOf(this.#flightKey(key), answer.flightId) };
    }
    // Nobody is left to lead what was given to us.
    if (mayTake && question.askers === 0) this.#giveBack(this.#flightKey(key), answer.flightId);
    if (isGone) return AWAY;
    if (answer.kind !== 'lead' && answer.kind !== 'join') return answer;
    if (!this.#connection.hears) return NOTHING;
    return { kind: 'join', flight: this.#mirrors.of(this.#flightKey(key), answer.flightId) };
  }

  keep(
    key: string,
    variant: Variant,
    limits: { readonly variantsMax: number; readonly ttlMs: number },
  ): void {
    if (!this.#isClosed) this.#keeper.keep(key, this.#entryKey(key), variant, limits);
  }

  async forget(npcId: string | null, signal: AbortSignal): Promise<number> {
    const isTheirs = (key: string) => npcId === null || key.startsWith(`${npcId}:`);
    this.#keeper.forget(isTheirs);
    const whose = npcId === null ? '' : `${npcId}:`;
    const { keyPrefix } = this.#options;
    const entries = `${keyPrefix}v:{${whose}`;
    const pattern = `${globLiteral(keyPrefix)}[vf]:{${globLiteral(whose)}*`;
    let forgotten = 0;
    try {
      for (let cursor = ''; cursor !== '0'; ) {
        signal.throwIfAborted();
        const [next, keys] = await this.#connection.scan(cursor || '0', pattern, SCAN_COUNT);
        cursor = next;
        if (keys.length === 0) continue;
        await this.#connection.unlink(keys);
        // A walk may show a key twice only while the server resizes its table; by then it is gone.
        forgotten += keys.filter((each) => each.startsWith(entries)).length;
      }
    } catch (error) {
      signal.throwIfAborted();
      const { code, fault } = error instanceof NotAsked ? { code: '', fault: error.fault } : faultOf(error);
      throw new ServiceError(
        'store_unavailable',
        `the shared tier forgot ${forgotten} keys and then failed: ${SHARED_FAULTS[fault]} (${code || fault}); forget again when it is back`,
        { cause: error },
      );
    }
    return forgotten;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) return;
    for (const lease of [...this.#leases]) lease[Symbol.dispose]();
    this.#isClosed = true;
    this.#patience[Symbol.dispose]();
    this.#mirrors.lose();
    await this.#within(CLOSE_WAIT_MS, this.#connection.idle());
    this.#connection.close();
  }

  #question(key: string, mayLead: boolean): Question {
    const name = `${mayLead ? 'lead' : 'look'} ${key}`;
    const asked = this.#questions.get(name);
    if (asked !== undefined) return asked;
    const answer = this.#ask(key, mayLead).finally(() => this.#questions.delete(name));
    const question: Question = { answer, askers: 0, isLed: false };
    this.#questions.set(name, question);
    return question;
  }

  /** Never rejects. */
  async #ask(key: string, mayLead: boolean): Promise<Answer> {
    const { entryBytesMax, leaseMs, waitMs } = this.#options;
    const flightKey = this.#flightKey(key);
    const flightId = mayLead ? this.#parts.random.id('flt') : '';
    const keys = [this.#entryKey(key), flightKey];
    const reply = this.#connection.run(LOOK, keys, [entryBytesMax, VARIANTS_HEAD, flightId, leaseMs]);
    let inTime: { readonly value: unknown } | 'late';
    try {
      inTime = await this.#within(waitMs, reply);
    } catch (error) {
      this.#onError(error);
      // What never left says nothing about the server.
      if (!(error instanceof NotAsked)) this.#patience.missed();
      return AWAY;
    }
    if (inTime !== 'late') {
      this.#patience.inTime();
      this.#faults.reached();
      return this.#read(inTime.value);
    }
    this.#faults.count('slow');
    this.#patience.missed();
    reply.then(
      (late) => {
        if (Array.isArray(late) && late[0] === 'lead') this.#giveBack(flightKey, flightId);
      },
      (error: unknown) => this.#onError(error),
    );
    return AWAY;
  }

  #read(reply: unknown): Answer {
    if (!Array.isArray(reply)) return NOTHING;
    const [kind, words, ...rest] = reply.map(String);
    this.#noteWords(words ?? '');
    if (kind === 'variants') {
      const [leftMs, ...encoded] = rest;
      const read = encoded.map(decodeVariants);
      if (read.includes(null)) this.#faults.note({ fault: 'malformed' });
      const variants = read.flatMap((each) => each ?? []);
      return variants.length === 0 ? NOTHING : { kind, variants, leftMs: Number(leftMs) };
    }
    if ((kind === 'lead' || kind === 'join') && rest[0] !== undefined) return { kind, flightId: rest[0] };
    return NOTHING;
  }

  #leaseOf(flightKey: string, flightId: string): HeldLease {
    const { clock } = this.#parts;
    const lease = new HeldLease(
      {
        connection: this.#connection,
        clock,
        leaseMs: this.#options.leaseMs,
        onError: (error) => this.#onError(error),
        onEnd: (ended) => this.#leases.delete(ended),
      },
      flightKey,
      flightId,
    );
    this.#leases.add(lease);
    return lease;
  }

  #giveBack(flightKey: string, flightId: string): void {
    this.#connection
      .run(FINISH, [flightKey], [flightId, 'lost', 0])
      .catch((error: unknown) => this.#onError(error));
  }

  async #isAnsweredInTime(): Promise<boolean> {
    try {
      return (await this.#within(this.#options.waitMs, this.#connection.ping())) !== 'late';
    } catch {
      return false;
    }
  }

  /** Waits at most so long; what comes later, be it an error, is nobody's. */
  #within<T>(durationMs: number, promise: Promise<T>): Promise<{ readonly value: T } | 'late'> {
    const { clock } = this.#parts;
    const dueMonoMs = clock.monotonicMs() + durationMs;
    return new Promise((resolve, reject) => {
      let isLastCall = false;
      const ring = () => {
        if (isLastCall || clock.monotonicMs() - dueMonoMs < LOOP_LATE_MS) return resolve('late');
        isLastCall = true;
        timer = clock.timer(0, ring);
      };
      let timer = clock.timer(durationMs, ring);
      promise.then((value) => resolve({ value }), reject).finally(() => timer[Symbol.dispose]());
    });
  }

  #away(fault: SharedFault): SharedLook {
    this.#faults.count(fault);
    return AWAY;
  }

  #onLost(): void {
    this.#mirrors.lose();
    if (!this.#isClosed) this.#faults.tell('unreachable');
  }

  #onError(error: unknown): void {
    if (error instanceof NotAsked) this.#faults.count(error.fault);
    else if (!this.#connection.isReady) this.#faults.count('unreachable');
    else this.#faults.note(faultOf(error));
  }

  /** What a script says besides its answer: one of our faults, or the server's own words. */
  #noteWords(words: string): void {
    if (words === '') return;
    this.#faults.note(words in SHARED_FAULTS ? { fault: words as SharedFault } : faultOfReply(words));
  }

  #entryKey(key: string): string {
    return `${this.#options.keyPrefix}v:{${key}}`;
  }

  #flightKey(key: string): string {
    return `${this.#options.keyPrefix}f:{${key}}`;
  }
}

/** For a pattern that is meant to be taken to the letter. */
function globLiteral(text: string): string {
  return text.replace(/[\\*?[\]^]/gu, '\\$&');
}
