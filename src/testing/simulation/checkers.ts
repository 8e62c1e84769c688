/**
 * What must be true of every simulation, whatever befell it. Each checker looks at what players heard, what engines did and
 * what was kept, never at the service's own opinion of itself, and tells of the first thing that is broken in words.
 */
import type { DialogueEvent } from '../../core/dialogue.ts';
import type { Turn } from '../../core/turn.ts';
import type { SpendingDaysTable, TurnsTable } from '../../store/tables.ts';
import { digestOf, voiceOf, voicesIn } from './adapters.ts';
import { EVERYBODY, recallsTruly } from './echoes.ts';
import type { Generation } from './engine.ts';
import { markersIn } from './markers.ts';
import { oneVoice } from './one-voice.ts';
import type { Heard } from './player.ts';
import type { Scenario } from './scenario.ts';

export interface Evidence {
  readonly scenario: Scenario;
  readonly heard: readonly Heard[];
  readonly generations: readonly Generation[];
  readonly turns: readonly Turn[];
  readonly stored: readonly TurnsTable[];
  readonly spendingDays: readonly SpendingDaysTable[];
  /** Monotonic time at which the service was told to stop; null: only when all was over. */
  readonly stoppedMonoMs: number | null;
  /** When paid engines were switched off and on, in order. */
  readonly switched: readonly { readonly atMonoMs: number; readonly isOff: boolean }[];
  /** Swaps that were reported as done, and when. */
  readonly swapped: readonly { readonly id: string; readonly atMonoMs: number }[];
  /** What the keeper says of its leases when everybody has been answered. */
  readonly leases: readonly {
    readonly engine: string;
    readonly engineName: string;
    readonly leases: number;
  }[];
  /** What the service says of its engines' places when everybody has been answered. */
  readonly places: readonly { readonly name: string; readonly running: number; readonly waiting: number }[];
}

export interface Violation {
  readonly rule: string;
  readonly what: string;
}

/** What two timers in a row may be late by (ms): Node's are up to 1 ms off, a busy loop adds its own. */
function timersLateMs({ latenessMaxMs }: Scenario): number {
  return 2 + 2 * latenessMaxMs;
}

/** How late the end of an answer may be (ms): the timers, and what a slow database adds to the keeping of the turn. */
function lateAllowanceMs(scenario: Scenario): number {
  // Recalled, kept, and numbered anew a few times: each is a query.
  return timersLateMs(scenario) + 8 * scenario.storeTrouble.slowMaxMs;
}

type Checker = (evidence: Evidence) => Iterable<string>;

/** Failures that a player may see although nothing is wrong with the service. */
const OWN_FAULTS: Readonly<Record<'unknown-npc' | 'no-words', string>> = {
  'unknown-npc': 'unknown_npc',
  'no-words': 'bad_request',
};

function* endsOnce({ heard }: Evidence): Iterable<string> {
  for (const each of heard) {
    const dones = each.events.filter(({ event }) => event.type === 'done').length;
    if (each.end === 'open') yield `${nameOf(each)} never ended`;
    else if (dones > 1) yield `${nameOf(each)} was done ${dones} times`;
    else if (each.end === 'failed' && dones > 0)
      yield `${nameOf(each)} was done, and then failed: ${each.errorMessage}`;
    else if (each.end === 'closed' && dones === 0 && each.hungUpMonoMs === null)
      yield `${nameOf(each)} ended without done or error`;
  }
}

/** No NPC is silent without a reason: whoever stays hears at least one sentence, whatever is broken. */
function* answersAll(evidence: Evidence): Iterable<string> {
  for (const each of evidence.heard) {
    if (each.hungUpMonoMs !== null) continue;
    const { flaw } = each.line;
    if (flaw !== null) {
      if (each.errorCode !== OWN_FAULTS[flaw] && !isExcused(each, evidence))
        yield `${nameOf(each)} should have been refused as ${OWN_FAULTS[flaw]}, got ${each.errorCode ?? 'an answer'}`;
      continue;
    }
    if (each.end === 'failed' && !isExcused(each, evidence))
      yield `${nameOf(each)} failed with ${each.errorCode}: ${each.errorMessage}`;
    const done = doneOf(each);
    const isSilent = done?.outcome.finishReason === 'unspoken' && each.line.event !== null;
    if (done !== null && !isSilent && done.outcome.sentences.join('').trim() === '')
      yield `${nameOf(each)} was done without a word`;
  }
}

