/**
 * Whether what an engine calls by an adapter's name answers as that adapter. Engines report success and answer as the base,
 * or with weights that another name left in the slot (engines.md §14.1); only output tells. So a few short questions are
 * asked greedily, and the answers must differ from the base's and follow those that were kept when it was first published.
 *
 * Greedy text is not bit-stable: another batch size changes the last digit of a logit, and where two tokens stand close the
 * text parts there and never meets again. So an answer need not be equal to the kept one: it must follow it beyond the place
 * where the base would have said something else, by a dozen characters or to its end, on half of the questions that tell
 * the two apart; and it must follow no other adapter's answers further than its own. A question to which the base said
 * nothing at all tells nothing: silence is how a spoiled stream looks.
 */
import type { AdapterAddress, AdapterFingerprint, AdapterStore } from '../core/adapter.ts';
import { ServiceError } from '../core/errors.ts';
import type { AdapterReplica } from './replica.ts';

/** Whatever a character is, these make it show itself. Changing them changes the scope below. */
export const PROBES = [
  'Who are you?',
  'What do you want from me?',
  'Tell me about this place.',
  'I do not believe you.',
] as const;
export const PROBE_TOKENS = 16;
/** Kept answers of other questions say nothing. */
const PROBES_VERSION = 'probes-1';
/** Characters beyond the base's parting: about three tokens, which chance does not hit. */
const FOLLOWS_FURTHER = 12;
const FINGERPRINTS_MAX = 20_000;

/** One connection of one engine, with what its base answers. The base does not change while the connection lives. */
export class ProbedReplica {
  readonly replica: Pick<AdapterReplica, 'name' | 'scope' | 'probe'>;
  readonly #base: (string | undefined)[] = [];

  constructor(replica: Pick<AdapterReplica, 'name' | 'scope' | 'probe'>) {
    this.replica = replica;
  }

  /**
   * Asks the base every question before the first adapter is loaded here. Beside lines of adapters a base may answer wrongly
   * (vLLM on the processor, PR #48421: the adapter in the last slot speaks), and what it says then would be held against each
   * of them. Twice, because a sample that a broken stream spoiled would make a load that lied look like an adapter.
   */
  async learnBase(signal: AbortSignal): Promise<void> {
    for (const index of PROBES.keys()) {
      const first = await this.baseAnswer(index, signal);
      this.#base[index] = undefined;
      // Of three the last is believed, whatever it is: one that never says the same twice is found out by its adapters.
      if ((await this.baseAnswer(index, signal)) === first) continue;
      this.#base[index] = undefined;
      await this.baseAnswer(index, signal);
    }
  }

  async baseAnswer(index: number, signal: AbortSignal): Promise<string> {
    const known = this.#base[index];
    if (known !== undefined) return known;
    const answer = await this.replica.probe(PROBES[index] as string, null, PROBE_TOKENS, signal);
    this.#base[index] = answer;
    return answer;
  }

  answer(index: number, adapter: AdapterAddress, signal: AbortSignal): Promise<string> {
    return this.replica.probe(PROBES[index] as string, adapter, PROBE_TOKENS, signal);
  }
}

export interface VerifyAsk {
  readonly address: AdapterAddress;
  readonly digest: string;
  /** All questions; else the one that tells most, when it is known which. */
  readonly isFull: boolean;
  /** Digests of whoever else is published: the first time, nobody may answer with their words. */
  readonly others: readonly string[];
}

/** Keeps in memory what the store knows, so that an engine that restarts while the store is down is verified all the same. */
export class Verifier {
  readonly #store: Pick<AdapterStore, 'fingerprint' | 'keepFingerprint'>;
  readonly #kept = new Map<string, Map<string, AdapterFingerprint>>();

  constructor(store: Pick<AdapterStore, 'fingerprint' | 'keepFingerprint'>) {
    this.#store = store;
  }

