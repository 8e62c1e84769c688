import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createCast } from '../cast/cast.ts';
import { HeardLines } from '../cast/heard-lines.ts';
import { ConversationMemory } from '../cast/memory.ts';
import { parsePersona } from '../cast/persona.ts';
import { createPromptAssembler } from '../cast/prompt.ts';
import { parseLinesCsv } from '../cast/written-lines.ts';
import type { ConversationStore, ConversationTurn } from '../core/conversation.ts';
import type { DialogueEvent, DialogueOutcome, DialogueRequest } from '../core/dialogue.ts';
import { ServiceError } from '../core/errors.ts';
import type { Turn } from '../core/turn.ts';
import { createWritten } from '../engines/written.ts';
import { TaskGroup } from '../lib/async.ts';
import { Admission } from '../routing/admission.ts';
import { tiersSchema } from '../routing/tiers.ts';
import { realRuntime } from '../runtime.ts';
import { silentLogger } from '../telemetry/log.ts';
import { ScriptedEngine, type ScriptStep } from '../testing/scripted-engine.ts';
import { type AnswerParts, answer } from './answer.ts';
import { Ladder } from './ladder.ts';

const never = new AbortController().signal;

function persona() {
  const parsed = parsePersona(
    {
      schema: 'greenroom.persona/1',
      id: 'vey',
      version: 3,
      name: 'Madame Vey',
      nickname: 'Vey',
      monster_type: 'vampire',
      tier: 3,
      summary: 'A hostess who sells secrets.',
      secrets: [{ text: 'She is the bell.', reveal_when: 'quest.bell>=3', canaries: ['bell is my heart'] }],
      style: { max_words: 24, combat_max_words: 6 },
    },
    'vey.json',
  );
  assert.ok('persona' in parsed, JSON.stringify(parsed));
  return parsed.persona;
}

const LINES = [
  'id,speaker,trigger,text,when',
  'v.b1,vampire,fallback:backend_error,The bells took my answer.,',
  'v.b2,vampire,fallback:backend_error,Another night perhaps.,',
  'v.t1,vampire,fallback:timeout,I was elsewhere.,',
  'v.s1,vampire,fallback:safety,That stays behind the curtain.,',
  'v.r1,vampire,fallback:repetition,Let us talk of gloves instead.,',
  'v.o1,vampire,fallback:offline,The salon is closed.,',
  'v.v1,vampire,fallback:overload,One at a time please.,',
  'v.spot1,vampire,spot,There you are at last.,',
  'v.f1,vampire,thinking,One moment.,',
].join('\n');

interface World {
  readonly parts: AnswerParts;
  readonly engine: ScriptedEngine;
  readonly turns: Turn[];
  readonly stored: ConversationTurn[];
  readonly admission: Admission;
}

function world(
  script: (call: number) => readonly ScriptStep[],
  options: {
    ready?: boolean;
    storeFails?: boolean;
    fillerAfterMs?: number;
    maxQueued?: number;
    spare?: ScriptedEngine;
  } = {},
): World {
  const { clock } = realRuntime;
  const { lines, problems } = parseLinesCsv(LINES, 'lines.csv');
  assert.deepEqual(problems, []);
  const cast = createCast([persona()], lines);
  const heard = new HeardLines(clock);
  const engine = new ScriptedEngine((_request, call) => script(call));
  const stored: ConversationTurn[] = [];
  const down = () => Promise.reject(new ServiceError('store_unavailable', 'the store is down'));
  const store = {
    appendTurn: (turn: ConversationTurn) =>
      options.storeFails ? down() : Promise.resolve(stored.push(turn) > 0),
    loadWindow: () => (options.storeFails ? down() : Promise.resolve(stored)),
    latestTimeline: () => Promise.resolve(null),
    branch: () => Promise.resolve(),
  } as unknown as ConversationStore;
  const memory = new ConversationMemory(store);
  const admission = new Admission({ engine: 'local', maxInFlight: 4, maxQueued: options.maxQueued ?? 8 });
  const turns: Turn[] = [];
  const entry = {
    engine,
    model: 'm',
    modelVersion: null,
    admission,
    unusable: () => (options.ready === false ? ('offline' as const) : null),
  };
  const ladder = new Ladder({
    cast,
    engines: new Map([
      ['local', entry],
      ...(options.spare === undefined
        ? []
        : [['spare', { ...entry, engine: options.spare, unusable: () => null }] as const]),
    ]),
    written: createWritten((scene) => cast.lines.pick(scene, heard)),
    counter: { count: (text) => Promise.resolve(Math.ceil(text.length / 4)) },
    assembler: createPromptAssembler(),
    memory,
    clock,
    log: silentLogger,
    contextTokens: 2_048,
    defaultTemperature: 0.7,
  });
  const tiers = tiersSchema.parse({});
  const parts: AnswerParts = {
    cast,
    tiers: {
      ...tiers,
      '3': {
        ...tiers['3'],
        fillerAfterMs: options.fillerAfterMs ?? 0,
        rungs: options.spare === undefined ? ['local'] : ['local', 'spare'],
      },
    },
    heard,
    playerCharsMax: 300,
    ladder,
    memory,
    clock,
    log: silentLogger,
    sinks: [{ record: (turn) => void turns.push(turn) }],
    tasks: new TaskGroup({ maxTasks: 10, onFailure: (_name, error) => assert.fail(String(error)) }),
  };
  return { parts, engine, turns, stored, admission };
}