function isExcused(each: Heard, { scenario, stoppedMonoMs }: Evidence): boolean {
  // A stop that has run out of patience cuts what still speaks.
  if (each.errorCode === 'draining') return stoppedMonoMs !== null;
  // Who asks for "once" asks the database, and is told when it cannot say.
  return (
    each.errorCode === 'store_unavailable' &&
    each.line.idempotencyKey !== null &&
    scenario.storeTrouble.spells.length > 0
  );
}

function* answersInTime({ heard, scenario }: Evidence): Iterable<string> {
  const allowanceMs = lateAllowanceMs(scenario);
  const { tiers } = scenario.config;
  for (const each of heard) {
    const accepted = each.events[0]?.event;
    if (accepted?.type !== 'accepted' || each.endedMonoMs === null) continue;
    // A second request with the same key waits for the first, and then may have to speak itself.
    if (each.line.idempotencyKey !== null) continue;
    const deadlineMs = each.line.deadlineMs ?? tiers[accepted.tier].deadlineMs;
    const tookMs = each.endedMonoMs - each.request.receivedMonoMs - each.pausedMs;
    if (tookMs > deadlineMs + allowanceMs)
      yield `${nameOf(each)} took ${tookMs.toFixed(1)} ms of ${deadlineMs} ms (allowance ${allowanceMs} ms)`;
    const first = each.events.find(({ event }) => event.type === 'sentence');
    const firstMs = (first?.atMonoMs ?? 0) - each.request.receivedMonoMs;
    const limitMs = Math.min(deadlineMs, tiers[accepted.tier].firstSentenceMs ?? deadlineMs);
    if (each.pausedMs === 0 && firstMs > limitMs + timersLateMs(scenario))
      yield `${nameOf(each)} heard nothing for ${firstMs.toFixed(1)} ms of ${limitMs} ms`;
  }
}

/** accepted · filler? · (token* sentence)* · action? · done (design §4). */
const ORDER = /^A(?:F(?=[TS]|D|X|$))?(?:T*S)*T*X?D?$/;
const LETTERS: Readonly<Record<DialogueEvent['type'], string>> = {
  accepted: 'A',
  filler: 'F',
  token: 'T',
  sentence: 'S',
  action: 'X',
  done: 'D',
};

function* keepsOrder({ heard }: Evidence): Iterable<string> {
  for (const each of heard) {
    if (each.events.length === 0) continue;
    const order = each.events.map(({ event }) => LETTERS[event.type]).join('');
    if (!ORDER.test(order)) yield `${nameOf(each)} heard events in the order ${order}`;
    if (/T(?=X?D)/.test(order)) yield `${nameOf(each)} heard tokens that no sentence settled: ${order}`;
    const sentences = each.events.flatMap(({ event }) => (event.type === 'sentence' ? [event] : []));
    const done = doneOf(each);
    if (done !== null && done.outcome.sentences.join('|') !== sentences.map((event) => event.text).join('|'))
      yield `${nameOf(each)}: done tells other sentences than were heard`;
    for (const [at, { index }] of sentences.entries())
      if (index !== at) yield `${nameOf(each)}: sentence ${at} was numbered ${index}`;
  }
}

/** Nothing of another player's line in what one hears, nor in what an engine is told for one. */
function* keepsPlayersApart({ heard, generations, scenario }: Evidence): Iterable<string> {
  const { ownerOf } = scenario.traffic;
  for (const each of heard) {
    const owner = each.line.marker === null ? null : ownerOf.get(each.line.marker);
    for (const { event } of each.events) {
      if (event.type !== 'sentence' && event.type !== 'token' && event.type !== 'filler') continue;
      for (const marker of markersIn(event.text))
        if (ownerOf.get(marker) !== owner)
          yield `${nameOf(each)} heard ${marker}, which is ${ownerOf.get(marker)}'s: ${event.text}`;
    }
  }
  for (const { engine, marker, promptMarkers } of generations) {
    if (marker === null) continue;
    const owner = ownerOf.get(marker);
    for (const each of promptMarkers)
      if (ownerOf.get(each) !== owner)
        yield `${engine} was told ${ownerOf.get(each)}'s ${each} in a prompt of ${owner}`;
  }
}

