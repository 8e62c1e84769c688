/**
 * Questions to the server: one round trip that gives variants, the lead, or the flight to join, waited for at most `waitMs`.
 * Equal questions of one moment are asked once; of those who asked, one gets the lead and the others join it. A lead that
 * comes when nobody waits any more is given back at once, for others would wait for it.
 */
import type { Clock, Random } from '../../core/runtime.ts';
import type { SharedLook } from '../shared-tier.ts';
import { decodeVariants, encodeVariants } from '../variant.ts';
import { type Connection, NotAsked } from './connection.ts';
import { type FaultBook, faultOfReply } from './faults.ts';
import { inTime } from './in-time.ts';
import type { Patience } from './patience.ts';
import { FINISH, LOOK } from './scripts.ts';

/** How our encoded variants begin; what begins otherwise is another version's. */
const VARIANTS_HEAD = encodeVariants([]).slice(0, -2);

/** What one round trip gave. The lead is given to one only. */
export type Answer =
  | Exclude<SharedLook, { kind: 'lead' | 'join' }>
  | { readonly kind: 'lead'; readonly flightId: string }
  | { readonly kind: 'join'; readonly flightId: string };

export interface QuestionKeys {
  readonly entry: string;
  readonly flight: string;
}

export interface QuestionParts {
  readonly connection: Connection;
  readonly patience: Patience;
  readonly faults: FaultBook;
  readonly clock: Pick<Clock, 'timer' | 'monotonicMs'>;
  readonly random: Pick<Random, 'id'>;
  readonly waitMs: number;
  readonly leaseMs: number;
  readonly entryBytesMax: number;
  readonly onError: (error: unknown) => void;
}

interface Question {
  readonly answer: Promise<Answer>;
  askers: number;
  isLed: boolean;
}

export class Questions {
  readonly #parts: QuestionParts;
  readonly #open = new Map<string, Question>();

  constructor(parts: QuestionParts) {
    this.#parts = parts;
  }

  /** Never rejects. `isGone` is asked when the answer is there: who has gone takes no lead and gets `away`. */
  async ask(keys: QuestionKeys, mayLead: boolean, isGone: () => boolean): Promise<Answer> {
    const question = this.#question(keys, mayLead);
    question.askers += 1;
    const answer = await question.answer;
    question.askers -= 1;
    if (answer.kind !== 'lead') return isGone() ? { kind: 'away' } : answer;
    if (question.isLed) return isGone() ? { kind: 'away' } : { kind: 'join', flightId: answer.flightId };
    if (!isGone()) {
      question.isLed = true;
      return answer;
    }
    if (question.askers === 0) this.#giveBack(keys.flight, answer.flightId);
    return { kind: 'away' };
  }

  #question(keys: QuestionKeys, mayLead: boolean): Question {
    const name = `${mayLead ? 'lead' : 'look'} ${keys.entry}`;
    const open = this.#open.get(name);
    if (open !== undefined) return open;
    const answer = this.#ask(keys, mayLead).finally(() => this.#open.delete(name));
    const question: Question = { answer, askers: 0, isLed: false };
    this.#open.set(name, question);
    return question;
  }

  async #ask(keys: QuestionKeys, mayLead: boolean): Promise<Answer> {
    const { connection, patience, faults, clock, random, onError } = this.#parts;
    const { entryBytesMax, leaseMs, waitMs } = this.#parts;
    const flightId = mayLead ? random.id('flt') : '';
    const askedMonoMs = clock.monotonicMs();
    const args = [entryBytesMax, VARIANTS_HEAD, flightId, leaseMs];
    const reply = connection.run(LOOK, [keys.entry, keys.flight], args);
    try {
      const answer = await inTime(reply, waitMs, clock);
      if (answer !== 'late') {
        patience.inTime();
        faults.reached();
        return this.#read(answer.value);
      }
    } catch (error) {
      onError(error);
      // What never left says nothing about the server.
      if (!(error instanceof NotAsked)) patience.missed(askedMonoMs);
      return { kind: 'away' };
    }
    faults.count('slow');
    patience.missed(askedMonoMs);
    reply.then((late) => {
      if (Array.isArray(late) && late[0] === 'lead') this.#giveBack(keys.flight, flightId);
    }, onError);
    return { kind: 'away' };
  }

  #read(reply: unknown): Answer {
    if (!Array.isArray(reply)) return { kind: 'nothing' };
    const [kind, words = '', ...rest] = reply.map(String);
    if (words !== '') this.#parts.faults.note(faultOfReply(words));
    if (kind === 'variants') {
      const [leftMs, ...encoded] = rest;
      const read = encoded.map(decodeVariants);
      if (read.includes(null)) this.#parts.faults.note({ fault: 'malformed' });
      const variants = read.flatMap((each) => each ?? []);
      return variants.length === 0 ? { kind: 'nothing' } : { kind, variants, leftMs: Number(leftMs) };
    }
    if ((kind === 'lead' || kind === 'join') && rest[0] !== undefined) return { kind, flightId: rest[0] };
    return { kind: 'nothing' };
  }

  #giveBack(flightKey: string, flightId: string): void {
    const { connection, onError } = this.#parts;
    connection.run(FINISH, [flightKey], [flightId, 'lost', 0]).catch(onError);
  }
}
