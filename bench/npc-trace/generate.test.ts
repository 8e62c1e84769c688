/** The generator: one seed, one trace; what it tells is possible in the game, and as often as it was asked to be. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { dialogueSchema } from '../../src/api/wire.ts';
import { SeededRandom } from '../../src/planning/seeded-random.ts';
import { dialogueBody } from './dialogue-door.ts';
import { generateTrace } from './generate.ts';
import { NPCS_BY_DEMAND, roadsBetween, SPOTS } from './places.ts';
import { PromptWriter } from './prompts.ts';
import { firstQuestions, strayQuestions, wholePool } from './questions.ts';
import { PUBLISHED_SHAPE, type TraceShape } from './shape.ts';
import { readTokenTable, tableCounter } from './token-table.ts';
import { formatTrace, parseTrace, readTrace, type SayEntry, type Trace, type TraceEntry } from './trace.ts';
import { levelled, respell, UniqueWording } from './wording.ts';

const FILE = join(import.meta.dirname, 'published.jsonl');
const never = new AbortController().signal;
const counter = tableCounter(readTokenTable());
const make = (shape: TraceShape) => generateTrace(shape, counter, never);
const SMALL: TraceShape = { ...PUBLISHED_SHAPE, players: 30, minutes: 3 };

function saysOf(trace: Trace): SayEntry[] {
  return trace.entries.filter((entry): entry is SayEntry => entry.kind === 'say');
}

function figure(trace: Trace, name: string): number {
  const value = trace.header.shape[`measured.${name}`];
  assert.equal(typeof value, 'number', name);
  return value as number;
}

test('the published trace is what its seed gives, and README.md names its digest', async () => {
  const text = readFileSync(FILE, 'utf8');
  assert.equal(formatTrace(await make(PUBLISHED_SHAPE)), text, 'node bench/npc-trace/generate.ts --out …');
  const digest = createHash('sha256').update(text).digest('hex');
  assert.ok(readFileSync(join(import.meta.dirname, 'README.md'), 'utf8').includes(digest), digest);
  assert.ok(text.length < 1_400_000);
});

test('the same seed gives the same trace, another seed another', async () => {
  const first = formatTrace(await make(SMALL));
  assert.equal(formatTrace(await make(SMALL)), first);
  assert.notEqual(formatTrace(await make({ ...SMALL, seed: 2 })), first);
});

test('whatever the seed, the story is possible and every line is one that our door takes', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 1_000_000 }), async (seed) => {
      const trace = await make({ ...SMALL, seed });
      // Reading it back checks the order of time and that every prefix is there.
      assert.deepEqual(parseTrace(formatTrace(trace)), trace);
      const says = saysOf(trace);
      assert.equal(new Set(says.map(({ id }) => id)).size, says.length);
      for (const say of says) checkSay(say, trace);
      checkWalks(trace.entries);
      checkEvents(says);
    }),
    { numRuns: 6 },
  );
});

function checkSay(say: SayEntry, trace: Trace): void {
  const prefix = trace.header.prefixes.find(({ id }) => id === say.prefix);
  assert.equal(prefix?.npcId, say.npcId);
  assert.equal(prefix?.tier, say.tier);
  assert.equal(prefix?.messages[0]?.role, 'system');
  assert.equal(say.messages.at(-1)?.role, 'user');
  assert.ok(say.maxTokens > 0 && say.atMs < trace.header.durationMs);
  assert.equal(say.prompt === '', say.trigger !== undefined);
  for (const useEvents of [false, true]) {
    const body = JSON.parse(dialogueBody(say, { units: 'sentence', useEvents })) as unknown;
    const parsed = dialogueSchema.safeParse(body);
    assert.ok(parsed.success, `${say.id}: ${parsed.error?.message}`);
  }
}

/** A player talks where the last hint said they would be, and only with who stands there. */
function checkWalks(entries: readonly TraceEntry[]): void {
  const bound = new Map<string, string>();
  for (const entry of entries) {
    if (entry.kind === 'hint') {
      const to = SPOTS.find(({ residents }) => residents.join() === entry.npcIds.join());
      assert.ok(to !== undefined, entry.npcIds.join());
      bound.set(entry.playerId, to.id);
    } else if (entry.kind === 'say' && entry.prompt !== '') {
      const place = SPOTS.find(({ id }) => id === entry.context['location']);
      assert.ok(place?.residents.includes(entry.npcId), `${entry.npcId} at ${place?.id}`);
      assert.equal(bound.get(entry.playerId) ?? place?.id, place?.id);
    }
  }
}

