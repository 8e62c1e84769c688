/**
 * Makes the NPC trace from a seed: `node bench/npc-trace/generate.ts --seed 1 --players 60 --minutes 10 --repeats 0.6`.
 * The same flags give the same bytes. Without --out it prints; `--out bench/npc-trace/published.jsonl` writes the
 * published one. `--tokenize http://127.0.0.1:8081` counts tokens by an engine and renews token-counts.json.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { TokenCounter } from '../../src/core/engine.ts';
import { SeededRandom } from '../../src/planning/seeded-random.ts';
import { Asking } from './asking.ts';
import { answerOf, PromptWriter, type Unwritten } from './prompts.ts';
import { FIRST_SENTENCE_MS, PUBLISHED_SHAPE, SOURCES, type TraceShape } from './shape.ts';
import { storyOf, type TraceFact, worldFacts } from './stories.ts';
import { readTokenTable, recordingCounter, tableCounter, tableText } from './token-table.ts';
import {
  formatTrace,
  type HintEntry,
  type ReconnectEntry,
  type SayEntry,
  TRACE_SCHEMA,
  type Trace,
  type TraceEntry,
  type TraceMessage,
  type TracePrefix,
} from './trace.ts';
import { type BarkEvent, type TurnEnd, type TurnEvent, type WalkEvent, walk } from './walk.ts';
import { levelled, respell } from './wording.ts';

/** How a line is spoken, and how long somebody thinks (npc-domain §4 "Pacing": 380 ms a word, 150 ms a sentence end). */
const WORD_MS = 380;
const SENTENCE_MS = 150;
const THINK_MS = [2_000, 7_000] as const;
/** From the asking to the cutting short: before the first word as well as in the midst of the line. Our assumption. */
const CUT_SHORT_MS = [300, 4_000] as const;
/** Heard this long, the beginning of the line stays in the talk. */
const HEARD_MS = 2_500;
const WARY_MS = 60_000;

/** Makes a trace. Aborting rejects with the signal's reason. */
export async function generateTrace(
  shape: TraceShape,
  counter: TokenCounter,
  signal: AbortSignal,
): Promise<Trace> {
  const writer = await PromptWriter.open(counter, signal);
  const random = new SeededRandom(`npc-trace/${shape.seed}`);
  const teller = new Teller(shape, random, writer);
  walk(shape, random.fork('walk'), (event) => teller.tell(event));
  const entries: TraceEntry[] = [];
  let says = 0;
  for (const entry of teller.entries.toSorted((one, other) => one.atMs - other.atMs)) {
    if (entry.kind !== 'say') entries.push(entry);
    else {
      says += 1;
      entries.push(await writer.write({ ...entry, id: `s${String(says).padStart(5, '0')}` }, signal));
    }
  }
  return {
    header: {
      schema: TRACE_SCHEMA,
      seed: shape.seed,
      durationMs: shape.minutes * 60_000,
      players: shape.players,
      firstSentenceMs: FIRST_SENTENCE_MS,
      shape: { ...described(shape), ...measured(entries, writer.prefixes, shape.minutes) },
      prefixes: writer.prefixes,
    },
    entries,
  };
}

/** Gives words to what happens. */
class Teller {
  readonly entries: (Unwritten | HintEntry | ReconnectEntry)[] = [];
  readonly #shape: TraceShape;
  readonly #random: SeededRandom;
  readonly #writer: PromptWriter;
  readonly #asking: Asking;
  readonly #stories = new Map<string, readonly TraceFact[]>();
  readonly #talks = new Map<number, Told>();
  /** Until when the people of a place are wary after a fight (ms). */
  readonly #waryUntilMs = new Map<string, number>();

  constructor(shape: TraceShape, random: SeededRandom, writer: PromptWriter) {
    this.#shape = shape;
    this.#random = random.fork('words');
    this.#writer = writer;
    this.#asking = new Asking(shape, random.fork('questions'));
  }

  tell(event: WalkEvent): TurnEnd | undefined {
    switch (event.kind) {
      case 'hint':
      case 'reconnect':
        this.entries.push(event);
        return undefined;
      case 'bark':
        this.#bark(event);
        return undefined;
      case 'turn':
        return this.#turn(event);
    }
  }