/** Each line is asked for a bounded number of times, and no work is left at an engine that nobody waits for. */
function* freesEngines({ generations, heard, scenario }: Evidence): Iterable<string> {
  const byMarker = Map.groupBy(
    generations.filter((each) => each.marker !== null),
    (each) => each.marker,
  );
  const asked = new Map<string, number>();
  const endedMonoMs = new Map<string, number>();
  for (const { line, endedMonoMs: ended } of heard) {
    if (line.marker === null) continue;
    asked.set(line.marker, (asked.get(line.marker) ?? 0) + 1);
    endedMonoMs.set(line.marker, Math.max(endedMonoMs.get(line.marker) ?? 0, ended ?? Infinity));
  }
  const attemptsMax = attemptsBound(scenario);
  for (const [marker, tries] of byMarker) {
    const bound = attemptsMax * (asked.get(marker ?? '') ?? 0);
    if (tries.length > bound)
      yield `${marker} was asked of engines ${tries.length} times, the most is ${bound}`;
    for (const generation of tries) {
      const engine = scenario.engines.find((each) => each.name === generation.engine);
      const grace = graceMs(scenario, engine?.cancelLagMs ?? 0);
      const over = endedMonoMs.get(marker ?? '') ?? Infinity;
      if (generation.endedMonoMs === null) yield `${generation.engine} still works on ${marker}`;
      else if (generation.endedMonoMs > over + grace)
        yield `${generation.engine} worked on ${marker} for ${(generation.endedMonoMs - over).toFixed(0)} ms after everybody had left`;
    }
  }
}

/** A rung is asked once, once more after a failure, and once more after the guard; a hedge may stand beside each. */
function attemptsBound({ config }: Scenario): number {
  const rungs = Math.max(...Object.values(config.tiers).map((tier) => tier.rungs.length));
  return rungs * 3 * (config.routing.hedging.enabled ? 2 : 1);
}

function* givesPlacesBack({ places }: Evidence): Iterable<string> {
  for (const { name, running, waiting } of places)
    if (running !== 0 || waiting !== 0)
      yield `admission of ${name} still counts ${running} running and ${waiting} waiting`;
}

/** Every turn once to every sink, and what it tells is what was heard. */
function* recordsOnce({ heard, turns }: Evidence): Iterable<string> {
  const byId = Map.groupBy(turns, (turn) => turn.request.id);
  for (const each of heard) {
    const own = byId.get(each.request.id) ?? [];
    const isWalked = each.events[0]?.event.type === 'accepted';
    const isReplayed = each.line.idempotencyKey !== null && own.length === 0;
    if (isWalked && !isReplayed && own.length !== 1) yield `${nameOf(each)} was recorded ${own.length} times`;
    const done = doneOf(each);
    const [turn] = own;
    if (turn === undefined || done === null) continue;
    if (turn.outcome === null) yield `${nameOf(each)} was done, and is recorded as ${turn.error}`;
  }
}