function request(changes: Partial<DialogueRequest> = {}): DialogueRequest {
  return {
    id: 'dlg_1',
    npcId: 'vey',
    prompt: 'Good evening, who are you?',
    context: { playerId: 'p1', timelineId: 'main', facts: [], history: [], allowedActions: [] },
    units: 'sentence',
    maxTokens: 512,
    temperature: null,
    mayRaiseTier: false,
    priority: 'interactive',
    receivedMonoMs: realRuntime.clock.monotonicMs(),
    ...changes,
  };
}

async function hear(
  world: World,
  changes: Partial<DialogueRequest> = {},
): Promise<{ events: DialogueEvent[]; outcome: DialogueOutcome }> {
  const events: DialogueEvent[] = [];
  for await (const event of answer(request(changes), world.parts, never)) events.push(event);
  const done = events.at(-1);
  assert.ok(done?.type === 'done');
  assert.equal(events.filter((event) => event.type === 'done').length, 1);
  assert.equal(events[0]?.type, 'accepted');
  assert.equal(world.engine.running, 0, 'nothing runs at the engine afterwards');
  assert.equal(world.admission.running, 0, 'every place was given back');
  return { events, outcome: done.outcome };
}

const say = (...texts: string[]): ScriptStep[] => texts.map((text) => ({ say: text }));
const broken = { fail: new ServiceError('engine_error', 'it broke') };

test('sentences come in order, with the engine as their source and the figures it reported', async () => {
  const { events, outcome } = await hear(
    world(() => say('The salon is ', 'open. Sit where', ' the light is kind.')),
  );
  assert.deepEqual(outcome.sentences, ['The salon is open.', 'Sit where the light is kind.']);
  assert.deepEqual(
    events.map((event) => event.type),
    ['accepted', 'sentence', 'sentence', 'done'],
  );
  assert.equal(outcome.source.kind, 'engine');
  assert.equal(outcome.source.rung, 0);
  assert.equal(outcome.usage.cachedTokens, 60);
  assert.ok(outcome.timing.ttftMs !== null && outcome.timing.ttfsMs !== null);
  assert.equal(outcome.finishReason, 'stop');
});

test('an engine that breaks before the first sentence is replaced by a written line, with its cause', async () => {
  const { outcome } = await hear(world(() => [...say('The salon'), broken]));
  assert.deepEqual(outcome.source, {
    kind: 'written',
    engine: 'written',
    model: null,
    modelVersion: null,
    adapter: null,
    rung: 1,
    cause: 'backend_error',
  });
  assert.equal(outcome.sentences.length, 1);
  assert.match(outcome.sentences[0] ?? '', /bells took|Another night/);
  assert.equal(outcome.finishReason, 'written');
});

test('an engine that breaks between sentences keeps what was said, and a written line closes the speech', async () => {
  const { outcome } = await hear(world(() => [...say('The salon is open. Sit wh'), broken]));
  assert.equal(outcome.sentences[0], 'The salon is open.');
  assert.equal(outcome.sentences.length, 2);
  assert.match(outcome.sentences[1] ?? '', /bells took|Another night/);
  assert.equal(outcome.source.cause, 'backend_error');
});

test('a sentence that was whole when the engine broke is heard', async () => {
  const { outcome } = await hear(world(() => [...say('The salon is open.'), broken]));
  assert.equal(outcome.sentences[0], 'The salon is open.');
  assert.equal(outcome.source.cause, 'backend_error');
});

