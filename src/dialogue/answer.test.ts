import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DialogueEvent, DialogueOutcome } from '../core/dialogue.ts';
import type { GenerateRequest } from '../core/engine.ts';
import { ServiceError } from '../core/errors.ts';
import type { AttemptRecord } from '../core/turn.ts';
import { realRuntime } from '../runtime.ts';
import {
  anAsk,
  broken,
  countingLedger,
  hear,
  never,
  request,
  say,
  world,
} from '../testing/dialogue-world.ts';
import { ScriptedEngine, type ScriptStep } from '../testing/scripted-engine.ts';
import { answer } from './answer.ts';

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
  const secret = await world(() => say('You know, the BELL is my  heart. And more.'));
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

test('a line that would come late is asked in few words, again in the same ones, and says so', async () => {
  const made = await world((call) => say(call === 0 ? 'I am an AI language model. ' : 'I host.'), {
    firstSentenceMs: 2_000,
  });
  // Once as what the persona is, and once more beside the player's words.
  const timesShown = ({ messages }: GenerateRequest) =>
    messages.filter(({ content }) => content === 'I keep the salon.').length;
  const inTime = await world(() => say('I host.'), { firstSentenceMs: 2_000 });
  assert.equal('leanPrompt' in (await hear(inTime)).outcome.source, false);
  assert.deepEqual(inTime.engine.requests.map(timesShown), [2]);
  made.replica.pace.learn({
    firstTokenMs: 1_200,
    totalMs: 1_300,
    promptTokens: 200,
    cachedTokens: 100,
    completionTokens: 8,
  });
  const beside = await made.admission.acquire(anAsk(), never);
  let outcome: DialogueOutcome | null = null;
  for await (const event of answer(request(), made.parts, never))
    if (event.type === 'done') outcome = event.outcome;
  beside[Symbol.dispose]();
  assert.deepEqual(made.engine.requests.map(timesShown), [1, 1]);
  assert.equal(outcome?.source.leanPrompt, true);
  // With nobody else there it has the engine for itself.
  const alone = await hear(made, { context: { ...request().context, playerId: 'p2' } });
  assert.equal(alone.outcome.source.leanPrompt, undefined);
});

test('a persona without examples has nothing to leave out, and no prompt of it is called lean', async () => {
  const made = await world(() => say('I host.'), { firstSentenceMs: 2_000, examples: [] });
  const slow = {
    firstTokenMs: 1_900,
    totalMs: 1_950,
    promptTokens: 60,
    cachedTokens: 0,
    completionTokens: 8,
  };
  made.replica.pace.learn(slow);
  const { outcome } = await hear(made);
  assert.deepEqual([outcome.source.kind, outcome.source.leanPrompt], ['engine', undefined]);
});

test('an NPC that says the same again is rolled again, then changes the subject', async () => {
  const parrot = await world(() => say('The Velvet Terraces are closed on Thursdays for the dead.'));
  await hear(parrot);
  const { outcome } = await hear(parrot);
  assert.equal(outcome.source.cause, 'repetition');
  assert.deepEqual(outcome.sentences, ['Let us talk of gloves instead.']);
});

