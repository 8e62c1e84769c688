/**
 * The step before the ladder: a reply that is known already is said again, one that is being generated is joined, and only
 * else is an engine asked. A sentence from either passes the guard of this listener like any other: no secret that is not
 * theirs, nothing they have heard. Joiners whose leader left go on from what they heard; the first of them leads.
 */
import type { HeardLines } from '../cast/heard-lines.ts';
import type { DialogueRequest, Source } from '../core/dialogue.ts';
import { ServiceError } from '../core/errors.ts';
import type { RecallEvent } from '../core/recall.ts';
import type { Clock, Logger } from '../core/runtime.ts';
import { linkSignals } from '../lib/abort.ts';
import type { BarkWords, Joinable, Lead, Recall } from '../recall/recall.ts';
import type { FlownSentence } from '../recall/shared-tier.ts';
import { type Variant, type VariantSource, variantOf } from '../recall/variant.ts';
import type { Ladder } from './ladder.ts';
import { type RecallKeyParts, recallKeyOf } from './recall-key.ts';
import type { Memories, Remembered } from './remembered.ts';
import type { Reply } from './reply.ts';
import type { Scene } from './scene.ts';
import { estimateSpeechMs } from './sentences.ts';
import type { SpokenSentence } from './speak.ts';
import type { Told } from './walk.ts';

export interface RecalledParts {
  readonly recall: Recall;
  readonly recallKey: RecallKeyParts;
  readonly ladder: Ladder;
  readonly heard: HeardLines;
  readonly clock: Clock;
  readonly log: Logger;
}

/** A conversation whose memory takes longer to read is answered without a look into the cache. */
const MEMORY_WAIT_MS = 25;
/** And never more than this share of the time that is left. */
const MEMORY_WAIT_SHARE = 0.1;
/** A joiner stops waiting this long before its deadline, so that a written line still leaves in time. */
const JOIN_RESERVE_MS = 11;
/** Leaders who left, one after another, before a joiner goes its own way. */
const LEADERS_MAX = 8;

/** As `Ladder.tell`, which it asks when nothing is known. */
export async function* tellRecalled(
  request: DialogueRequest,
  scene: Scene,
  reply: Reply,
  told: Told,
  remembered: Remembered,
  parts: RecalledParts,
  signal: AbortSignal,
): AsyncGenerator<SpokenSentence, void> {
  const { recall, ladder } = parts;
  const climb = () => ladder.tell(request, scene, reply, told, remembered, signal);
  const bypass = scene.playerText === '' || !recall.options.enabled;
  const leftMs = () => request.receivedMonoMs + scene.deadlineMs - parts.clock.monotonicMs();
  const memories = bypass ? null : await within(remembered, request, leftMs(), parts.clock, signal);
  const known = memories === null ? null : recallKeyOf(request, scene, memories, parts.recallKey);
  const note = (outcome: RecallEvent['outcome'], saved: Variant['took'] | null) =>
    recall.note({ outcome, npcId: scene.persona.id, kind: scene.persona.monster_type, saved });
  if (known === null) {
    note('bypass', null);
    return yield* climb();
  }
  const { key, gate } = known;
  const local = recall.recalled(key);
  const again = choose(local, scene, reply, parts.heard);
  if (again !== null) {
    note('hit', again.took);
    return yield* replay(again, request, scene, reply, told, parts.clock, signal);
  }
  const bark =
    recall.options.barksByMeaning && isBark(request, scene) ? { gate, words: scene.playerText } : null;
  const meant = bark === null ? null : choose(recall.meant(bark), scene, reply, parts.heard);
  if (meant !== null) {
    note('meaning_hit', meant.took);
    return yield* replay(meant, request, scene, reply, told, parts.clock, signal);
  }
  for (let leaders = 0; leaders < LEADERS_MAX; leaders++) {
    const found = await recall.board(key, reply.committed, local.length > 0, signal);
    if (found.kind === 'lead') {
      using lead = found.lead;
      note('miss', null);
      yield* leading(climb(), lead, told);
      if (!lead.isForgotten) keep(key, bark, request, scene, reply, told, parts);
      // Kept first: whoever asks between the two finds the variant. What time has cut short others may still finish.
      if (told.finishReason !== 'deadline') lead.landed();
      return;
    }
    if (found.kind === 'variants') {
      const shared = choose(found.variants, scene, reply, parts.heard);
      if (shared === null) break;
      note('shared_hit', shared.took);
      return yield* replay(shared, request, scene, reply, told, parts.clock, signal);
    }
    const end = yield* joining(found.flight, request, scene, reply, told, parts.clock, signal);
    if (end === 'landed') {
      note('joined', null);
      return;
    }
    if (end === 'apart') break;
  }
  note('miss', null);
  yield* climb();
}

/** What happened, said in words of the language that meaning can be read in: no talk, and no part of one. */
function isBark({ trigger, conversationId, context }: DialogueRequest, { persona }: Scene): boolean {
  const isTalk = conversationId !== undefined || context.history.length > 0;
  return trigger !== undefined && !isTalk && /^en(?:-|$)/i.test(persona.voice.language);
}

/** The variant that all who hear it now heard longest ago, or never, and that may be said to them now. */
function choose(variants: readonly Variant[], scene: Scene, reply: Reply, heard: HeardLines): Variant | null {
  const lastHeardMs = ({ id }: Variant) =>
    heard.lastHeardByAnyMs(scene.listeners, id) ?? Number.NEGATIVE_INFINITY;
  const ordered =
    variants.length < 2 ? variants : variants.toSorted((a, b) => lastHeardMs(a) - lastHeardMs(b));
  return ordered.find((variant) => reply.mayAllSay(variant.sentences)) ?? null;
}