test('a second engine goes on from what was said, and the reply says why the first did not', async () => {
  const spare = new ScriptedEngine(() => say('Sit where the light is kind.'), 'spare');
  const { outcome } = await hear(world(() => [...say('The salon is open. And th'), broken], { spare }));
  assert.deepEqual(outcome.sentences, ['The salon is open.', 'Sit where the light is kind.']);
  assert.equal(spare.requests[0]?.assistantPrefix, 'The salon is open.');
  assert.equal(outcome.source.engine, 'spare');
  assert.equal(outcome.source.rung, 1);
  assert.equal(outcome.source.cause, 'backend_error');
});

test('an engine that is not ready gives its cause to the rung that answers instead', async () => {
  const spare = new ScriptedEngine(() => say('The salon is open.'), 'spare');
  const { outcome } = await hear(world(() => [], { ready: false, spare }));
  assert.equal(outcome.source.rung, 1);
  assert.equal(outcome.source.cause, 'offline');
});

test('a half sentence never leaves', async () => {
  const { outcome } = await hear(
    world(() => [...say('Sit down. I was about to tel'), { finish: 'length' as const }]),
  );
  assert.deepEqual(outcome.sentences, ['Sit down.']);
});

test('a canary is rolled again once and then covered by a written line; it never leaves, as token or sentence', async () => {
  const secret = world(() => say('You know, the BELL is my  heart. And more.'));
  const { events, outcome } = await hear(secret, { units: 'token' });
  assert.equal(secret.engine.requests.length, 2);
  assert.ok((secret.engine.requests[1]?.temperature ?? 0) > (secret.engine.requests[0]?.temperature ?? 0));
  assert.deepEqual(outcome.sentences, ['That stays behind the curtain.']);
  assert.equal(outcome.source.cause, 'safety');
  assert.doesNotMatch(JSON.stringify(events), /bell is my/i);
  assert.deepEqual(
    secret.turns[0]?.guardHits.map((hit) => `${hit.rule}:${hit.outcome}`),
    ['canary:rerolled', 'canary:replaced'],
  );
});

test('a second roll that is fine is heard instead of a written line', async () => {
  const { outcome } = await hear(
    world((call) => say(call === 0 ? 'I am an AI language model. ' : 'I host. Others confess.')),
  );
  assert.equal(outcome.source.kind, 'engine');
  assert.match(outcome.sentences.join(' '), /I host/);
});

test('an NPC that says the same again is rolled again, then changes the subject', async () => {
  const parrot = world(() => say('The Velvet Terraces are closed on Thursdays for the dead.'));
  await hear(parrot);
  const { outcome } = await hear(parrot);
  assert.equal(outcome.source.cause, 'repetition');
  assert.deepEqual(outcome.sentences, ['Let us talk of gloves instead.']);
});

test('the least recently heard written line is chosen for this player', async () => {
  const dead = world(() => [broken]);
  const first = await hear(dead);
  const second = await hear(dead);
  assert.notDeepEqual(first.outcome.sentences, second.outcome.sentences);
});

test('an engine that says nothing until the deadline is answered for by a written line, in time', async () => {
  const { outcome } = await hear(
    world(() => [{ wait: new Promise(() => {}) }]),
    { deadlineMs: 80 },
  );
  assert.equal(outcome.source.cause, 'timeout');
  assert.deepEqual(outcome.sentences, ['I was elsewhere.']);
});

test('a deadline of 1 ms is a written line without asking any engine', async () => {
  const hurried = world(() => say('Never said.'));
  const { outcome } = await hear(hurried, { deadlineMs: 1 });
  assert.equal(outcome.source.cause, 'timeout');
  assert.equal(hurried.engine.requests.length, 0);
});

test('what was said before the deadline stands, and says that time ran out', async () => {
  const { outcome } = await hear(
    world(() => [...say('The salon is open. And'), { wait: new Promise(() => {}) }]),
    { deadlineMs: 150 },
  );
  assert.deepEqual(outcome.sentences, ['The salon is open.']);
  assert.equal(outcome.finishReason, 'deadline');
  assert.equal(outcome.source.kind, 'engine');
  assert.equal(outcome.source.cause, 'timeout');
});

test('while the engine is not ready the written lines speak, cause offline', async () => {
  const { outcome } = await hear(world(() => [], { ready: false }));
  assert.equal(outcome.source.cause, 'offline');
});

test('a full queue goes down the ladder at once, cause overload', async () => {
  const full = world(() => say('Never.'), { maxQueued: 0 });
  for (let i = 0; i < 4; i++) await full.admission.acquire('interactive', never);
  const events: DialogueEvent[] = [];
  for await (const event of answer(request(), full.parts, never)) events.push(event);
  const done = events.at(-1);
  assert.ok(done?.type === 'done' && done.outcome.source.cause === 'overload');
});