/** Memory: what was acknowledged is there, word for word, once; nothing is there that nobody said. */
function* remembers({ heard, stored, scenario }: Evidence): Iterable<string> {
  const keyOf = (conversation: string, timeline: string, turn: number) =>
    `${conversation}/${timeline}/${turn}`;
  const rows = new Map(
    stored.map((row) => [keyOf(row.conversation_id, row.timeline_id, row.turn), row] as const),
  );
  const acknowledged = new Map<string, Heard>();
  for (const each of heard) {
    const kept = doneOf(each)?.outcome.conversation;
    if (kept === undefined || !kept.stored) continue;
    const key = keyOf(kept.id, kept.timelineId, kept.turn);
    const row = rows.get(key);
    const before = acknowledged.get(key);
    if (before !== undefined && before.line.idempotencyKey !== each.line.idempotencyKey)
      yield `${nameOf(each)} and ${nameOf(before)} were both told that they are turn ${key}`;
    acknowledged.set(key, each);
    if (row === undefined) yield `${nameOf(each)} was told that turn ${key} is kept, and it is not`;
    else if (row.npc_text !== doneOf(each)?.outcome.sentences.join(' '))
      yield `${nameOf(each)}: turn ${key} holds other words than were heard`;
  }
  const byMarker = new Map<string, number>();
  for (const row of stored) {
    const owner = /^talk-(player-\d+)-/.exec(row.conversation_id)?.[1];
    for (const marker of markersIn(`${row.player_text} ${row.npc_text}`))
      if (scenario.traffic.ownerOf.get(marker) !== owner)
        yield `a turn of ${row.conversation_id} holds ${scenario.traffic.ownerOf.get(marker)}'s ${marker}`;
    const [said] = markersIn(row.player_text);
    if (said !== undefined) byMarker.set(said, (byMarker.get(said) ?? 0) + 1);
  }
  for (const [marker, times] of byMarker) {
    // A retry whose first answer was cut off is said anew.
    const asked = heard.filter(({ line }) => line.marker === marker).length;
    if (times > asked) yield `what ${marker} said is kept ${times} times and was said ${asked} times`;
  }
}

/** What an answer claims to have used is the sum of its attempts, and something that engines can have made. */
function* accounts({ heard, turns, generations, scenario }: Evidence): Iterable<string> {
  for (const turn of turns) {
    const usage = turn.outcome?.usage;
    const each = heard.find(({ request }) => request.id === turn.request.id);
    if (each === undefined) continue;
    // What many ask alike is generated for whom nobody can tell.
    if (each.line.marker !== null && scenario.traffic.ownerOf.get(each.line.marker) === EVERYBODY) continue;
    const calls = generations.filter(({ marker }) => marker !== null && marker === each.line.marker).length;
    if (each.line.idempotencyKey === null && calls > turn.attempts.length)
      yield `${nameOf(each)}: engines were asked ${calls} times, ${turn.attempts.length} attempts are told`;
    if (usage === undefined) continue;
    for (const [name, figure] of Object.entries(usage) as [keyof typeof usage, number][]) {
      if (!Number.isSafeInteger(figure) || figure < 0) yield `${nameOf(each)}: ${name} is ${figure}`;
      const sum = turn.attempts.reduce((total, attempt) => total + attempt[name], 0);
      if (sum !== figure) yield `${nameOf(each)}: ${name} is ${figure}, its attempts make ${sum}`;
    }
    const own = generations.filter(({ marker }) => marker !== null && marker === each.line.marker);
    // Engines that lie about usage, or say the same twice, are believed; nobody could know better.
    if (own.some(({ fault }) => fault === 'usage-absurd' || fault === 'duplicate-events')) continue;
    const bound = own.reduce((sum, each) => sum + usageBound(each, scenario), 0);
    if (usage.completionTokens > bound)
      yield `${nameOf(each)} accounts for ${usage.completionTokens} tokens, the engines cannot have made more than ${bound}`;
  }
}

/** vLLM tells its usage with every token; of other answers that are cut off, the gateway can only estimate it. */
function usageBound({ engine, completionTokens }: Generation, { engines }: Scenario): number {
  const isTold = engines.find(({ name }) => name === engine)?.kind === 'vllm';
  return isTold ? completionTokens : completionTokens * 3 + 4;
}