/** All that see one event are told of the same thing at the same place within the time in which it is one. */
function checkEvents(says: readonly SayEntry[]): void {
  const groups = Map.groupBy(
    says.filter(({ event }) => event !== undefined),
    ({ event }) => event?.id,
  );
  for (const group of groups.values()) {
    const times = group.map(({ atMs }) => atMs);
    assert.ok(Math.max(...times) - Math.min(...times) <= 500);
    assert.equal(new Set(group.map(({ event, trigger }) => `${event?.area} ${trigger}`)).size, 1);
    assert.equal(new Set(group.map(({ npcId }) => npcId)).size, group.length);
  }
}

test('the published trace is as busy, as repetitive and as broken off as its header says', () => {
  const trace = readTrace(FILE);
  const says = saysOf(trace);
  const near = (value: number, wanted: number, tolerance: number, name: string) =>
    assert.ok(Math.abs(value - wanted) <= tolerance, `${name} is ${value}, wanted ${wanted}`);
  near(figure(trace, 'saysPerSecond'), 1, 0.25, 'lines a second');
  near(figure(trace, 'wordsRepeatedShare'), PUBLISHED_SHAPE.repeats, 0.1, 'repeated words');
  const talk = says.filter(({ prompt }) => prompt !== '');
  const cut = talk.filter(({ hangUpAfterMs }) => hangUpAfterMs !== undefined).length / talk.length;
  near(cut, PUBLISHED_SHAPE.interruptions, 0.04, 'cut short');
  const kinds = (kind: string) => trace.entries.filter((entry) => entry.kind === kind).length;
  assert.ok(kinds('hint') > trace.header.players);
  assert.ok(kinds('reconnect') >= 5);
  assert.ok(says.some(({ priority }) => priority === 'ambient'));
  const asked = (npcId: string) => says.filter((say) => say.npcId === npcId).length;
  const [most, ...others] = NPCS_BY_DEMAND.map(asked);
  assert.ok(others.every((count) => count < (most ?? 0)));
  assert.deepEqual(new Set(says.map(({ tier }) => tier)), new Set([1, 2, 3, 4]));
});

test('a greater share of repeats makes a more repetitive trace, none hardly any', async () => {
  const shares: number[] = [];
  for (const repeats of [0, 0.4, 0.8])
    shares.push(figure(await make({ ...SMALL, players: 60, repeats }), 'wordsAndTalkRepeatedShare'));
  const [none = 1, some = 0, most = 0] = shares;
  assert.ok(none < 0.05 && none < some && some < most, shares.join(', '));
});

test('a talk goes on from what was said in it, and a lost connection makes its player ask again', () => {
  const trace = readTrace(FILE);
  const says = saysOf(trace);
  const followUps = says.filter(({ context }) => context['history'] !== undefined);
  assert.ok(followUps.length > 50);
  for (const say of followUps) {
    const history = say.context['history'] as { speaker: string; text: string }[];
    const said = history.filter(({ speaker }) => speaker === 'player').at(-1)?.text;
    const before = says.filter(
      ({ playerId, npcId, prompt, atMs }) =>
        playerId === say.playerId && npcId === say.npcId && prompt !== '' && atMs < say.atMs,
    );
    assert.ok(
      before.some(({ prompt }) => prompt.trim() === said),
      `${say.id} goes on from ${said}`,
    );
  }
  const again = trace.entries.filter(
    (entry) =>
      entry.kind === 'reconnect' &&
      says.some((say) => {
        const sinceMs = say.atMs - entry.atMs;
        const isBack = say.playerId === entry.playerId && sinceMs > 0 && sinceMs < 3_000;
        return isBack && says.some((other) => other.id < say.id && isSameLine(other, say));
      }),
  );
  assert.ok(again.length >= 2);
});

function isSameLine(one: SayEntry, other: SayEntry): boolean {
  return one.playerId === other.playerId && one.npcId === other.npcId && one.prompt === other.prompt;
}