test('a bark is a written line of its trigger, without a cause', async () => {
  const barker = world(() => say('Never.'));
  const { outcome } = await hear(barker, { prompt: '', trigger: 'spot' });
  assert.deepEqual(outcome.sentences, ['There you are at last.']);
  assert.equal(outcome.source.cause, undefined);
  assert.equal(barker.engine.requests.length, 0);
});

test('a slow first sentence is covered by one filler', async () => {
  const gate = Promise.withResolvers<void>();
  const slow = world(() => [{ wait: gate.promise }, ...say('At last.')], { fillerAfterMs: 5 });
  const types: string[] = [];
  for await (const event of answer(request(), slow.parts, never)) {
    types.push(event.type);
    if (event.type === 'filler') gate.resolve();
  }
  assert.deepEqual(types, ['accepted', 'filler', 'sentence', 'done']);
});

test('stage directions, labels and markup never leave', async () => {
  const { outcome } = await hear(
    world(() => say('*smiles* **Welcome** to the salon, (bows) dear. 😀\n', '<think>hm</think>')),
  );
  assert.deepEqual(outcome.sentences, ['Welcome to the salon, dear.']);
});

test('a reply keeps to the words and sentences of persona and tier, and then leaves the engine', async () => {
  const chatty = world(() =>
    Array.from({ length: 40 }, (_, i) => ({ say: `Guest number ${i} left his gloves upon the piano. ` })),
  );
  const { outcome } = await hear(chatty);
  assert.ok(outcome.sentences.length <= 3);
  assert.ok(outcome.sentences.join(' ').split(' ').length <= 24);
});

test('hanging up stops the engine, and what was heard is kept as cut off', async () => {
  const endless = world(() => [...say('The salon is open. And'), { wait: new Promise(() => {}) }]);
  const controller = new AbortController();
  await assert.rejects(async () => {
    for await (const event of answer(request({ conversationId: 'c1' }), endless.parts, controller.signal)) {
      if (event.type === 'sentence') controller.abort(new ServiceError('client_closed', 'gone'));
    }
  }, /gone/);
  await endless.parts.tasks.drain(never);
  assert.equal(endless.engine.running, 0);
  assert.equal(endless.stored[0]?.npcText, 'The salon is open.');
  assert.equal(endless.stored[0]?.interrupted, true);
  assert.equal(endless.turns[0]?.error, 'client_closed');
});

test('a reader that leaves the loop frees the engine too', async () => {
  const endless = world(() => [...say('The salon is open. And'), { wait: new Promise(() => {}) }]);
  for await (const event of answer(request(), endless.parts, never)) if (event.type === 'sentence') break;
  assert.equal(endless.engine.running, 0);
  assert.equal(endless.admission.running, 0);
});

test('a conversation is remembered before it is acknowledged; a store that fails costs only the memory', async () => {
  const good = world(() => say('The salon is open.'));
  const { outcome } = await hear(good, { conversationId: 'c1' });
  assert.deepEqual(outcome.conversation, { id: 'c1', timelineId: 'main', turn: 0, stored: true });
  assert.equal(good.stored[0]?.playerText, 'Good evening, who are you?');
  const bad = world(() => say('The salon is open.'), { storeFails: true });
  const lost = await hear(bad, { conversationId: 'c1' });
  assert.deepEqual(lost.outcome.sentences, ['The salon is open.']);
  assert.equal(lost.outcome.conversation?.stored, false);
});

test('an unknown NPC is named with near ones, before any event', async () => {
  const parts = world(() => []).parts;
  await assert.rejects(
    async () => {
      for await (const _event of answer(request({ npcId: 'vay' }), parts, never)) assert.fail('no event');
    },
    (error) => error instanceof ServiceError && error.code === 'unknown_npc' && error.message.includes('vey'),
  );
});

test('a tier may be lowered by anybody and raised only by an operator', async () => {
  const open = world(() => say('Yes indeed.'));
  assert.equal((await hear(open, { tier: 1 })).outcome.tier, 1);
  assert.equal(
    (
      await hear(
        world(() => say('Yes indeed.')),
        { tier: 4 },
      )
    ).outcome.tier,
    3,
  );
  assert.equal(
    (
      await hear(
        world(() => say('Yes indeed.')),
        { tier: 4, mayRaiseTier: true },
      )
    ).outcome.tier,
    4,
  );
});