/** Money: nothing stays held, what was spent is what the attempts cost, and no cap is passed. */
function* keepsMoney({ scenario, turns, spendingDays }: Evidence): Iterable<string> {
  // A store that fails may leave a hold behind (a cap is then reached too early), and calls without a cap uncounted.
  if (scenario.storeTrouble.spells.length > 0) return;
  const { spending } = scenario.config;
  const isPaid = new Map(scenario.engines.map((engine) => [engine.name, engine.isPaid]));
  const isLyingAboutUsage = scenario.engines.some(
    ({ odds }) => 'usage-absurd' in odds || 'duplicate-events' in odds,
  );
  let spent = 0;
  for (const row of spendingDays) {
    const tiers = [1, 2, 3, 4] as const;
    const held = tiers.reduce((sum, tier) => sum + row[`held_${tier}`], 0);
    const day = tiers.reduce((sum, tier) => sum + row[`spent_${tier}`], 0);
    spent += day;
    if (held !== 0) yield `${held} micro-dollars of ${row.day} are still held`;
    if (isLyingAboutUsage) continue;
    if (day > (spending.dailyUsd ?? Infinity) * 1e6)
      yield `${row.day} cost ${day} micro-dollars, over its cap`;
    for (const tier of tiers)
      if (row[`spent_${tier}`] > (spending.tiers[tier]?.dailyUsd ?? Infinity) * 1e6)
        yield `tier ${tier} cost ${row[`spent_${tier}`]} micro-dollars on ${row.day}, over its cap`;
  }
  const told = turns
    .flatMap(({ attempts }) => attempts)
    .reduce((sum, attempt) => sum + (isPaid.get(attempt.engine) === true ? attempt.costMicroUsd : 0), 0);
  if (told !== spent) yield `the ledger holds ${spent} micro-dollars, the attempts of all turns cost ${told}`;
}

/** The off switch ends paid work within 100 ms and what the wire and the engine take to notice; nothing paid begins after. */
function* obeysSwitch({ scenario, switched, generations }: Evidence): Iterable<string> {
  for (const [at, { atMonoMs, isOff }] of switched.entries()) {
    if (!isOff) continue;
    const onMonoMs = switched[at + 1]?.atMonoMs ?? Infinity;
    for (const { engine, marker, startedMonoMs, endedMonoMs } of generations) {
      const traits = scenario.engines.find(({ name }) => name === engine);
      if (traits?.isPaid !== true || marker === null) continue;
      const noticedMonoMs = atMonoMs + 100 + graceMs(scenario, traits.cancelLagMs);
      if (startedMonoMs > noticedMonoMs && startedMonoMs < onMonoMs)
        yield `${engine} was asked for ${marker} although paid engines were off`;
      if (startedMonoMs < atMonoMs && noticedMonoMs < onMonoMs && (endedMonoMs ?? Infinity) > noticedMonoMs)
        yield `${engine} went on with ${marker} although paid engines were switched off`;
    }
  }
}

/** From the moment a client leaves until its engine has stopped, at the latest (ms). */
function graceMs({ latencyMs, latenessMaxMs }: Scenario, cancelLagMs: number): number {
  return 10 + 4 * latencyMs + 4 * latenessMaxMs + cancelLagMs;
}

/** A reply says truly where it came from. */
function* tellsItsSource({ heard, generations }: Evidence): Iterable<string> {
  for (const each of heard) {
    const done = doneOf(each);
    if (done === null) continue;
    const { source } = done.outcome;
    const kinds = new Set(
      each.events.flatMap(({ event }) => (event.type === 'sentence' ? [event.source] : [])),
    );
    if (source.kind === 'engine' && !kinds.has('engine'))
      yield `${nameOf(each)} names ${source.engine} as its source, and heard none of it`;
    if (
      source.kind === 'engine' &&
      !generations.some(({ marker, engine }) => marker === each.line.marker && engine === source.engine)
    )
      yield `${nameOf(each)} names ${source.engine}, which was never asked`;
    if (source.kind === 'written' && each.line.prompt !== '' && source.cause === undefined)
      yield `${nameOf(each)} got a written line and no cause`;
  }
}