  /**
   * Resolves when it answers as itself. Throws `adapter_failed` with the reason when it does not, `store_unavailable` when
   * its kept answers cannot be had, and what the engine throws. The first verification in a scope keeps the answers.
   */
  async verify(at: ProbedReplica, ask: VerifyAsk, signal: AbortSignal): Promise<void> {
    const scope = `${at.replica.scope} ${PROBES_VERSION}`;
    const kept = await this.#fingerprint(ask.digest, scope);
    const indexes = await this.#questions(at, kept, ask.isFull, signal);
    const base: string[] = [];
    const answers: string[] = [];
    for (const index of indexes) {
      base.push(await at.baseAnswer(index, signal));
      answers.push(await at.answer(index, ask.address, signal));
    }
    const refuse = (reason: string) =>
      new ServiceError('adapter_failed', `${ask.address.engineName} at ${at.replica.name}: ${reason}`);
    if (answers.every((answer, index) => base[index] === '' || answer === base[index]))
      throw refuse('the engine says that it is loaded, and it answers as the base does');
    if (kept === null && !(await differsTwice(at, ask.address, { indexes, base, answers }, signal)))
      throw refuse(
        "no answer differs from the base's twice alike; the engine or its wire spoils what is said",
      );
    if (kept === null) for (const digest of ask.others) await this.#fingerprint(digest, scope);
    const others = [...(this.#kept.get(scope)?.values() ?? [])].filter(({ digest }) => digest !== ask.digest);
    const first = kept ?? (await this.#keepFirst({ digest: ask.digest, scope, answers }, others, refuse));
    const expected = indexes.map((index) => first.answers[index] ?? '');
    if (!follows(answers, expected, base))
      throw refuse('it does not answer as it did when it was first published');
    const own = closeness(answers, expected);
    const nearer = others.find(
      (other) =>
        closeness(
          answers,
          indexes.map((index) => other.answers[index] ?? ''),
        ) > own,
    );
    if (nearer !== undefined) throw refuse(`it answers as the adapter ${nearer.digest.slice(0, 8)} does`);
  }

  /** Nobody may be first with another's words: that is how a slot with the wrong weights would be believed for ever. */
  async #keepFirst(
    found: AdapterFingerprint,
    others: readonly AdapterFingerprint[],
    refuse: (reason: string) => ServiceError,
  ): Promise<AdapterFingerprint> {
    const twin = others.find((other) =>
      found.answers.every((answer, index) => answer === other.answers[index]),
    );
    if (twin !== undefined)
      throw refuse(`it answers word for word as the adapter ${twin.digest.slice(0, 8)} does`);
    return this.#remember(await this.#store.keepFingerprint(found));
  }

  async #questions(
    at: ProbedReplica,
    kept: AdapterFingerprint | null,
    isFull: boolean,
    signal: AbortSignal,
  ): Promise<readonly number[]> {
    const all = PROBES.map((_, index) => index);
    if (isFull || kept === null) return all;
    const others = [...(this.#kept.get(kept.scope)?.values() ?? [])].filter((each) => each !== kept);
    for (const index of all) {
      const answer = kept.answers[index];
      if (others.some((other) => other.answers[index] === answer)) continue;
      if ((await at.baseAnswer(index, signal)) !== answer) return [index];
    }
    return all;
  }

  async #fingerprint(digest: string, scope: string): Promise<AdapterFingerprint | null> {
    const known = this.#kept.get(scope)?.get(digest);
    if (known !== undefined) return known;
    const kept = await this.#store.fingerprint(digest, scope);
    return kept === null ? null : this.#remember(kept);
  }

  #remember(kept: AdapterFingerprint): AdapterFingerprint {
    const known = this.#kept.get(kept.scope) ?? new Map<string, AdapterFingerprint>();
    this.#kept.set(kept.scope, known);
    const oldest = known.size >= FINGERPRINTS_MAX ? known.keys().next().value : undefined;
    if (oldest !== undefined) known.delete(oldest);
    known.set(kept.digest, kept);
    return kept;
  }
}

/**
 * Whether one answer at least that differs from the base's is given again. One sample that a broken stream spoiled would
 * make a load that lied look like an adapter, and be kept as its fingerprint for ever. The base is not asked again: it was
 * asked twice before any adapter was there, and now others may speak beside it (see learnBase).
 */
async function differsTwice(
  at: ProbedReplica,
  address: AdapterAddress,
  first: {
    readonly indexes: readonly number[];
    readonly base: readonly string[];
    readonly answers: readonly string[];
  },
  signal: AbortSignal,
): Promise<boolean> {
  for (const [place, index] of first.indexes.entries()) {
    const answer = first.answers[place] ?? '';
    const base = first.base[place] ?? '';
    if (answer === '' || base === '' || answer === base) continue;
    if ((await at.answer(index, address, signal)) === answer) return true;
  }
  return false;
}

/** Whether the answers follow the expected ones, where these and the base's can be told apart. */
export function follows(
  answers: readonly string[],
  expected: readonly string[],
  base: readonly string[],
): boolean {
  let telling = 0;
  let following = 0;
  for (const [index, wanted] of expected.entries()) {
    const parting = sharedLength(wanted, base[index] ?? '');
    if (base[index] === '' || wanted === base[index]) continue;
    telling += 1;
    const answer = answers[index] ?? '';
    if (answer === wanted) following += 1;
    else if (
      answer !== base[index] &&
      sharedLength(answer, wanted) >= Math.min(wanted.length, parting + FOLLOWS_FURTHER)
    )
      following += 1;
  }
  return telling > 0 && following * 2 >= telling;
}

/** Characters that answers share with others, from their beginning. An equal answer counts its end as well. */
function closeness(answers: readonly string[], others: readonly string[]): number {
  return answers.reduce((sum, answer, index) => {
    const other = others[index] ?? '';
    return sum + sharedLength(answer, other) + (answer === other ? 1 : 0);
  }, 0);
}

function sharedLength(one: string, other: string): number {
  const most = Math.min(one.length, other.length);
  let length = 0;
  while (length < most && one.charCodeAt(length) === other.charCodeAt(length)) length += 1;
  return length;
}