test('the least recently heard written line is chosen for this player', async () => {
  const dead = await world(() => [broken]);
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
  const hurried = await world(() => say('Never said.'));
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

test('an engine that stalls between sentences, long before the deadline, is closed by a written line', async () => {
  const { outcome } = await hear(
    world(() => [...say('The salon is open. And'), { wait: new Promise(() => {}) }], {
      budgets: { gapMs: 20 },
    }),
  );
  assert.deepEqual(outcome.sentences, ['The salon is open.', 'I was elsewhere.']);
  assert.deepEqual([outcome.finishReason, outcome.source.cause], ['written', 'timeout']);
});

test('while the engine is not ready the written lines speak, cause offline', async () => {
  const { outcome } = await hear(world(() => [], { ready: false }));
  assert.equal(outcome.source.cause, 'offline');
});

test('an engine that is late is given up for one that stands below, and waited for when none does', async () => {
  const late = () => [{ wait: realRuntime.clock.sleep(60, never) }, { say: 'I was looking for my gloves.' }];
  const budgets = { floorMs: 5, ceilingMs: 10 };
  const alone = await hear(world(late, { budgets }));
  assert.deepEqual(alone.outcome.sentences, ['I was looking for my gloves.']);
  const spare = new ScriptedEngine(() => say('The salon is open.'), 'spare');
  const relieved = await hear(world(late, { budgets, spare }));
  assert.deepEqual(
    [relieved.outcome.source.engine, relieved.outcome.source.cause, relieved.outcome.sentences],
    ['spare', 'timeout', ['The salon is open.']],
  );
});

test('a prompt fits the smallest replica of its pool, so that any of them may take over', async () => {
  const twin = new ScriptedEngine(() => say('The salon is open.'), 'twin');
  const made = await world(() => [broken], { twins: [twin], contexts: { twin: 500 } });
  const history = Array.from({ length: 40 }, (_, turn) => ({
    speaker: turn % 2 === 0 ? ('player' as const) : ('npc' as const),
    text: `This is what was said as number ${turn}, long ago and at some length.`,
  }));
  const { outcome } = await hear(made, { context: { ...request().context, history } });
  assert.equal(outcome.source.engine, 'twin');
});

test('a full queue goes down the ladder at once, cause overload', async () => {
  const full = await world(() => say('Never.'), { maxQueued: 0 });
  for (let i = 0; i < 4; i++) await full.admission.acquire(anAsk(), never);
  const events: DialogueEvent[] = [];
  for await (const event of answer(request(), full.parts, never)) events.push(event);
  const done = events.at(-1);
  assert.ok(done?.type === 'done' && done.outcome.source.cause === 'overload');
});

test('a bark is a written line of its trigger, without a cause', async () => {
  const barker = await world(() => say('Never.'));
  const { outcome } = await hear(barker, { prompt: '', trigger: 'spot' });
  assert.deepEqual(outcome.sentences, ['There you are at last.']);
  assert.equal(outcome.source.cause, undefined);
  assert.equal(barker.engine.requests.length, 0);
});

test('a slow first sentence is covered by one filler', async () => {
  const gate = Promise.withResolvers<void>();
  const slow = await world(() => [{ wait: gate.promise }, ...say('At last.')], { fillerAfterMs: 5 });
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
  const chatty = await world(() =>
    Array.from({ length: 40 }, (_, i) => ({ say: `Guest number ${i} left his gloves upon the piano. ` })),
  );
  const { outcome } = await hear(chatty);
  assert.ok(outcome.sentences.length <= 3);
  assert.ok(outcome.sentences.join(' ').split(' ').length <= 24);
});

test('hanging up stops the engine, and what was heard is kept as cut off', async () => {
  const endless = await world(() => [...say('The salon is open. And'), { wait: new Promise(() => {}) }]);
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
  const endless = await world(() => [...say('The salon is open. And'), { wait: new Promise(() => {}) }]);
  for await (const event of answer(request(), endless.parts, never)) if (event.type === 'sentence') break;
  assert.equal(endless.engine.running, 0);
  assert.equal(endless.admission.running, 0);
});

test('a conversation is remembered before it is acknowledged; a store that fails costs only the memory', async () => {
  const good = await world(() => say('The salon is open.'));
  const { outcome } = await hear(good, { conversationId: 'c1' });
  assert.deepEqual(outcome.conversation, { id: 'c1', timelineId: 'main', turn: 0, stored: true });
  assert.equal(good.stored[0]?.playerText, 'Good evening, who are you?');
  const bad = await world(() => say('The salon is open.'), { storeFails: true });
  const lost = await hear(bad, { conversationId: 'c1' });
  assert.deepEqual(lost.outcome.sentences, ['The salon is open.']);
  assert.equal(lost.outcome.conversation?.stored, false);
});

test('an unknown NPC is named with near ones, before any event', async () => {
  const { parts } = await world(() => []);
  await assert.rejects(
    async () => {
      for await (const _event of answer(request({ npcId: 'vay' }), parts, never)) assert.fail('no event');
    },
    (error) => error instanceof ServiceError && error.code === 'unknown_npc' && error.message.includes('vey'),
  );
});

test('a tier may be lowered by anybody and raised only by an operator', async () => {
  const open = await world(() => say('Yes indeed.'));
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

test('another replica of the same model is asked once, before the ladder goes down', async () => {
  const twin = new ScriptedEngine(() => say('The salon is open.'), 'twin');
  const spare = new ScriptedEngine(() => say('Never asked.'), 'spare');
  const made = await world(() => [broken], { twins: [twin], spare });
  const { outcome } = await hear(made);
  assert.deepEqual(outcome.sentences, ['The salon is open.']);
  assert.deepEqual([outcome.source.engine, outcome.source.rung], ['twin', 0]);
  assert.equal(spare.requests.length, 0);
  const attempts = made.turns[0]?.attempts ?? [];
  assert.ok(attempts.length <= 2, 'the first may have been the twin');
});

test('two replicas that break cost two attempts, not more, and the next rung speaks', async () => {
  const twins = [1, 2, 3].map((index) => new ScriptedEngine(() => [broken], `twin${index}`));
  const spare = new ScriptedEngine(() => say('The salon is open.'), 'spare');
  const made = await world(() => [broken], { twins, spare });
  const { outcome } = await hear(made);
  assert.equal(outcome.source.engine, 'spare');
  assert.equal(outcome.source.cause, 'backend_error');
  assert.equal(made.turns[0]?.attempts.length, 3);
});

test('the next rung that begins the speech anew is heard from where the first one stopped', async () => {
  const spare = new ScriptedEngine(
    () => say('Good evening. ', 'The salon is open. ', 'The salon is open, and the tea is cold.'),
    'spare',
  );
  const made = await world(() => [...say('The salon is open. And th'), broken], { spare });
  const { outcome } = await hear(made);
  assert.deepEqual(outcome.sentences, ['The salon is open.', 'And the tea is cold.']);
  assert.equal(outcome.source.engine, 'spare');
});

test('tokens spent on every attempt are in the usage, those of a broken one as an estimate', async () => {
  const spare = new ScriptedEngine(() => say('Sit where the light is kind.'), 'spare');
  const made = await world(() => [...say('The salon is open. And th'), broken], { spare });
  const { outcome } = await hear(made);
  const attempts = made.turns[0]?.attempts ?? [];
  assert.deepEqual(
    attempts.map(({ engine, result, source }) => `${engine} ${result} ${source}`),
    ['local backend_error estimated', 'spare stop reported'],
  );
  const sum = (of: (attempt: AttemptRecord) => number) =>
    attempts.reduce((total, each) => total + of(each), 0);
  assert.equal(
    outcome.usage.completionTokens,
    sum((each) => each.completionTokens),
  );
  assert.equal(
    outcome.usage.promptTokens,
    sum((each) => each.promptTokens),
  );
});

test('a paid attempt costs what its price says, and holds nothing afterwards', async () => {
  const cloud = new ScriptedEngine(() => say('The salon is open.'), 'cloud');
  const ledger = countingLedger();
  const made = await world(() => [broken], { spare: cloud, ledger });
  const { outcome } = await hear(made);
  // 100 prompt tokens at $1 and one completion token at $10 a million.
  assert.equal(outcome.usage.costMicroUsd, 110);
  assert.deepEqual([ledger.held, ledger.spent], [0, 110]);
});

test('a paid engine that turned the call away, or was never reached, costs nothing', async () => {
  for (const refused of [
    new ServiceError('overloaded', 'not now', { details: { status: 429 } }),
    new ServiceError('engine_unavailable', 'nobody is there', { details: { reason: 'ECONNREFUSED' } }),
  ]) {
    const cloud = new ScriptedEngine(() => [{ fail: refused }], 'cloud');
    const ledger = countingLedger();
    const made = await world(() => [broken], { spare: cloud, ledger });
    const { outcome } = await hear(made);
    assert.equal(cloud.requests.length, 1);
    assert.deepEqual([outcome.usage.costMicroUsd, ledger.held, ledger.spent], [0, 0, 0], refused.code);
  }
  // Whether it was read is not known of a connection that broke later: it is booked.
  const lost = new ServiceError('engine_unavailable', 'gone', { details: { reason: 'ECONNRESET' } });
  const ledger = countingLedger();
  await hear(world(() => [broken], { spare: new ScriptedEngine(() => [{ fail: lost }], 'cloud'), ledger }));
  assert.ok(ledger.spent > 0);
});

test('a cap that is reached goes down the ladder with the cause budget', async () => {
  const cloud = new ScriptedEngine(() => say('Never asked.'), 'cloud');
  const { outcome } = await hear(world(() => [broken], { spare: cloud, spending: { dailyUsd: 0.000001 } }));
  assert.equal(outcome.source.kind, 'written');
  assert.equal(cloud.requests.length, 0);
});

test('switching paid engines off ends their calls in flight, and the player still hears a line', async () => {
  const speaks = Promise.withResolvers<void>();
  const cloud = new ScriptedEngine(() => {
    speaks.resolve();
    return [{ wait: new Promise(() => {}) }];
  }, 'cloud');
  const ledger = countingLedger();
  const made = await world(() => [broken], { spare: cloud, ledger });
  const heard = hear(made);
  await speaks.promise;
  await made.spending.switchOff(true);
  const { outcome } = await heard;
  assert.equal(outcome.source.kind, 'written');
  assert.equal(outcome.source.cause, 'disabled');
  assert.equal(cloud.running, 0);
  assert.equal(ledger.held, 0);
  assert.equal((await hear(made)).outcome.source.cause, 'backend_error');
  assert.equal(cloud.requests.length, 1, 'not asked again');
});

test('a version in the request is answered by that version, and one that is not there is refused with what is', async () => {
  const canary = new ScriptedEngine(() => say('The salon is open.'), 'next');
  const made = await world(() => say('Never asked.'), {
    beside: [canary],
    versions: { local: '2026-05', next: '2026-09' },
  });
  const { outcome } = await hear(made, { modelVersion: '2026-09' });
  assert.deepEqual([outcome.source.engine, outcome.source.modelVersion], ['next', '2026-09']);
  await assert.rejects(hear(made, { modelVersion: '2020-01' }), (error) => {
    assert.ok(error instanceof ServiceError && error.code === 'unknown_model');
    assert.match(error.message, /m@2026-05.*m@2026-09/);
    return true;
  });
});

test('a filler goes out at once when the engine is known to be slow', async () => {
  const gate = Promise.withResolvers<void>();
  const made = await world(() => [{ wait: gate.promise }, ...say('At last.')], { fillerAfterMs: 60_000 });
  const slow = { totalMs: 90_001, promptTokens: 0, cachedTokens: 0, completionTokens: 2 };
  for (let line = 0; line < 9; line += 1) made.replica.pace.learn({ firstTokenMs: 90_000, ...slow });
  const types: string[] = [];
  for await (const event of answer(request({ deadlineMs: 110_000 }), made.parts, never)) {
    types.push(event.type);
    if (event.type === 'filler') gate.resolve();
  }
  assert.deepEqual(types, ['accepted', 'filler', 'sentence', 'done']);
});

test('when the first is unusually late a second is asked, the quicker is heard and the other stopped', async () => {
  const twin = new ScriptedEngine(() => say('The salon is open.'), 'twin');
  const stuck: ScriptStep[] = [{ wait: new Promise(() => {}) }];
  const made = await world(() => stuck, {
    twins: [twin],
    hedging: { enabled: true, percentile: 0.5, maxShare: 1 },
  });
  const line = { promptTokens: 500, cachedTokens: 0, completionTokens: 2 };
  for (let count = 0; count < 9; count += 1) {
    made.replica.pace.learn({ ...line, firstTokenMs: 1, totalMs: 2 });
    made.twins[0]?.pace.learn({ ...line, firstTokenMs: 3_000, totalMs: 3_001 });
  }
  await hear(made);
  const turn = made.turns.at(-1);
  assert.deepEqual(turn?.attempts.map(({ engine, result }) => `${engine} ${result}`).sort(), [
    'local hedged',
    'twin stop',
  ]);
  assert.equal(turn?.outcome?.source.engine, 'twin');
});

test('nobody waits for the memory past the deadline: the turn is told as not stored, and kept all the same', async () => {
  const storeAnswers = Promise.withResolvers<void>();
  const slow = await world(() => say('The salon is open.'), { storeAnswers: storeAnswers.promise });
  const { outcome } = await hear(slow, { conversationId: 'c', deadlineMs: 60 });
  assert.deepEqual(outcome.conversation, { id: 'c', timelineId: 'main', turn: 0, stored: false });
  assert.equal(slow.stored.length, 0);
  storeAnswers.resolve();
  await slow.parts.tasks.drain(never);
  assert.equal(slow.stored[0]?.npcText, outcome.sentences.join(' '));
});

test("an answer that the engine's own filter ended is not rolled again, and the next rung speaks", async () => {
  const spare = new ScriptedEngine(() => say('The salon is open.'), 'spare');
  const made = await world(() => [{ finish: 'content_filter' as const }], { spare });
  const { outcome } = await hear(made);
  assert.equal(made.engine.requests.length, 1);
  assert.deepEqual([outcome.source.engine, outcome.source.cause], ['spare', 'safety']);
});

test('a rung that is left out below the one that answers is no cause', async () => {
  const spare = new ScriptedEngine(() => say('Never asked.'), 'spare');
  const made = await world(() => say('The salon is open.'), { spare, spareReady: false });
  const { outcome } = await hear(made);
  assert.deepEqual([outcome.source.rung, outcome.source.cause], [0, undefined]);
});

test('an engine that has no sentence by the time of the first one gives way to a written line', async () => {
  const silent = new Promise<void>(() => {});
  const made = await world(() => [{ wait: silent }], { firstSentenceMs: 60 });
  const { outcome } = await hear(made);
  assert.deepEqual(made.cold, ['vey'], 'what its prompts begin with is read when nobody waits');
  assert.equal(outcome.source.kind, 'written');
  assert.equal(outcome.source.cause, 'timeout');
  assert.ok(outcome.timing.totalMs < 8_000, 'long before the deadline');
});

test('after its first sentence an engine has the whole deadline', async () => {
  const { clock } = realRuntime;
  const made = await world(
    () => [
      { say: 'The bells rang for nobody. They' },
      { wait: clock.sleep(80, never) },
      { say: ' will ring again for you. ' },
    ],
    { firstSentenceMs: 60 },
  );
  const { outcome } = await hear(made);
  assert.equal(outcome.sentences.length, 2);
  assert.equal(outcome.source.kind, 'engine');
});