/** Whoever is named as the speaker spoke: its own weights, which had been asked for a sample at that engine before. */
function* speaksAsItSays({ heard, generations, swapped, scenario }: Evidence): Iterable<string> {
  if (scenario.adapters === null) return;
  const samples = new Map<string, number>();
  for (const { engine, load, isGreedy, isFinished, endedMonoMs } of generations)
    if (load !== null && isGreedy && isFinished && endedMonoMs !== null)
      samples.set(`${engine}/${load}`, Math.min(samples.get(`${engine}/${load}`) ?? Infinity, endedMonoMs));
  const lines = generations.filter(({ marker, load }) => marker !== null && load !== null);
  for (const { engine, marker, askedModel, digest, load, startedMonoMs } of lines) {
    if (digest !== digestOf(askedModel.slice(0, -9)))
      yield `${marker} was asked of ${askedModel} at ${engine}, and ${digest === null ? 'the base' : digest.slice(0, 8)} spoke`;
    if ((samples.get(`${engine}/${load}`) ?? Infinity) > startedMonoMs)
      yield `${marker} was asked of ${askedModel} at ${engine}, which had never proven itself there`;
  }
  const byMarker = Map.groupBy(
    generations.filter(({ marker }) => marker !== null),
    ({ marker }) => marker,
  );
  for (const each of heard) {
    const { source } = doneOf(each)?.outcome ?? {};
    if (each.line.marker === null || source?.kind !== 'engine') continue;
    const own = (byMarker.get(each.line.marker) ?? []).filter(({ engine }) => engine === source.engine);
    const claimed = source.adapter === null ? null : digestOf(source.adapter);
    if (!own.some(({ digest, completionTokens }) => digest === claimed && completionTokens > 0))
      yield `${nameOf(each)} names ${source.adapter ?? 'the base'} at ${source.engine}, which did not speak`;
    const wished = each.line.adapter;
    if (source.adapter !== null && wished !== null && wished.split('@')[0] !== source.adapter.split('@')[0])
      yield `${nameOf(each)} asked for ${wished} and was answered by ${source.adapter}`;
    for (const { id, atMonoMs } of swapped) {
      const [name, version] = id.split('@');
      if (wished !== name || each.request.receivedMonoMs <= atMonoMs || source.adapter === null) continue;
      if (source.adapter !== `${name}@${version}`)
        yield `${nameOf(each)} was answered by ${source.adapter} after ${id} had taken its place`;
    }
    const voices = new Set((byMarker.get(each.line.marker) ?? []).map(({ digest }) => voiceOf(digest)));
    for (const { event } of each.events)
      if (event.type === 'sentence' && event.source === 'engine')
        for (const voice of voicesIn(event.text))
          if (!voices.has(voice))
            yield `${nameOf(each)} heard the voice "${voice}", which did not speak to it`;
  }
}

function* givesLeasesBack({ leases }: Evidence): Iterable<string> {
  for (const { engine, engineName, leases: count } of leases)
    if (count !== 0) yield `${count} lines still hold ${engineName} at ${engine}`;
}

/** The rules by name, in the order in which they are looked at. */
export const CHECKERS: Readonly<Record<string, Checker>> = {
  'ends once': endsOnce,
  'answers all': answersAll,
  'keeps players apart': keepsPlayersApart,
  'keeps order': keepsOrder,
  'answers in time': answersInTime,
  'frees engines': freesEngines,
  'gives places back': givesPlacesBack,
  'records once': recordsOnce,
  remembers,
  accounts,
  'keeps money': keepsMoney,
  'obeys the switch': obeysSwitch,
  'tells its source': tellsItsSource,
  'speaks as it says': speaksAsItSays,
  'gives leases back': givesLeasesBack,
  'recalls truly': ({ heard }) => recallsTruly(heard),
  'one event, one voice': ({ heard, scenario }) => oneVoice(heard, scenario.config.voices),
};

/** Every violation; empty when all is well. */
export function check(evidence: Evidence): readonly Violation[] {
  return Object.entries(CHECKERS).flatMap(([rule, checker]) =>
    [...checker(evidence)].map((what) => ({ rule, what })),
  );
}

function doneOf(each: Heard): Extract<DialogueEvent, { type: 'done' }> | null {
  const last = each.events.find(({ event }) => event.type === 'done')?.event;
  return last?.type === 'done' ? last : null;
}

function nameOf({ line, request }: Heard): string {
  return `line ${line.number} (${request.id}, ${line.marker ?? line.trigger ?? 'no words'})`;
}
