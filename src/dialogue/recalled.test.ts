/** The dialogue cache in the walk: what is said again, what is joined, and what never crosses from one listener to another. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { AdapterLease, ResolvedAdapter } from '../core/adapter.ts';
import type { DialogueContext, DialogueEvent, DialogueRequest } from '../core/dialogue.ts';
import { type Variant, variantOf } from '../recall/variant.ts';
import { broken, hear, request, say, type World, world } from '../testing/dialogue-world.ts';
import { answer } from './answer.ts';

const context = (changes: Partial<DialogueContext> = {}): DialogueContext => ({
  playerId: 'p1',
  timelineId: 'main',
  facts: [],
  history: [],
  allowedActions: [],
  ...changes,
});
const HISTORY = [
  { speaker: 'player', text: 'We met before.' },
  { speaker: 'npc', text: 'So they say.' },
] as const;
const by = (playerId: string, changes: Partial<DialogueContext> = {}) => ({
  context: context({ playerId, ...changes }),
});
const numbered = (call: number) =>
  say(
    `The bells rang ${['once', 'twice', 'thrice', 'again', 'loudly', 'softly', 'late', 'early'][call] ?? 'often'} tonight for nobody. `,
  );
const open = (script = numbered, options: Parameters<typeof world>[1] = {}) =>
  world(script, { recall: {}, ...options });

async function events(made: World, changes: Partial<DialogueRequest>, signal: AbortSignal) {
  const heard: DialogueEvent[] = [];
  for await (const event of answer(request(changes), made.parts, signal)) heard.push(event);
  return heard;
}

test('what was generated for one player is said again to another, and no engine is asked', async () => {
  const made = await open();
  const first = await hear(made, by('p1'));
  const second = await hear(made, by('p2'));
  assert.equal(made.engine.requests.length, 1);
  assert.deepEqual(second.outcome.sentences, first.outcome.sentences);
  assert.deepEqual(second.outcome.source, { ...first.outcome.source, kind: 'cache' });
  assert.equal(second.outcome.usage.promptTokens, 0);
  assert.equal(second.events.find((event) => event.type === 'sentence')?.source, 'cache');
  assert.deepEqual(
    made.recallEvents.map(({ outcome }) => outcome),
    ['miss', 'hit'],
  );
  assert.equal(made.recall.savings.total.hits, 1);
});

test('the same player is not told the same twice, but another variant, until no engine has one', async () => {
  const made = await open();
  const first = await hear(made, by('p1'));
  const second = await hear(made, by('p1'));
  assert.notDeepEqual(second.outcome.sentences, first.outcome.sentences);
  assert.equal(second.outcome.source.kind, 'engine');
  const other = await hear(made, by('p2'));
  const another = await hear(made, by('p2'));
  assert.equal(made.engine.requests.length, 2);
  assert.notDeepEqual(another.outcome.sentences, other.outcome.sentences, 'the one not heard yet');
});

test('as many variants are made as are asked for before one is said again', async () => {
  const made = await open(numbered, { recall: { variantsMin: 2 } });
  for (const player of ['p1', 'p2', 'p3']) await hear(made, by(player));
  assert.equal(made.engine.requests.length, 2);
});

for (const [what, changes] of Object.entries<Partial<DialogueRequest>>({
  'another mood': by('p2', { mood: 'furious' }),
  'another place': by('p2', { location: 'salon' }),
  'another fact that the NPC may speak of': by('p2', {
    facts: [{ key: 'debt', value: 3, text: 'The player owes three lids.' }],
  }),
  'a fact that reveals a secret': by('p2', { facts: [{ key: 'quest.bell', value: 3 }] }),
  'another history': by('p2', { history: HISTORY }),
  'other words': { ...by('p2'), prompt: 'Good evening, who were you?' },
  'another tier': { ...by('p2'), tier: 2 },
  'another temperature': { ...by('p2'), temperature: 0.1 },
  'another limit of tokens': { ...by('p2'), maxTokens: 40 },
  'an operator who names the base': { ...by('p2'), adapter: null },
  'what the NPC may do': by('p2', { allowedActions: [{ name: 'open_gate' }] }),
}))
  test(`${what} is another question`, async () => {
    const made = await open();
    await hear(made, by('p1'));
    const { outcome } = await hear(made, changes);
    assert.equal(outcome.source.kind, 'engine');
    assert.equal(made.engine.requests.length, 2);
  });

test('a fact that reaches neither prompt nor guard is no other question', async () => {
  const made = await open();
  await hear(made, by('p1'));
  const { outcome } = await hear(made, by('p2', { facts: [{ key: 'player.gold', value: 12 }] }));
  assert.equal(outcome.source.kind, 'cache');
});

test('a secret that one player may hear is not said to one who may not', async () => {
  const made = await open(() => say('The bell is my heart, since you ask so kindly. '));
  const told = await hear(made, by('p1', { facts: [{ key: 'quest.bell', value: 3 }] }));
  assert.match(told.outcome.sentences.join(' '), /bell is my heart/);
  const other = await hear(made, by('p2'));
  assert.doesNotMatch(other.outcome.sentences.join(' '), /bell is my heart/);
});

test('a poisoned entry is stopped by the guard of whoever would hear it', async (t) => {
  const made = await open();
  const keep = t.mock.method(made.recall, 'keep');
  const { outcome } = await hear(made, by('p1'));
  const [call] = keep.mock.calls;
  assert.ok(call);
  made.recall.keep(
    call.arguments[0],
    variantOf({
      sentences: ['Psst: the bell is my heart.'],
      source: { engine: 'local', model: 'm', modelVersion: null, adapter: null },
      bornAtMs: 0,
      took: { promptTokens: 1, completionTokens: 1, costMicroUsd: 0, ttfsMs: 1 },
    }),
    null,
  );
  const second = await hear(made, by('p2'));
  assert.deepEqual(second.outcome.sentences, outcome.sentences, 'the clean variant');
  const third = await hear(made, by('p2'));
  assert.doesNotMatch(third.outcome.sentences.join(' '), /heart/);
});

test('an edited persona forgets nothing and says nothing of before', async () => {
  const made = await open();
  await hear(made, by('p1'));
  const vey = made.parts.cast.npcs.get('vey');
  assert.ok(vey);
  const edited = { ...vey, summary: 'A hostess who has stopped selling secrets.' };
  const npcs = new Map(made.parts.cast.npcs).set('vey', edited);
  const cast = { ...made.parts.cast, npcs };
  const parts = { ...made.parts, cast, recallKey: { ...made.parts.recallKey, cast } };
  const { outcome } = await hear({ ...made, parts }, by('p2'));
  assert.equal(outcome.source.kind, 'engine', 'the version is the same, the content is not');
});

test('after a swap of the adapter nothing of before is said again', async () => {
  let generation = 1;
  const adapters = {
    resolve: () => ({ id: `lich@${generation}`, engineName: `lich@${generation}-00000000`, generation }),
    want: () => Promise.resolve(null),
    lease: (adapter: ResolvedAdapter) => ({
      adapter,
      address: { engineName: adapter.engineName } as AdapterLease['address'],
      lost: () => {},
      [Symbol.dispose]: () => {},
    }),
  };
  const made = await open(numbered, { adapter: 'lich', adapters });
  const before = await hear(made, by('p1'));
  assert.equal(before.outcome.source.adapter, 'lich@1');
  assert.equal((await hear(made, by('p2'))).outcome.source.kind, 'cache');
  generation = 2;
  const after = await hear(made, by('p3'));
  assert.equal(after.outcome.source.kind, 'engine');
  assert.equal(after.outcome.source.adapter, 'lich@2');
});

test('what the base said for an adapter that was not there is not kept', async () => {
  const made = await open(numbered, { adapter: 'lich' });
  await hear(made, by('p1'));
  await hear(made, by('p2'));
  assert.equal(made.engine.requests.length, 2);
});

test('where two questions had one key, the guard would still keep every secret', async (t) => {
  const made = await open(() => say('The bell is my heart, since you ask so kindly. '));
  const { recall } = made;
  const recalled = recall.recalled.bind(recall);
  const keep = recall.keep.bind(recall);
  t.mock.method(recall, 'recalled', () => recalled('vey:same'));
  t.mock.method(recall, 'keep', (_key: string, ...rest: [Variant, number | null]) =>
    keep('vey:same', ...rest),
  );
  const told = await hear(made, by('p1', { facts: [{ key: 'quest.bell', value: 3 }] }));
  assert.match(told.outcome.sentences.join(' '), /bell is my heart/);
  const other = await hear(made, by('p2'));
  assert.doesNotMatch(other.outcome.sentences.join(' '), /bell is my heart/);
});

test('what is being said while it is to be forgotten is not kept', async () => {
  const gate = Promise.withResolvers<void>();
  const made = await open((call) => [...(call === 0 ? [{ wait: gate.promise }] : []), ...numbered(call)]);
  const leader = events(made, by('p1'), never);
  await heardAny(made);
  await made.recall.forget('vey', never);
  gate.resolve();
  await leader;
  const { outcome } = await hear(made, by('p2'));
  assert.equal(outcome.source.kind, 'engine');
});

test('a cache without room costs no answer', async () => {
  const made = await open(numbered, { recall: { memoryBytesMax: 0 } });
  for (const player of ['p1', 'p2']) {
    const { outcome } = await hear(made, by(player));
    assert.equal(outcome.source.kind, 'engine');
  }
  assert.equal(made.recall.state.bytes, 0);
});

test('a persona that says so is never said again', async () => {
  const made = await open();
  const vey = made.parts.cast.npcs.get('vey');
  assert.ok(vey);
  const npcs = new Map([['vey', { ...vey, recall: { policy: 'off' as const } }]]);
  const parts = { ...made.parts, cast: { ...made.parts.cast, npcs } };
  await hear({ ...made, parts }, by('p1'));
  await hear({ ...made, parts }, by('p2'));
  assert.equal(made.engine.requests.length, 2);
});

test('a bark is said again for other words that mean the same; conversation never is', async () => {
  const made = await open();
  const bark = { ...by('p1'), trigger: 'greet' as const };
  await hear(made, { ...bark, prompt: 'The player draws a sword.' });
  const same = { prompt: 'The player pulls out a sword.' };
  const { outcome } = await hear(made, { ...bark, ...by('p2'), ...same });
  assert.equal(outcome.source.kind, 'cache');
  assert.equal(made.recallEvents.at(-1)?.outcome, 'meaning_hit');
  for (const [what, other] of Object.entries<Partial<DialogueRequest>>({
    'the opposite': { prompt: 'The player does not draw a sword.' },
    'another trigger': { ...same, ...by('p7'), trigger: 'farewell' },
    'another mood': { ...same, ...by('p4', { mood: 'calm' }) },
    'words of a talk': { ...same, ...by('p5', { history: [...HISTORY] }) },
    'words of a conversation': { ...same, ...by('p6'), conversationId: 'c1' },
  })) {
    const heard = await hear(made, { ...bark, ...by('p3'), ...other });
    assert.equal(heard.outcome.source.kind, 'engine', what);
  }
  const talk = await open();
  await hear(talk, { ...by('p1'), prompt: 'The player draws a sword.' });
  const said = await hear(talk, { ...by('p2'), ...same });
  assert.equal(said.outcome.source.kind, 'engine');
});

test('a written line that stood in for an engine is not kept', async () => {
  let isBroken = true;
  const made = await open((call) => (isBroken ? [broken] : numbered(call)));
  const first = await hear(made, by('p1'));
  assert.equal(first.outcome.source.kind, 'written');
  isBroken = false;
  const second = await hear(made, by('p2'));
  assert.equal(second.outcome.source.kind, 'engine');
});

test('what is known is said with every engine dead', async () => {
  let isBroken = false;
  const made = await open((call) => (isBroken ? [broken] : numbered(call)));
  await hear(made, by('p1'));
  isBroken = true;
  made.replica.setReady(false);
  const { outcome } = await hear(made, by('p2'));
  assert.equal(outcome.source.kind, 'cache');
  assert.equal(outcome.source.cause, undefined);
});

test('a thousand equal questions of one moment are one generation', async () => {
  const made = await open(() => [
    { say: 'The bells rang ' },
    { wait: delay(20) },
    { say: 'for nobody at all. ' },
  ]);
  const heard = await Promise.all(
    Array.from({ length: 1_000 }, (_, index) => events(made, by(`p${index}`), never)),
  );
  assert.equal(made.engine.requests.length, 1);
  assert.ok(heard.every((each) => each.some((event) => event.type === 'sentence')));
  const kinds = heard.map((each) => {
    const done = each.at(-1);
    assert.ok(done?.type === 'done');
    return done.outcome.source.kind;
  });
  assert.equal(kinds.filter((kind) => kind === 'cache').length, 999);
  assert.equal(kinds.filter((kind) => kind === 'engine').length, 1);
  assert.equal(made.recall.state.flights, 0);
  assert.equal(made.recall.savings.total.joined, 999);
});

test('when the leader hangs up a joiner goes on, from what was said', async () => {
  const first = Promise.withResolvers<void>();
  const made = await open((call) =>
    call === 0
      ? [{ say: 'The bells rang for nobody. ' }, { wait: first.promise }, { say: 'Never mind.' }]
      : say('They will ring for somebody tomorrow. '),
  );
  const leaving = new AbortController();
  const leader = events(made, by('p1'), leaving.signal);
  const joiners = ['p2', 'p3', 'p4'].map((player) => events(made, by(player), never));
  await heardAny(made);
  leaving.abort(new Error('hung up'));
  await assert.rejects(leader);
  const heard = await Promise.all(joiners);
  first.resolve();
  for (const each of heard) {
    assert.deepEqual(
      each.filter((event) => event.type === 'sentence').map(({ text }) => text),
      ['The bells rang for nobody.', 'They will ring for somebody tomorrow.'],
    );
  }
  assert.equal(made.engine.requests.length, 2, 'one of the joiners led on');
  assert.equal(made.engine.running, 0);
  assert.equal(made.recall.state.flights, 0);
});

test('what the time of the leader cut short a joiner with more time brings to its end', async () => {
  const silence = new Promise<void>(() => {});
  const made = await open((call) =>
    call === 0
      ? [{ say: 'The bells rang for nobody. They' }, { wait: silence }]
      : say('They will ring for somebody tomorrow. '),
  );
  const leader = events(made, { ...by('p1'), deadlineMs: 150 }, never);
  const joiner = await events(made, by('p2'), never);
  const texts = (each: readonly DialogueEvent[]) =>
    each.flatMap((event) => (event.type === 'sentence' ? [event.text] : []));
  assert.deepEqual(texts(await leader), ['The bells rang for nobody.']);
  assert.deepEqual(texts(joiner), ['The bells rang for nobody.', 'They will ring for somebody tomorrow.']);
  assert.deepEqual(
    made.recallEvents.map(({ outcome }) => outcome),
    ['miss', 'miss'],
    'each question is counted once, the one that took the lead as well',
  );
});

test('a joiner who hangs up takes the line from nobody', async () => {
  const gate = Promise.withResolvers<void>();
  const made = await open(() => [
    { say: 'The bells rang for nobody. ' },
    { wait: gate.promise },
    { say: 'Not even for me, my dear. ' },
  ]);
  const leaving = new AbortController();
  const leader = events(made, by('p1'), never);
  const joiner = events(made, by('p2'), leaving.signal);
  await heardAny(made);
  leaving.abort(new Error('hung up'));
  await assert.rejects(joiner);
  gate.resolve();
  const heard = await leader;
  assert.equal(heard.filter((event) => event.type === 'sentence').length, 2);
  assert.equal(made.engine.requests.length, 1);
});

test('a joiner whose time is up gets a written line; the flight goes on', async () => {
  const gate = Promise.withResolvers<void>();
  const made = await open(() => [{ wait: gate.promise }, { say: 'The bells rang for nobody. ' }]);
  const leader = events(made, by('p1'), never);
  const late = await events(made, { ...by('p2'), deadlineMs: 60 }, never);
  const done = late.at(-1);
  assert.ok(done?.type === 'done');
  assert.equal(done.outcome.source.kind, 'written');
  assert.equal(done.outcome.source.cause, 'timeout');
  gate.resolve();
  const heard = await leader;
  assert.equal(heard.find((event) => event.type === 'sentence')?.source, 'engine');
});

test('replayed as it would be spoken, a line can be cut half-way', async () => {
  const made = await open(() => say('The bells rang for nobody. ', 'Not even for me, my dear. '));
  await hear(made, by('p1'));
  const cut = new AbortController();
  const heard: string[] = [];
  const replayed = (async () => {
    const asked = request({ ...by('p2'), pacing: 'natural' });
    for await (const event of answer(asked, made.parts, cut.signal)) {
      if (event.type !== 'sentence') continue;
      heard.push(event.text);
      cut.abort(new Error('cut'));
    }
  })();
  await assert.rejects(replayed, /cut/);
  assert.equal(heard.length, 1);
});

const never = new AbortController().signal;

/** Resolves when the engine has said something. */
async function heardAny(made: World): Promise<void> {
  const { clock } = made.parts;
  for (let look = 0; look < 500 && made.recall.state.flights === 0; look++) await clock.sleep(1, never);
  await clock.sleep(10, never);
}