async function* replay(
  variant: Variant,
  request: DialogueRequest,
  scene: Scene,
  reply: Reply,
  told: Told,
  clock: Clock,
  signal: AbortSignal,
): AsyncGenerator<SpokenSentence, void> {
  recite(variant.source, told);
  for (const [index, text] of variant.sentences.entries()) {
    const before = variant.sentences[index - 1];
    if (request.pacing === 'natural' && before !== undefined) {
      const leftMs = request.receivedMonoMs + scene.deadlineMs - JOIN_RESERVE_MS - clock.monotonicMs();
      await clock.sleep(Math.max(0, Math.min(estimateSpeechMs(before), leftMs)), signal);
    }
    signal.throwIfAborted();
    reply.commit(text);
    yield { text, lineId: null, variantId: variant.id };
  }
}

/** Tells the joiners each sentence before it leaves here, so that a leader who reads slowly holds up nobody. */
async function* leading(
  sentences: AsyncGenerator<SpokenSentence, void>,
  lead: Lead,
  told: Told,
): AsyncGenerator<SpokenSentence, void> {
  for await (const sentence of sentences) {
    const { source } = told;
    // A written line is chosen for one listener: the others find their own.
    if (sentence.lineId !== null || source?.kind !== 'engine') lead[Symbol.dispose]();
    else lead.said({ text: sentence.text, source: variantSourceOf(source) });
    yield sentence;
  }
}

/** `apart`: what is said there cannot be said here, or time is nearly up. */
async function* joining(
  flight: Joinable,
  request: DialogueRequest,
  scene: Scene,
  reply: Reply,
  told: Told,
  clock: Clock,
  signal: AbortSignal,
): AsyncGenerator<SpokenSentence, 'landed' | 'lost' | 'apart'> {
  using link = linkSignals(signal);
  const leftMs = (limitMs: number) =>
    Math.max(0, request.receivedMonoMs + limitMs - JOIN_RESERVE_MS - clock.monotonicMs());
  using _deadline = clock.timer(leftMs(scene.deadlineMs), () => link.abort(LATE));
  using _sentence = clock.timer(leftMs(scene.firstSentenceMs), () => {
    if (reply.committed.length === 0) link.abort(LATE);
  });
  const following = flight.follow(reply.committed.length, link.signal);
  try {
    for (;;) {
      const step = await following.next();
      if (step.done) return step.value === 'landed' && reply.committed.length === 0 ? 'apart' : step.value;
      const sentence: FlownSentence = step.value;
      const judged = reply.judge(sentence.text);
      if (judged.kind !== 'say') return 'apart';
      recite(sentence.source, told);
      reply.commit(judged.text);
      yield { text: judged.text, lineId: null };
    }
  } catch (error) {
    if (signal.aborted || error !== LATE) throw error;
    return 'apart';
  } finally {
    await following.return('lost');
  }
}

const LATE = new ServiceError('deadline_exceeded', 'the flight that was joined took too long');

function recite(source: VariantSource, told: Told): void {
  told.source = { ...source, kind: 'cache', rung: 0 };
  told.finishReason = 'stop';
}

/** What of a source is true of whoever hears it again. */
function variantSourceOf({ engine, model, modelVersion, adapter, adapterGeneration }: Source): VariantSource {
  const source = { engine, model, modelVersion, adapter };
  return adapterGeneration === undefined ? source : { ...source, adapterGeneration };
}

/** Only a whole reply of the first rung, spoken with the adapter it should have, is said again. */
function keep(
  key: string,
  bark: BarkWords | null,
  request: DialogueRequest,
  scene: Scene,
  reply: Reply,
  told: Told,
  { recall, clock }: RecalledParts,
): void {
  const { source } = told;
  if (source?.kind !== 'engine' || source.rung !== 0 || told.finishReason !== 'stop') return;
  if (source.cause !== undefined || source.adapterMissing !== undefined || !reply.isWhole) return;
  const { promptTokens, completionTokens, costMicroUsd } = reply.usage;
  const variant = variantOf({
    sentences: [...reply.committed],
    source: variantSourceOf(source),
    bornAtMs: clock.nowMs(),
    took: {
      promptTokens,
      completionTokens,
      costMicroUsd,
      ttfsMs: Math.round(
        told.firstSentenceMonoMs === null ? 0 : told.firstSentenceMonoMs - request.receivedMonoMs,
      ),
    },
  });
  recall.keep(key, variant, scene.persona.recall.ttl_s ?? null, bark);
}

/** What was said before; null when it cannot be read soon. */
async function within(
  remembered: Remembered,
  request: DialogueRequest,
  leftMs: number,
  clock: Clock,
  signal: AbortSignal,
): Promise<Memories | null> {
  if (request.conversationId === undefined) return await remembered.load(signal);
  const waitMs = Math.min(MEMORY_WAIT_MS, leftMs * MEMORY_WAIT_SHARE);
  if (waitMs < 1) return null;
  const { promise: late, resolve } = Promise.withResolvers<null>();
  using _timer = clock.timer(waitMs, () => resolve(null));
  return await Promise.race([remembered.load(signal), late]);
}
