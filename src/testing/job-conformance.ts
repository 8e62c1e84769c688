/**
 * What every store must do with jobs: each is given to one runner, none is called for twice, and what a runner left
 * behind is settled when its lease ends. Registered for SQLite and PostgreSQL alike.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { JobEnd, JobRequest, JobResult, NewJob } from '../core/job.ts';
import { realRuntime } from '../runtime.ts';
import { ManualClock } from './manual-clock.ts';
import type { OpenStoreAt } from './store-conformance.ts';

const LEASE_MS = 10_000;
const KEEP_MS = 60_000;

export const JOB_REQUEST: JobRequest = {
  npcId: null,
  messages: [{ role: 'user', content: 'A quest about a drowned bell.' }],
  tier: 4,
  maxTokens: 500,
  temperature: null,
  responseSchema: null,
};

export const JOB_RESULT: JobResult = {
  text: 'The bell tolls.',
  finishReason: 'stop',
  engine: 'cloud',
  model: 'm',
  usage: { promptTokens: 9, cachedTokens: 0, completionTokens: 4, costMicroUsd: 12 },
};

const SUCCEEDED: JobEnd = { status: 'succeeded', result: JOB_RESULT };

export function newJob(id: string, changes: Partial<NewJob> = {}): NewJob {
  return { id, apiKeyId: '', request: JOB_REQUEST, webhookUrl: null, ...changes };
}

/** Registers the suite. `runs` is the number of random histories. */
export function jobConformance(openAt: OpenStoreAt, runs: number): void {
  let places = 0;
  const freshPlace = () => `jobs${places++}`;
  const openWith = (place: string, clock: ManualClock) =>
    openAt(place, { clock, random: realRuntime.random, turnRetentionDays: 30 });
  const fresh = async () => {
    const clock = new ManualClock();
    const store = await openWith(freshPlace(), clock);
    return { clock, jobs: store.jobs, [Symbol.asyncDispose]: () => store[Symbol.asyncDispose]() };
  };

  describe('jobs', () => {
    it('are kept as they came, and given oldest first', async () => {
      await using opened = await fresh();
      const { jobs, clock } = opened;
      assert.equal(
        await jobs.create(newJob('b', { apiKeyId: 'k', webhookUrl: 'https://game.example/' }), 10),
        true,
      );
      clock.advance(1);
      assert.equal(await jobs.create(newJob('a'), 10), true);
      assert.equal(await jobs.create(newJob('a', { apiKeyId: 'other' }), 10), false, 'the id is taken');
      assert.equal(await jobs.get('c'), null);
      assert.deepEqual(await jobs.get('b'), {
        ...newJob('b', { apiKeyId: 'k', webhookUrl: 'https://game.example/' }),
        status: 'queued',
        createdAtMs: clock.nowMs() - 1,
        startedAtMs: null,
        endedAtMs: null,
        result: null,
        failure: null,
        delivery: 'waiting',
      });
      const first = await jobs.claim('me', LEASE_MS);
      assert.deepEqual([first?.id, first?.status, first?.startedAtMs], ['b', 'running', clock.nowMs()]);
      assert.equal((await jobs.claim('me', LEASE_MS))?.id, 'a');
      assert.equal(await jobs.claim('me', LEASE_MS), null);
    });

    it('wait in a queue that has an end', async () => {
      await using opened = await fresh();
      const { jobs } = opened;
      assert.equal(await jobs.create(newJob('a'), 2), true);
      assert.equal(await jobs.create(newJob('b'), 2), true);
      assert.equal(await jobs.create(newJob('c'), 2), false);
      assert.equal(await jobs.get('c'), null);
      await jobs.claim('me', LEASE_MS);
      assert.equal(await jobs.create(newJob('c'), 2), true);
    });

    it('end once, with what came of them', async () => {
      await using opened = await fresh();
      const { jobs, clock } = opened;
      await jobs.create(newJob('a'), 10);
      await jobs.claim('me', LEASE_MS);
      assert.equal(await jobs.begin('a', 'other'), false);
      assert.equal(await jobs.begin('a', 'me'), true);
      assert.equal(await jobs.begin('a', 'me'), false, 'it was called for already');
      assert.equal(await jobs.settle('a', 'other', SUCCEEDED, KEEP_MS), false);
      assert.equal(await jobs.settle('a', 'me', SUCCEEDED, KEEP_MS), true);
      assert.equal(await jobs.settle('a', 'me', SUCCEEDED, KEEP_MS), false);
      const job = await jobs.get('a');
      assert.deepEqual([job?.status, job?.result, job?.endedAtMs], ['succeeded', JOB_RESULT, clock.nowMs()]);
      assert.equal((await jobs.cancel('a', KEEP_MS))?.status, 'succeeded');
    });

    it('go back to the queue while no engine was called, and never after', async () => {
      await using opened = await fresh();
      const { jobs, clock } = opened;
      await jobs.create(newJob('a'), 10);
      await jobs.claim('me', LEASE_MS);
      assert.equal(await jobs.release('a', 'me', clock.nowMs() + 500), true);
      assert.equal(await jobs.claim('me', LEASE_MS), null, 'not before its time');
      clock.advance(500);
      await jobs.claim('me', LEASE_MS);
      await jobs.begin('a', 'me');
      assert.equal(await jobs.release('a', 'me', 0), false);
      assert.equal((await jobs.get('a'))?.status, 'running');
    });

    it('can be cancelled until they end; their runner finds them gone', async () => {
      await using opened = await fresh();
      const { jobs } = opened;
      assert.equal(await jobs.cancel('none', KEEP_MS), null);
      for (const id of ['a', 'b']) await jobs.create(newJob(id), 10);
      await jobs.claim('me', LEASE_MS);
      assert.deepEqual([...(await jobs.renew('me', ['a', 'b'], LEASE_MS))], ['a']);
      assert.equal((await jobs.cancel('a', KEEP_MS))?.status, 'cancelled');
      assert.equal((await jobs.cancel('b', KEEP_MS))?.status, 'cancelled');
      assert.deepEqual([...(await jobs.renew('me', ['a'], LEASE_MS))], []);
      assert.equal(await jobs.begin('a', 'me'), false);
      assert.equal(await jobs.settle('a', 'me', SUCCEEDED, KEEP_MS), false);
      assert.equal(await jobs.claim('me', LEASE_MS), null);
    });

    it('of a runner that is gone are asked again, or failed as interrupted when an engine was called', async () => {
      const place = freshPlace();
      const clock = new ManualClock();
      {
        await using killed = await openWith(place, clock);
        for (const id of ['called', 'taken', 'renewed']) {
          await killed.jobs.create(newJob(id, { webhookUrl: 'https://game.example/' }), 10);
          clock.advance(1);
        }
        for (const _ of [1, 2, 3]) await killed.jobs.claim('dead', LEASE_MS);
        await killed.jobs.begin('called', 'dead');
        clock.advance(LEASE_MS - 1);
        await killed.jobs.renew('dead', ['renewed'], LEASE_MS);
      }
      await using store = await openWith(place, clock);
      const { jobs } = store;
      clock.advance(1);
      assert.deepEqual(await jobs.reap(KEEP_MS), { requeued: 1, interrupted: 1 });
      assert.deepEqual(await jobs.reap(KEEP_MS), { requeued: 0, interrupted: 0 });
      const called = await jobs.get('called');
      assert.deepEqual([called?.status, called?.failure?.reason], ['failed', 'interrupted']);
      assert.equal(called?.failure?.code, 'interrupted');
      assert.equal((await jobs.get('taken'))?.status, 'queued');
      assert.equal((await jobs.get('renewed'))?.status, 'running');
      // The one thought dead wakes up: it must not call, nor say how the job ended.
      assert.equal(await jobs.begin('taken', 'dead'), false);
      assert.equal(await jobs.settle('called', 'dead', SUCCEEDED, KEEP_MS), false);
      assert.equal((await jobs.claimDelivery(1_000))?.job.id, 'called');
    });

    it('whose end is to be told are due until they were told or given up', async () => {
      await using opened = await fresh();
      const { jobs, clock } = opened;
      for (const id of ['a', 'b']) {
        await jobs.create(newJob(id, { webhookUrl: id === 'a' ? 'https://game.example/' : null }), 10);
        await jobs.claim('me', LEASE_MS);
        if (id === 'a') assert.equal(await jobs.claimDelivery(1_000), null, 'it has not ended');
        await jobs.settle(id, 'me', SUCCEEDED, KEEP_MS);
      }
      const first = await jobs.claimDelivery(1_000);
      assert.deepEqual([first?.job.id, first?.attempt], ['a', 1]);
      assert.equal(await jobs.claimDelivery(1_000), null);
      clock.advance(1_000);
      assert.equal((await jobs.claimDelivery(1_000))?.attempt, 2, 'the teller died');
      await jobs.settleDelivery('a', false, clock.nowMs() + 50);
      clock.advance(50);
      assert.equal((await jobs.claimDelivery(1_000))?.attempt, 3);
      await jobs.settleDelivery('a', true, null);
      clock.advance(5_000);
      assert.equal(await jobs.claimDelivery(1_000), null);
      assert.equal((await jobs.get('a'))?.delivery, 'delivered');
      assert.equal((await jobs.get('b'))?.delivery, null);
    });

    it('are kept for their time and not longer', async () => {
      await using opened = await fresh();
      const { jobs, clock } = opened;
      for (const id of ['a', 'b']) await jobs.create(newJob(id), 10);
      await jobs.cancel('a', KEEP_MS);
      clock.advance(KEEP_MS - 1);
      assert.equal(await jobs.prune(), 0);
      clock.advance(1);
      assert.equal(await jobs.prune(), 1);
      assert.equal(await jobs.get('a'), null);
      assert.equal((await jobs.get('b'))?.status, 'queued');
    });

    it('are each called for at most once, whoever claims, dies, wakes and reaps', async () => {
      const place = freshPlace();
      const clock = new ManualClock();
      await using one = await openWith(place, clock);
      await using two = await openWith(place, clock);
      let histories = 0;
      const step = fc.record({
        store: fc.constantFrom(one.jobs, two.jobs),
        owner: fc.constantFrom('x', 'y', 'z'),
        action: fc.constantFrom('claim', 'claim', 'begin', 'settle', 'release', 'reap', 'cancel', 'wait'),
      });
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
          const id = `history${histories++}`;
          await one.jobs.create(newJob(id), 1_000);
          let calls = 0;
          for (const { store, owner, action } of steps) {
            if (action === 'claim') await store.claim(owner, LEASE_MS);
            // Each runner calls an engine only behind a `begin`, once for each claim.
            else if (action === 'begin' && (await store.begin(id, owner))) calls += 1;
            else if (action === 'settle') await store.settle(id, owner, SUCCEEDED, KEEP_MS);
            else if (action === 'release') await store.release(id, owner, 0);
            else if (action === 'reap') await store.reap(KEEP_MS);
            else if (action === 'cancel') await store.cancel(id, KEEP_MS);
            else if (action === 'wait') clock.advance(LEASE_MS);
          }
          assert.ok(calls <= 1, `${calls} calls`);
          await one.jobs.cancel(id, 0);
        }),
        { numRuns: runs },
      );
    });

    it('are given to one of many that ask at one instant', async () => {
      await using opened = await fresh();
      const { jobs } = opened;
      for (let index = 0; index < 12; index += 1) await jobs.create(newJob(`j${index}`), 100);
      const given: string[] = [];
      await Promise.all(
        Array.from({ length: 6 }, async (_, runner) => {
          for (
            let job = await jobs.claim(`r${runner}`, LEASE_MS);
            job;
            job = await jobs.claim(`r${runner}`, LEASE_MS)
          )
            given.push(job.id);
        }),
      );
      assert.equal(given.length, 12);
      assert.equal(new Set(given).size, 12);
    });
  });
}
