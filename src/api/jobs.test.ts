import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RunJob } from '../jobs/runner.ts';
import { abortable } from '../lib/abort.ts';
import { realRuntime } from '../runtime.ts';
import { type DoorHarness, doorHarness, type HarnessOptions } from '../testing/door-harness.ts';
import { jobService, runAtOnce } from '../testing/job-service.ts';

type Wire = Readonly<Record<string, unknown>>;

async function open(run: RunJob = runAtOnce, options: HarnessOptions = {}) {
  const services: ReturnType<typeof jobService>[] = [];
  const harness = await doorHarness(
    {
      jobs: (store) => {
        const service = jobService(store, realRuntime.clock, { run });
        services.push(service);
        service.start();
        return service;
      },
    },
    options,
  );
  return {
    harness,
    [Symbol.asyncDispose]: async () => {
      for (const service of services) await service[Symbol.asyncDispose]();
      await harness[Symbol.asyncDispose]();
    },
  };
}

const json = async (response: Response) => (await response.json()) as Wire;

async function untilEnded(harness: DoorHarness, id: string, headers = {}): Promise<Wire> {
  for (;;) {
    const job = await json(await harness.get(`/v1/jobs/${id}`, headers));
    if (job['status'] !== 'queued' && job['status'] !== 'running') return job;
  }
}

test('a job is accepted, found by its address, and tells what came of it', async () => {
  await using opened = await open();
  const { harness } = opened;
  const accepted = await harness.post('/v1/jobs', {
    prompt: 'A quest about a drowned bell.',
    npc_id: 'vampire_1',
  });
  assert.equal(accepted.status, 202);
  const { id, status } = await json(accepted);
  assert.equal(accepted.headers.get('location'), `/v1/jobs/${String(id)}`);
  assert.equal(status, 'queued');
  const job = await untilEnded(harness, String(id));
  assert.deepEqual([job['status'], job['tier'], job['npc_id']], ['succeeded', 4, 'vampire_1']);
  assert.deepEqual(job['result'], {
    text: 'The bell tolls.',
    finish_reason: 'stop',
    engine: 'cloud',
    model: 'm',
    usage: { prompt_tokens: 9, cached_tokens: 0, completion_tokens: 4, cost_usd: 0.000012 },
  });
});

test('a job is followed as events up to its end', async () => {
  const answer = Promise.withResolvers<void>();
  await using opened = await open(async (job, begin, signal) => {
    await answer.promise;
    return await runAtOnce(job, begin, signal);
  });
  const { harness } = opened;
  const { id } = await json(await harness.post('/v1/jobs', { prompt: 'x' }));
  const response = await harness.get(`/v1/jobs/${String(id)}/events`);
  assert.match(response.headers.get('content-type') ?? '', /^text\/event-stream/);
  answer.resolve();
  const events = await response.text();
  assert.match(events, /event: status\ndata: \{"id":"job_/);
  assert.equal(events.match(/event: done/g)?.length, 1);
  assert.match(events, /event: done\ndata: .*"status":"succeeded".*The bell tolls/);
});

test('a job can be cancelled, which stops its work', async () => {
  const stopped = Promise.withResolvers<void>();
  await using opened = await open(async (_job, begin, signal) => {
    await begin();
    signal.addEventListener('abort', () => stopped.resolve());
    return await abortable(Promise.race<never>([]), signal);
  });
  const { harness } = opened;
  const { id } = await json(await harness.post('/v1/jobs', { messages: [{ role: 'user', content: 'x' }] }));
  while ((await json(await harness.get(`/v1/jobs/${String(id)}`)))['status'] !== 'running');
  const cancelled = await fetch(`${harness.url}/v1/jobs/${String(id)}`, { method: 'DELETE' });
  assert.deepEqual([cancelled.status, (await json(cancelled))['status']], [200, 'cancelled']);
  await stopped.promise;
});

test('a retry with the same key finds the same job', async () => {
  await using opened = await open();
  const { harness } = opened;
  const headers = { 'idempotency-key': 'quest-7' };
  const first = await json(await harness.post('/v1/jobs', { prompt: 'x' }, headers));
  const again = await json(await harness.post('/v1/jobs', { prompt: 'x' }, headers));
  assert.equal(again['id'], first['id']);
  assert.equal((await harness.post('/v1/jobs', { prompt: 'y' }, headers)).status, 409);
});

test('bad jobs are refused with what is wrong', async () => {
  await using opened = await open();
  const { harness } = opened;
  for (const [body, detail] of [
    [{}, /either prompt or messages/],
    [{ prompt: 'x', messages: [{ role: 'user', content: 'x' }] }, /either prompt or messages/],
    [{ prompt: '' }, /prompt/],
    [{ prompt: 'x', tier: 5 }, /tier/],
    [{ prompt: 'x', max_tokens: 0 }, /max_tokens/],
    [{ prompt: 'x', webhook: { url: 'https://evil.example/' } }, /webhooks are off/],
    [
      { prompt: 'x', webhook: { url: 'https://evil.example/', secret: 's' } },
      /webhook\.secret is not a field/,
    ],
  ] as const) {
    const response = await harness.post('/v1/jobs', body);
    const problem = await json(response);
    assert.equal(response.status, 400, JSON.stringify(problem));
    assert.match(String(problem['detail']), detail);
  }
  const stranger = await harness.post('/v1/jobs', { prompt: 'x', npc_id: 'nobody' });
  const problem = await json(stranger);
  assert.deepEqual([stranger.status, problem['code']], [404, 'unknown_npc']);
  assert.match(String(problem['detail']), /"nobody"; GET \/v1\/npcs/);
  for (const method of ['GET', 'DELETE']) {
    const response = await fetch(`${harness.url}/v1/jobs/job_none`, { method });
    assert.deepEqual([response.status, (await json(response))['code']], [404, 'unknown_job']);
  }
  assert.equal((await harness.get('/v1/jobs/job_none/events')).status, 404);
});

test('a game sees its own jobs only, an operator all', async () => {
  await using opened = await open(runAtOnce, { authRequired: true });
  const { harness } = opened;
  const bearer = async (...scopes: ('game' | 'operator')[]) => ({
    authorization: `Bearer ${(await harness.store.keys.create({ label: 'k', scopes })).token}`,
  });
  const [mine, other, operator] = [
    await bearer('game'),
    await bearer('game'),
    await bearer('game', 'operator'),
  ];
  const { id } = await json(await harness.post('/v1/jobs', { prompt: 'x' }, mine));
  assert.equal((await untilEnded(harness, String(id), mine))['status'], 'succeeded');
  assert.equal((await harness.get(`/v1/jobs/${String(id)}`, other)).status, 404);
  assert.equal((await harness.get(`/v1/jobs/${String(id)}`, operator)).status, 200);
  assert.equal((await harness.get(`/v1/jobs/${String(id)}`)).status, 401);
});

test('a process that takes no jobs says so', async () => {
  await using harness = await doorHarness();
  const response = await harness.post('/v1/jobs', { prompt: 'x' });
  assert.equal(response.status, 404);
  assert.match(String((await json(response))['detail']), /takes no jobs/);
});
