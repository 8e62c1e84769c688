import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { ServiceError } from '../core/errors.ts';
import type { AttemptRecord } from '../core/turn.ts';
import { spendingOptionsSchema } from '../spending/options.ts';
import { Spending } from '../spending/spending.ts';
import { silentLogger } from '../telemetry/log.ts';
import { aReplica } from '../testing/a-replica.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { ScriptedEngine } from '../testing/scripted-engine.ts';
import { type AttemptAsk, type AttemptParts, attempt } from './attempt.ts';

const never = new AbortController().signal;
const unasked = () => Promise.reject(new Error('nothing is stored here'));

function asked(replica: AttemptAsk['replica']): AttemptAsk {
  return {
    replica,
    request: {
      requestId: 'dlg_1',
      model: replica.model,
      messages: [{ role: 'user', content: 'Who goes there?' }],
      assistantPrefix: '',
      maxTokens: 20,
      temperature: 0,
      stop: [],
      priority: 'interactive',
      scene: {
        npcId: 'vey',
        tier: 1,
        playerId: null,
        trigger: null,
        cause: null,
        mood: null,
        facts: [],
        committed: [],
      },
    },
    tier: 1,
    promptTokens: 50,
    prefixKey: null,
    player: null,
    source: 'local',
    budget: {
      firstTokenMs: 60_000,
      isFirstTokenOwn: true,
      admitWithinMs: 60_000,
      gapMs: 60_000,
      totalMs: 60_000,
    },
    deadlineMonoMs: 60_000,
  };
}

async function parts(clock: ManualClock, records: AttemptRecord[]): Promise<AttemptParts> {
  const store = {
    hold: () => Promise.resolve(true),
    settle: () => Promise.resolve(),
    day: unasked,
    isOff: () => Promise.resolve(false),
    switchOff: () => Promise.resolve(),
  };
  const spending = await Spending.open(spendingOptionsSchema.parse({}), { store, clock, log: silentLogger });
  return { clock, spending, onAdmitted: () => {}, onEnded: (record) => records.push(record) };
}

test('a line that is left early teaches how fast the engine reads and speaks, not how long it was waited for', async () => {
  const clock = new ManualClock();
  const reading = Promise.withResolvers<void>();
  const engine = new ScriptedEngine(
    () => [{ wait: reading.promise }, { say: 'One.' }, { say: ' Two.' }],
    'a',
  );
  const replica = aReplica('a', { engine, admission: { engine: 'a', maxInFlight: 1, maxQueued: 8 } }, clock);
  const ask = asked(replica);
  const before = await replica.admission.acquire(
    { ...ask, priority: 'interactive', maxTokens: 20, deadlineMonoMs: 60_000 },
    never,
  );
  const records: AttemptRecord[] = [];
  const events = attempt(ask, await parts(clock, records), never);
  const first = events.next();
  await turn();
  clock.advance(5_000);
  before[Symbol.dispose]();
  await turn();
  clock.advance(100);
  reading.resolve();
  await first;
  clock.advance(30);
  await events.next();
  await events.return(undefined);
  assert.deepEqual(replica.pace.snapshot(), {
    baseMs: 0,
    prefillMsPerToken: 2,
    decodeMsPerToken: 30,
    cachedRatio: 0,
  });
  assert.equal(replica.silentSinceMonoMs, null);
  assert.deepEqual([replica.admission.running, records.length, clock.waiting], [0, 1, 0]);
});

test('an attempt that is stopped just before its engine is asked asks nobody and costs nothing', async () => {
  const clock = new ManualClock();
  const engine = new ScriptedEngine(() => [{ say: 'Never asked.' }], 'a');
  const replica = aReplica('a', { engine, isPaid: true }, clock);
  const records: AttemptRecord[] = [];
  const own = await parts(clock, records);
  const events = attempt(asked(replica), { ...own, beforeAsking: () => own.spending.switchOff(true) }, never);
  await assert.rejects(events.next(), { code: 'spending_off' });
  assert.equal(engine.requests.length, 0);
  assert.deepEqual(
    records.map(({ result, promptTokens }) => [result, promptTokens]),
    [['disabled', 0]],
  );
});

test('a line that had no words in time takes a place from the next ones; one whose player left does not', async () => {
  const clock = new ManualClock();
  const engine = new ScriptedEngine(() => [{ wait: new Promise<void>(() => {}) }], 'a');
  const replica = aReplica('a', { engine }, clock);
  const own = await parts(clock, []);
  const ended = async (reason: ServiceError) => {
    const controller = new AbortController();
    const lines = Array.from({ length: 4 }, () =>
      attempt({ ...asked(replica), wantedByMonoMs: 1_000 }, own, controller.signal).next(),
    );
    await turn();
    assert.equal(replica.admission.running, 4);
    controller.abort(reason);
    const results = await Promise.allSettled(lines);
    assert.ok(results.every(({ status }) => status === 'rejected'));
  };
  await ended(new ServiceError('client_closed', 'the player left'));
  assert.equal(replica.admission.places, 4);
  await ended(new ServiceError('deadline_exceeded', 'no sentence', { details: { phase: 'sentence' } }));
  assert.deepEqual([replica.admission.places, replica.admission.running], [2, 0]);
});

test('a line that was cut before its usage came is charged by the bound of its prompt, not by its likely length', async () => {
  const clock = new ManualClock();
  const engine = new ScriptedEngine(() => [{ say: 'One.' }, { wait: new Promise<void>(() => {}) }], 'a');
  const records: AttemptRecord[] = [];
  const ask = { ...asked(aReplica('a', { engine }, clock)), promptTokens: 50, likelyTokens: 20 };
  const events = attempt(ask, await parts(clock, records), never);
  await events.next();
  await events.return(undefined);
  assert.deepEqual(
    records.map(({ promptTokens, source }) => [promptTokens, source]),
    [[50, 'estimated']],
  );
});

test('what an engine tells of its cache is learned by prefix: the persona that spoke is warm there, another is not', async () => {
  const clock = new ManualClock();
  const replica = aReplica('a', { engine: new ScriptedEngine(() => [{ say: 'One.' }], 'a') }, clock);
  const events = attempt({ ...asked(replica), prefixKey: 'vey@3/1' }, await parts(clock, []), never);
  for await (const _event of events);
  assert.equal(replica.expectedPrefillTokens('vey@3/1', 100), 40);
  assert.equal(replica.expectedPrefillTokens('wick@1/1', 100), 100);
});
