/**
 * The walk of one dialogue, read from top to bottom: scene → memory → recall → prompt → plan → attempts → written line →
 * memory → done → sinks. It always answers: whatever fails on the way, a written line is said before the deadline.
 */
import type { ConversationMemory } from '../cast/memory.ts';
import type { DialogueEvent, DialogueOutcome, DialogueRequest } from '../core/dialogue.ts';
import { ServiceError } from '../core/errors.ts';
import type { Clock } from '../core/runtime.ts';
import type { Turn, TurnSink } from '../core/turn.ts';
import { linkSignals } from '../lib/abort.ts';
import type { TaskGroup } from '../lib/async.ts';
import { type CrowdParts, keepSilent, noteHeard, voiceOf } from './crowd.ts';
import { Patience } from './patience.ts';
import { type RecalledParts, tellRecalled } from './recalled.ts';
import { Remembered } from './remembered.ts';
import { Reply } from './reply.ts';
import { type Scene, type SceneParts, setScene } from './scene.ts';
import { estimateSpeechMs } from './sentences.ts';
import type { Told } from './walk.ts';

export interface AnswerParts extends SceneParts, RecalledParts, CrowdParts {
  readonly memory: ConversationMemory;
  readonly sinks: readonly TurnSink[];
  /** Background work that shutdown awaits: keeping what was heard of a line that was cut off. */
  readonly tasks: TaskGroup;
}

/** Tried when two replies of one conversation race for the same turn number. */
const TURN_RACES_MAX = 8;
type Kept = NonNullable<DialogueOutcome['conversation']>;

/** A store gets at least this long, however short the deadline was (ms): an append over the network takes one or two. */
const KEEP_MIN_MS = 20;
/** Keeping is not given up: a player who leaves now has heard the line all the same. */
const KEEPS_ON = new AbortController().signal;

/**
 * Answers one request. Events come in the order of design §4 and end with one `done`. Throws `unknown_npc`,
 * `unknown_model` and `bad_request` before the first event. Aborting ends the walk, frees the engine, and keeps what was heard, marked cut.
 */
export async function* answer(
  request: DialogueRequest,
  parts: AnswerParts,
  signal: AbortSignal,
): AsyncGenerator<DialogueEvent> {
  const { clock } = parts;
  const sinceMs = () => tenths(clock.monotonicMs() - request.receivedMonoMs);
  const scene = setScene(request, parts);
  const reply = new Reply(scene.reply);
  parts.ladder.poolsOf(request, scene);
  const decision = voiceOf(request, scene, parts.voices);
  if (decision !== null && 'reason' in decision)
    return yield* keepSilent(request, scene, decision, sinceMs, (silence) =>
      record(request, scene, silence, NOTHING_DONE, parts),
    );
  using voice = decision;
  using patience = patienceOf(request, scene, clock);
  const told: Told = {
    queueMs: 0,
    ttftMs: null,
    firstSentenceMonoMs: null,
    source: null,
    finishReason: 'stop',
    attempts: [],
    nextTurn: null,
    onExpected: (firstSentenceMs) => patience?.expect(firstSentenceMs),
  };
  let ttfsMs: number | null = null;
  let outcome: DialogueOutcome | null = null;
  let failure: unknown = null;
  using link = linkSignals(signal);
  const remembered = new Remembered(request, scene, parts, (turn) => (told.nextTurn = turn), link.signal);
  const telling = tellRecalled(request, scene, reply, told, remembered, parts, link.signal);
  try {
    yield { type: 'accepted', id: request.id, npcId: scene.persona.id, tier: scene.tier };
    let step = telling.next();
    const filler = await fillerWhile(step, patience, request, scene, parts);
    if (filler !== null) yield filler;
    for (let sentence = await step; !sentence.done; sentence = await step) {
      const { text, lineId, variantId } = sentence.value;
      const index = reply.committed.length - 1;
      // Recorded as it leaves: a player who hangs up now has heard it.
      noteHeard(request, scene, text, lineId ?? variantId ?? null, parts);
      const estMs = estimateSpeechMs(text);
      voice?.said(estMs);
      ttfsMs ??= sinceMs();
      told.firstSentenceMonoMs ??= clock.monotonicMs();
      if (request.units === 'token' && lineId === null) {
        for (const word of text.match(/\S+\s*/gu) ?? []) yield { type: 'token', index, text: word };
      }
      yield {
        type: 'sentence',
        index,
        text,
        estMs,
        source: lineId === null ? (told.source?.kind ?? 'engine') : 'written',
        ...(lineId === null ? {} : { lineId }),
      };
      step = telling.next();
    }
    voice?.ended();
    const conversation = await keepInTime(request, scene, reply, told, parts);
    const whole: DialogueOutcome = {
      id: request.id,
      npcId: scene.persona.id,
      finishReason: told.finishReason,
      tier: scene.tier,
      source: told.source ?? nobody(),
      usage: reply.usage,
      timing: {
        queueMs: tenths(told.queueMs),
        ttftMs: told.ttftMs === null ? null : tenths(told.ttftMs),
        ttfsMs,
        totalMs: sinceMs(),
      },
      sentences: [...reply.committed],
      ...(conversation === null ? {} : { conversation }),
    };
    outcome = whole;
    yield { type: 'done', outcome: whole };
  } catch (error) {
    failure = error;
    throw error;
  } finally {
    link.abort(new ServiceError('client_closed', 'the walk was left'));
    await telling.return(undefined).catch(() => {});
    if (outcome === null && reply.committed.length > 0) {
      parts.tasks.tryStart('keep-interrupted-turn', async () => {
        await keep(request, scene, reply, told, true, parts);
      });
    }
    const code = failure === null ? 'client_closed' : ServiceError.from(failure).code;
    const done = { guardHits: reply.guardHits, attempts: told.attempts, heard: [...reply.committed] };
    record(request, scene, outcome, { ...done, error: outcome === null ? code : null }, parts);
  }
}

