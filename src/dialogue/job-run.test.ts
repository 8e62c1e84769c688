import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createCast } from '../cast/cast.ts';
import { ServiceError } from '../core/errors.ts';
import type { Job } from '../core/job.ts';
import { Pool } from '../routing/pool.ts';
import { tiersSchema } from '../routing/tiers.ts';
import { spendingOptionsSchema } from '../spending/options.ts';
import { Spending } from '../spending/spending.ts';
import { silentLogger } from '../telemetry/log.ts';
import { aReplica } from '../testing/a-replica.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { ScriptedEngine, type ScriptStep } from '../testing/scripted-engine.ts';
import { runJob } from './job-run.ts';

const never = new AbortController().signal;
const unasked = () => Promise.reject(new Error('nothing here costs money'));
const broken: ScriptStep = { fail: new ServiceError('engine_error', 'it broke') };

function job(changes: Partial<Job['request']> = {}): Job {
  return {
    id: 'job_1',
    apiKeyId: '',
    webhookUrl: null,
    status: 'running',
    createdAtMs: 0,
    startedAtMs: 0,
    endedAtMs: null,
    result: null,
    failure: null,
    delivery: null,
    request: {
      npcId: null,
      messages: [{ role: 'user', content: 'A quest about a bell.' }],
      tier: 4,
      maxTokens: 50,
      temperature: null,
      responseSchema: null,
      ...changes,
    },
  };
}

/** Two rungs below each other, as scripts. */
async function run(
  first: readonly ScriptStep[],
  second: readonly ScriptStep[],
  changes: Partial<Job['request']> = {},
) {
  const clock = new ManualClock();
  const engines = {
    first: new ScriptedEngine(() => first, 'first'),
    second: new ScriptedEngine(() => second, 'second'),
  };
  const replicas = [
    aReplica('first', { engine: engines.first }, clock),
    aReplica('second', { engine: engines.second }, clock),
  ];
  const pools = new Map(replicas.map((replica) => [replica.name, new Pool(replica.name, [replica])]));
  const spending = await Spending.open(spendingOptionsSchema.parse({}), {
    store: {
      hold: unasked,
      settle: unasked,
      day: unasked,
      isOff: () => Promise.resolve(false),
      switchOff: unasked,
    },
    clock,
    log: silentLogger,
  });
  const begun: string[] = [];
  const ended: string[] = [];
  const begin = () => {
    begun.push('begun');
    return Promise.resolve();
  };
  const tiers = tiersSchema.parse({ '4': { rungs: ['first', 'second'] } });
  const result = runJob(
    job(changes),
    begin,
    {
      ...{ cast: createCast([], []), tiers, pools, spending, clock },
      onEnded: (record) => ended.push(record.result),
    },
    never,
  );
  return { result, begun, ended, engines, replicas, clock };
}

test('the first rung that can take it is asked, once, after it was noted', async () => {
  const { result, begun, engines } = await run([{ say: ' A bell is ' }, { say: 'gone. ' }], []);
  const { text, engine, usage } = await result;
  assert.deepEqual([text, engine, begun.length], ['A bell is gone.', 'first', 1]);
  assert.deepEqual(usage, { promptTokens: 100, cachedTokens: 60, completionTokens: 2, costMicroUsd: 0 });
  assert.equal(engines.second.requests.length, 0);
});

test('an engine that was asked and broke ends the job: nobody is asked again', async () => {
  const { result, begun, ended, engines } = await run([broken], [{ say: 'Never.' }]);
  await assert.rejects(result, /it broke/);
  assert.deepEqual(ended, ['backend_error']);
  assert.deepEqual([begun.length, engines.second.requests.length], [1, 0]);
});

test('an answer that is no JSON where a schema was asked for is a failure, and thinking is no part of it', async () => {
  const schema = { responseSchema: { type: 'object' } };
  const { result } = await run([{ say: 'Well, a bell.' }], [], schema);
  await assert.rejects(result, (error) => error instanceof ServiceError && /no JSON/.test(error.message));
  const good = await run([{ say: '<think>hm</think>{"title": "Bell"}' }], [], schema);
  assert.equal((await good.result).text, '{"title": "Bell"}');
});

test('when no rung can take it now the job is told so before anything was begun', async () => {
  const clock = new ManualClock();
  const offline = aReplica('first', {}, clock);
  offline.setReady(false);
  const spending = await Spending.open(spendingOptionsSchema.parse({}), {
    store: {
      hold: unasked,
      settle: unasked,
      day: unasked,
      isOff: () => Promise.resolve(false),
      switchOff: unasked,
    },
    clock,
    log: silentLogger,
  });
  const parts = {
    cast: createCast([], []),
    tiers: tiersSchema.parse({ '4': { rungs: ['first'] } }),
    pools: new Map([['first', new Pool('first', [offline])]]),
    spending,
    clock,
    onEnded: () => assert.fail('no call'),
  };
  const begin = () => assert.fail('not begun');
  await assert.rejects(runJob(job(), begin, parts, never), (error) => {
    assert.ok(error instanceof ServiceError && error.code === 'not_ready' && error.retryable);
    assert.match(error.message, /tier 4.*offline/);
    return true;
  });
  await assert.rejects(runJob(job({ npcId: 'nobody' }), begin, parts, never), /no NPC is called "nobody"/);
});