  #turn({ atMs, playerId, npcId, place, talk, isAgain }: TurnEvent): TurnEnd | undefined {
    const told = this.#talks.get(talk.id) ?? {
      isOwn: this.#asking.beginsOwn(),
      asked: [],
      history: [],
      last: null,
    };
    this.#talks.set(talk.id, told);
    if (isAgain) {
      if (told.last !== null) this.entries.push({ ...told.last, atMs });
      return undefined;
    }
    const persona = this.#writer.cast.npcs.get(npcId);
    if (persona === undefined) throw new Error(`${npcId} is on the map and not in the cast`);
    const random = this.#random;
    const question = this.#asking.next(npcId, told.asked, told.isOwn);
    const prompt = respell(question, random);
    const isWary = atMs < (this.#waryUntilMs.get(place) ?? 0);
    const isCut = random.chance(this.#shape.interruptions);
    const [soonest, latest] = CUT_SHORT_MS;
    const hangUpAfterMs = isCut ? random.between(soonest, latest) : null;
    const entry: Unwritten = {
      kind: 'say',
      id: '',
      atMs,
      playerId,
      npcId,
      prompt,
      context: {
        location: place,
        ...(isWary ? { mood: 'wary' } : {}),
        facts: [...worldFacts(atMs, this.#shape.minutes * 60_000), ...this.#storyOf(playerId)],
        ...(told.history.length === 0 ? {} : { history: [...told.history] }),
      },
      priority: 'interactive',
      ...(hangUpAfterMs === null ? {} : { hangUpAfterMs }),
    };
    this.entries.push(entry);
    told.last = entry;
    told.asked.push(question);
    told.history.push({ speaker: 'player', text: prompt.trim() });
    const answer = answerOf(persona, question);
    if (hangUpAfterMs === null) {
      told.history.push({ speaker: 'npc', text: answer });
      const [least, most] = THINK_MS;
      const words = answer.split(' ').length;
      return { nextAtMs: atMs + words * WORD_MS + SENTENCE_MS + random.between(least, most) };
    }
    // Only what was heard stays (npc-domain §4 "Barge-in").
    if (hangUpAfterMs >= HEARD_MS)
      told.history.push({ speaker: 'npc', text: `${answer.split(' ').slice(0, 4).join(' ')}…` });
    return { nextAtMs: atMs + hangUpAfterMs + random.between(50, 400) };
  }

  #bark({ atMs, playerId, npcId, place, trigger, isAmbient, listeners, health, event }: BarkEvent): void {
    if (event !== undefined) this.#waryUntilMs.set(place, atMs + WARY_MS);
    this.entries.push({
      kind: 'say',
      id: '',
      atMs,
      playerId,
      npcId,
      prompt: '',
      trigger,
      context: {
        location: place,
        facts: [
          ...worldFacts(atMs, this.#shape.minutes * 60_000),
          ...(health === undefined ? [] : [{ key: 'health', value: health }]),
        ],
        ...(listeners.length === 0 ? {} : { listeners }),
      },
      priority: isAmbient ? 'ambient' : 'interactive',
      ...(event === undefined ? {} : { event }),
    });
  }

  #storyOf(playerId: string): readonly TraceFact[] {
    const known = this.#stories.get(playerId);
    if (known !== undefined) return known;
    const story = storyOf(this.#random.fork(playerId), this.#shape.ownStories);
    this.#stories.set(playerId, story);
    return story;
  }
}

/** One talk so far. */
interface Told {
  readonly isOwn: boolean;
  readonly asked: string[];
  readonly history: { readonly speaker: 'player' | 'npc'; readonly text: string }[];
  last: Unwritten | null;
}

function described(shape: TraceShape): Record<string, number | string> {
  const rows: Record<string, number | string> = {};
  for (const [name, source] of Object.entries(SOURCES)) {
    rows[name] = shape[name as keyof TraceShape];
    rows[`${name}.source`] = source;
  }
  rows['firstSentenceMs.source'] =
    'for two CPU cores and a model of 135 million parameters; over 4 s is felt as broken (npc-domain 10)';
  return rows;
}

/** What came out, counted over the entries: what an exact cache could know at best when it starts empty, among others. */
export function measured(
  entries: readonly TraceEntry[],
  prefixes: readonly TracePrefix[],
  minutes: number,
): Record<string, number> {
  const says = entries.filter((entry): entry is SayEntry => entry.kind === 'say');
  const talk = says.filter(({ prompt }) => prompt !== '');
  const share = (part: number, whole: number) => Math.round((1_000 * part) / Math.max(1, whole)) / 1_000;
  const repeated = (list: readonly SayEntry[], keyOf: (say: SayEntry) => string) =>
    share(list.length - new Set(list.map(keyOf)).size, list.length);
  const words = (say: SayEntry) => `${say.npcId}|${levelled(say.prompt)}`;
  const point = (say: SayEntry) => `${words(say)}|${levelled(JSON.stringify(say.context['history'] ?? []))}`;
  const exact = (say: SayEntry) =>
    JSON.stringify([words(say), say.trigger, { ...say.context, listeners: undefined }]);
  const bytesOf = (messages: readonly TraceMessage[]) =>
    messages.reduce((sum, { content }) => sum + Buffer.byteLength(content), 0);
  const prefixBytes = new Map(prefixes.map(({ id, messages }) => [id, bytesOf(messages)]));
  const ofPrefixes = says.reduce((sum, { prefix }) => sum + (prefixBytes.get(prefix) ?? 0), 0);
  const ofMoments = says.reduce((sum, { messages }) => sum + bytesOf(messages), 0);
  const events = new Set(says.flatMap(({ event }) => (event === undefined ? [] : [event.id])));
  const ofEvents = says.filter(({ event }) => event !== undefined).length;
  return {
    'measured.says': says.length,
    'measured.saysPerSecond': share(says.length, minutes * 60),
    'measured.barkShare': share(says.length - talk.length, says.length),
    'measured.ambientShare': share(says.filter(({ priority }) => priority === 'ambient').length, says.length),
    'measured.followUpShare': share(
      talk.filter(({ context }) => context['history'] !== undefined).length,
      talk.length,
    ),
    'measured.wordsRepeatedShare': repeated(talk, words),
    'measured.wordsAndTalkRepeatedShare': repeated(talk, point),
    'measured.wordsAndMomentRepeatedShare': repeated(talk, exact),
    'measured.barksRepeatedShare': repeated(
      says.filter(({ prompt }) => prompt === ''),
      exact,
    ),
    'measured.prefixShareOfPromptBytes': share(ofPrefixes, ofPrefixes + ofMoments),
    'measured.events': events.size,
    'measured.witnessesPerEvent': Math.round((10 * ofEvents) / Math.max(1, events.size)) / 10,
  };
}

async function main(): Promise<void> {
  const { values: flags } = parseArgs({
    options: {
      seed: { type: 'string' },
      players: { type: 'string' },
      minutes: { type: 'string' },
      repeats: { type: 'string' },
      interruptions: { type: 'string' },
      'own-stories': { type: 'string' },
      out: { type: 'string' },
      tokenize: { type: 'string' },
    },
  });
  const figure = (text: string | undefined, other: number) => (text === undefined ? other : Number(text));
  const shape: TraceShape = {
    ...PUBLISHED_SHAPE,
    seed: figure(flags.seed, PUBLISHED_SHAPE.seed),
    players: figure(flags.players, PUBLISHED_SHAPE.players),
    minutes: figure(flags.minutes, PUBLISHED_SHAPE.minutes),
    repeats: figure(flags.repeats, PUBLISHED_SHAPE.repeats),
    interruptions: figure(flags.interruptions, PUBLISHED_SHAPE.interruptions),
    ownStories: figure(flags['own-stories'], PUBLISHED_SHAPE.ownStories),
  };
  const counts = new Map<string, number>();
  const { tokenize } = flags;
  const counter =
    tokenize === undefined
      ? tableCounter(readTokenTable())
      : recordingCounter({ count: (text, signal) => askEngine(tokenize, text, signal) }, counts);
  const trace = await generateTrace(shape, counter, AbortSignal.timeout(300_000));
  if (tokenize !== undefined)
    writeFileSync(
      join(import.meta.dirname, 'token-counts.json'),
      tableText('smollm2-135m-instruct-q4_1', counts),
    );
  const text = formatTrace(trace);
  if (flags.out === undefined) process.stdout.write(text);
  else writeFileSync(flags.out, text);
  const { shape: told, prefixes } = trace.header;
  const rows = Object.entries(told).filter(([name]) => name.startsWith('measured.'));
  console.error(`${text.length} bytes, ${prefixes.length} prefixes`);
  for (const [name, value] of rows) console.error(`${name}: ${value}`);
}

async function askEngine(url: string, text: string, signal: AbortSignal): Promise<number> {
  const reply = await fetch(`${url}/tokenize`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ prompt: text, add_special_tokens: false }),
    signal,
  });
  if (!reply.ok) throw new Error(`${url}/tokenize answered ${reply.status}: ${await reply.text()}`);
  return ((await reply.json()) as { count: number }).count;
}

if (import.meta.main) await main();