const NOTHING_DONE = { guardHits: [], attempts: [], error: null } as const;

function record(
  request: DialogueRequest,
  scene: Scene,
  outcome: DialogueOutcome | null,
  done: Pick<Turn, 'guardHits' | 'attempts' | 'error' | 'heard'>,
  parts: AnswerParts,
): void {
  const { version: personaVersion, monster_type: kind } = scene.persona;
  for (const sink of parts.sinks) sink.record({ request, personaVersion, kind, outcome, ...done });
}

/** Null where no filler may go out: a bark, and tiers that want none. */
function patienceOf(request: DialogueRequest, scene: Scene, clock: Clock): Patience | null {
  const { fillerAfterMs } = scene.policy;
  if (fillerAfterMs === 0 || scene.playerText === '') return null;
  return new Patience(clock, fillerAfterMs, request.receivedMonoMs);
}

/** A short written sound when the first sentence is late, or known to be (npc-domain §3); null when it came in time. */
async function fillerWhile(
  first: Promise<unknown>,
  patience: Patience | null,
  request: DialogueRequest,
  scene: Scene,
  parts: AnswerParts,
): Promise<DialogueEvent | null> {
  if (patience === null) return null;
  const inTime = () => 'in time' as const;
  const winner = await Promise.race([first.then(inTime, inTime), patience.lost]);
  if (winner !== 'late') return null;
  const line = parts.cast.lines.filler(scene.spoken(null, []), parts.heard);
  if (line === null) return null;
  noteHeard(request, scene, line.text, line.id, parts);
  return { type: 'filler', lineId: line.id, text: line.text };
}

/**
 * Nobody waits for the store past the deadline: keeping then goes on in the background, and the reply says that the turn
 * is not stored. A store that answers has the turn before it is acknowledged.
 */
async function keepInTime(
  request: DialogueRequest,
  scene: Scene,
  reply: Reply,
  told: Told,
  parts: AnswerParts,
): Promise<Kept | null> {
  if (request.conversationId === undefined) return null;
  const { clock, tasks } = parts;
  const { promise, resolve } = Promise.withResolvers<Kept | null>();
  const keeping = async () => resolve(await keep(request, scene, reply, told, false, parts));
  const late = { id: request.conversationId, timelineId: request.context.timelineId, stored: false };
  const leftMs = request.receivedMonoMs + scene.deadlineMs - clock.monotonicMs();
  using _timer = clock.timer(Math.max(KEEP_MIN_MS, leftMs), () => {
    parts.log.warn('memory.late', { requestId: request.id, deadlineMs: scene.deadlineMs });
    resolve({ ...late, turn: told.nextTurn ?? 0 });
  });
  if (!tasks.tryStart('keep-turn', keeping)) await keeping();
  return await promise;
}

/** Keeps the turn before it is acknowledged. A store that fails costs the memory of this turn, never the answer. */
async function keep(
  request: DialogueRequest,
  scene: Scene,
  reply: Reply,
  told: Told,
  interrupted: boolean,
  parts: AnswerParts,
): Promise<Kept | null> {
  if (request.conversationId === undefined) return null;
  const { timelineId } = request.context;
  const turn = {
    conversationId: request.conversationId,
    timelineId,
    playerText: scene.playerText,
    heard: reply.committed,
    interrupted,
    gameTime: request.context.gameTime ?? null,
    atMs: parts.clock.nowMs(),
  };
  const kept = { id: request.conversationId, timelineId };
  try {
    // A line that no engine was asked for (a bark, all engines off) has not looked into the memory yet.
    told.nextTurn ??= (await parts.memory.recall(turn, scene.persona.memory, KEEPS_ON)).nextTurn;
    for (let number = told.nextTurn; number < told.nextTurn + TURN_RACES_MAX; number++) {
      if (await parts.memory.remember({ ...turn, turn: number }))
        return { ...kept, turn: number, stored: true };
    }
    parts.log.warn('memory.contended', { requestId: request.id, conversationId: request.conversationId });
  } catch (error) {
    parts.log.warn('memory.lost', { requestId: request.id, reason: ServiceError.from(error).message });
  }
  return { ...kept, turn: told.nextTurn ?? 0, stored: false };
}

/** Durations are told to a tenth of a millisecond; more digits would be noise. */
function tenths(durationMs: number): number {
  return Math.round(durationMs * 10) / 10;
}

function nobody(): never {
  throw new ServiceError('internal', 'a reply ended without a source');
}