test('equal words are not always an equal question: some players have a story of their own', () => {
  const talk = saysOf(readTrace(FILE)).filter(({ prompt }) => prompt !== '');
  const groups = Map.groupBy(talk, ({ npcId, prompt }) => `${npcId} ${levelled(prompt)}`);
  const factsOf = ({ context }: SayEntry) => JSON.stringify(context['facts']);
  const differing = [...groups.values()].filter((group) => new Set(group.map(factsOf)).size > 1);
  assert.ok(differing.length >= 10);
});

test('the pool has some 150 questions, each for somebody or some place that is there', async () => {
  const { cast } = await PromptWriter.open(counter, never);
  assert.deepEqual(strayQuestions(new Set(cast.npcs.keys())), []);
  assert.deepEqual(new Set(NPCS_BY_DEMAND), new Set(cast.npcs.keys()));
  assert.deepEqual(new Set(SPOTS.flatMap(({ residents }) => residents)), new Set(cast.npcs.keys()));
  assert.deepEqual(new Set(SPOTS.map(({ id }) => id)), new Set(cast.setting.places.keys()));
  assert.ok(new Set(wholePool().map(levelled)).size >= 150);
  for (const npcId of NPCS_BY_DEMAND) {
    const questions = firstQuestions(npcId);
    assert.ok(questions.length >= 20);
    assert.equal(new Set(questions.map(levelled)).size, questions.length, npcId);
  }
});

test('roads lead both ways and from everywhere to everywhere', () => {
  for (const from of SPOTS) {
    for (const to of SPOTS) assert.equal(roadsBetween(from.id, to.id), roadsBetween(to.id, from.id));
    for (const next of from.roads) assert.equal(roadsBetween(from.id, next), 1);
  }
  assert.throws(() => roadsBetween('nowhere', 'registry'), /no place is called nowhere/);
});

test('a spelling is the same question to who levels it, unless letters changed places', () => {
  const random = new SeededRandom('spelling');
  const spellings = new Set<string>();
  let misspelt = 0;
  for (let round = 0; round < 2_000; round += 1) {
    const spelling = respell('What is in those crates, Ned?', random);
    spellings.add(spelling);
    if (levelled(spelling) !== 'what is in those crates ned') misspelt += 1;
  }
  assert.ok(spellings.size > 8);
  assert.ok(misspelt > 50 && misspelt < 150, String(misspelt));
});

test('a wording of one’s own is nobody else’s', () => {
  const wording = new UniqueWording(new SeededRandom('own'));
  const pool = new Set(wholePool().map(levelled));
  const said = Array.from({ length: 2_000 }, (_none, index) => levelled(wording.question(index % 2 === 0)));
  assert.equal(new Set(said).size, said.length);
  assert.ok(said.every((text) => !pool.has(text) && text.length <= 300));
});

test('a packed trace is read as the plain one is', () => {
  const folder = mkdtempSync(join(tmpdir(), 'npc-trace-'));
  try {
    const packed = join(folder, 'trace.jsonl.gz');
    writeFileSync(packed, gzipSync(readFileSync(FILE)));
    assert.deepEqual(readTrace(packed), readTrace(FILE));
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a trace that is cut, mixed up or of another schema is refused with its line', () => {
  const lines = readFileSync(FILE, 'utf8').split('\n').slice(0, 6);
  const text = (changed: Record<number, string>) =>
    lines.map((line, index) => changed[index] ?? line).join('\n');
  assert.equal(parseTrace(text({})).entries.length, 5);
  assert.throws(() => parseTrace(text({ 0: '{"schema":"x/1"}' })), /line 1: schema is "x\/1"/);
  assert.throws(() => parseTrace(text({ 3: lines[3]?.slice(0, 40) ?? '' })), /line 4 is not JSON/);
  assert.throws(() => parseTrace(text({ 3: '3' })), /line 4: expected a JSON object/);
  assert.throws(() => parseTrace(text({ 2: '{"kind":"shout","atMs":1}' })), /line 3: kind is "shout"/);
  assert.throws(() => parseTrace(text({ 5: '{"kind":"hint","atMs":0}' })), /line 6: atMs is 0, after/);
  assert.throws(
    () => parseTrace(text({ 1: '{"kind":"say","atMs":0,"prefix":"nobody"}' })),
    /line 2: no prefix "nobody"/,
  );
  assert.throws(() => parseTrace(''), /line 1 is not JSON/);
});
