/**
 * What every store must do, whichever database is below it. Two stores opened on one place stand for two gateways; a
 * clock that is moved by hand stands for leases and days.
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { setImmediate as turnOfLoop } from 'node:timers/promises';
import fc from 'fast-check';
import type { ConversationTurn } from '../core/conversation.ts';
import { ServiceError } from '../core/errors.ts';
import { realRuntime } from '../runtime.ts';
import type { OpenedStore } from '../store/store.ts';
import { ManualClock } from './manual-clock.ts';

export interface StoreOpening {
  readonly clock: ManualClock;
  readonly random: typeof realRuntime.random;
  readonly turnRetentionDays: number;
}

/** Opens a store; the same place gives the same data. */
export type OpenStoreAt = (place: string, opening: StoreOpening) => Promise<OpenedStore>;

const never = new AbortController().signal;

/** Registers the suite. `runs` is the number of random histories; each asks the database some hundred times. */
export function storeConformance(openAt: OpenStoreAt, runs: number): void {
  let places = 0;
  const opened: OpenedStore[] = [];
  const open = async (place: string, clock: ManualClock, turnRetentionDays = 30) => {
    const store = await openAt(place, { clock, random: realRuntime.random, turnRetentionDays });
    opened.push(store);
    return store;
  };
  const freshPlace = () => `place${places++}`;
  const fresh = () => open(freshPlace(), new ManualClock());
  afterEach(async () => {
    for (const store of opened.splice(0)) await store[Symbol.asyncDispose]();
  });

  describe('conversations', () => {
    let store: OpenedStore;
    before(async () => {
      store = await openAt(freshPlace(), {
        clock: new ManualClock(),
        random: realRuntime.random,
        turnRetentionDays: 0,
      });
    });
    after(() => store[Symbol.asyncDispose]());

    it('gives the last turns, oldest first, exactly as they were kept', async () => {
      const turns = [0, 1, 2, 3, 4].map((turn) => said('window', '', turn));
      for (const turn of turns) assert.equal(await store.conversations.appendTurn(turn), true);
      assert.deepEqual(await store.conversations.loadWindow('window', '', 3), turns.slice(2));
      assert.deepEqual(await store.conversations.loadWindow('window', '', 50), turns);
      assert.deepEqual(await store.conversations.loadWindow('window', '', 0), []);
      assert.deepEqual(await store.conversations.loadWindow('another', '', 50), []);
    });

    it('keeps the first of equal turns, also when many arrive at one instant', async () => {
      const first = said('twice', '', 0, 'first');
      assert.equal(await store.conversations.appendTurn(first), true);
      assert.equal(await store.conversations.appendTurn(said('twice', '', 0, 'second')), false);
      assert.deepEqual(await store.conversations.loadWindow('twice', '', 9), [first]);
      const won = await Promise.all(
        Array.from({ length: 20 }, (_, i) => store.conversations.appendTurn(said('race', '', 0, `${i}`))),
      );
      assert.equal(won.filter(Boolean).length, 1);
    });

    it('lets a loaded save begin with what was said before it, and leaves the parent alone', async () => {
      const { conversations } = store;
      for (const turn of [0, 1, 2]) await conversations.appendTurn(said('saves', 'a', turn));
      await conversations.branch('saves', 'a', 'b', 2);
      assert.equal(
        await conversations.appendTurn(said('saves', 'b', 1)),
        false,
        'an inherited turn is taken',
      );
      assert.equal(await conversations.appendTurn(said('saves', 'b', 2)), true);
      await conversations.appendTurn(said('saves', 'a', 3));
      const texts = async (timeline: string) =>
        (await conversations.loadWindow('saves', timeline, 50)).map((turn) => `${turn.turn} ${turn.npcText}`);
      assert.deepEqual(await texts('b'), ['0 a0', '1 a1', '2 b2']);
      assert.deepEqual(await texts('a'), ['0 a0', '1 a1', '2 a2', '3 a3']);
      await conversations.branch('saves', 'a', 'b', 4);
      assert.deepEqual(await texts('b'), ['0 a0', '1 a1', '2 b2'], 'a timeline that exists stays as it is');
    });

    it('branches from what the parent had at that moment, and from nothing when there is no parent', async () => {
      const { conversations } = store;
      await conversations.appendTurn(said('moment', 'a', 0));
      await conversations.branch('moment', 'a', 'b', 99);
      await conversations.appendTurn(said('moment', 'a', 1));
      assert.deepEqual(
        (await conversations.loadWindow('moment', 'b', 9)).map((turn) => turn.npcText),
        ['a0'],
      );
      await conversations.branch('moment', 'nobody', 'c', 5);
      assert.deepEqual(await conversations.loadWindow('moment', 'c', 9), []);
      assert.equal(await conversations.appendTurn(said('moment', 'c', 0)), true);
    });

    it('tells which timeline was spoken on last, and the number of its next turn', async () => {
      const { conversations } = store;
      assert.equal(await conversations.latestTimeline('latest'), null);
      await conversations.appendTurn(said('latest', 'a', 0));
      await conversations.appendTurn(said('latest', 'a', 1));
      await conversations.branch('latest', 'a', 'b', 1);
      assert.deepEqual(await conversations.latestTimeline('latest'), { timelineId: 'a', turns: 2 });
      await conversations.appendTurn(said('latest', 'b', 1));
      assert.deepEqual(await conversations.latestTimeline('latest'), { timelineId: 'b', turns: 2 });
    });

    it('reads a save that was loaded and played on three hundred times', async () => {
      const { conversations } = store;
      await conversations.appendTurn(said('deep', 't0', 0));
      for (let depth = 1; depth <= 300; depth += 1) {
        await conversations.branch('deep', `t${depth - 1}`, `t${depth}`, depth);
        if (depth % 3 !== 0) await conversations.appendTurn(said('deep', `t${depth}`, depth));
      }
      const window = await conversations.loadWindow('deep', 't300', 1_000);
      const numbers = window.map((turn) => turn.turn);
      assert.deepEqual(
        numbers,
        numbers.toSorted((a, b) => a - b),
      );
      assert.equal(new Set(numbers).size, numbers.length);
      assert.equal(numbers[0], 0);
    });

    it('behaves as the simple model does over random histories', async () => {
      const timeline = fc.constantFrom('', 'a', 'b', 'c', 'd');
      const step = fc.oneof(
        { weight: 4, arbitrary: fc.record({ kind: fc.constant('append' as const), timeline }) },
        {
          weight: 2,
          arbitrary: fc.record({
            kind: fc.constant('branch' as const),
            from: timeline,
            to: timeline,
            at: fc.integer({ min: 0, max: 8 }),
          }),
        },
        {
          weight: 1,
          arbitrary: fc.record({
            kind: fc.constant('retry' as const),
            timeline,
            turn: fc.integer({ min: 0, max: 8 }),
          }),
        },
      );
      let history = 0;
      await fc.assert(
        fc.asyncProperty(
          fc.array(step, { minLength: 5, maxLength: 30 }),
          fc.integer({ min: 1, max: 6 }),
          async (steps, width) => {
            const id = `random${history++}`;
            const model = new Map<string, string[]>();
            let latest: string | null = null;
            for (const [index, action] of steps.entries()) {
              if (action.kind === 'branch') {
                await store.conversations.branch(id, action.from, action.to, action.at);
                const inherited = (model.get(action.from) ?? []).slice(0, action.at);
                if (!model.has(action.to) && inherited.length > 0) model.set(action.to, inherited);
                continue;
              }
              const turns = model.get(action.timeline) ?? [];
              const turn = action.kind === 'append' ? turns.length : Math.min(action.turn, turns.length);
              const kept = await store.conversations.appendTurn(
                said(id, action.timeline, turn, `step ${index}`),
              );
              assert.equal(kept, turn === turns.length);
              if (!kept) continue;
              model.set(action.timeline, [...turns, `step ${index}`]);
              latest = action.timeline;
            }
            for (const [name, turns] of model) {
              const window = await store.conversations.loadWindow(id, name, width);
              assert.deepEqual(
                window.map((turn) => turn.npcText),
                turns.slice(-width),
              );
              assert.deepEqual(
                window.map((turn) => turn.turn),
                turns.map((_, turn) => turn).slice(-width),
              );
            }
            const head = await store.conversations.latestTimeline(id);
            assert.equal(head?.timelineId ?? null, latest);
            if (latest !== null) assert.equal(head?.turns, model.get(latest)?.length);
          },
        ),
        { numRuns: runs },
      );
    });

    it('keeps any text; what no database can keep is replaced, in ids too', async () => {
      const { conversations } = store;
      const id = "o'dd\0\ud800 ‮; drop table turns --";
      const turn = {
        ...said(id, id, 0),
        playerText: `🧛 "quoted" \n\t${'x'.repeat(8_000)}`,
        npcText: 'a\0b\udfffc',
      };
      assert.equal(await conversations.appendTurn(turn), true);
      assert.deepEqual(await conversations.loadWindow(id, id, 1), [{ ...turn, npcText: 'a\ufffdb\ufffdc' }]);
      await conversations.branch(id, id, 'other', 1);
      assert.equal((await conversations.loadWindow(id, 'other', 1))[0]?.timelineId, 'other');
    });

    it('gives a branch the summary of its parent only when that ends before the fork', async () => {
      const { conversations } = store;
      for (const turn of [0, 1, 2, 3]) await conversations.appendTurn(said('sum', 'a', turn));
      await conversations.branch('sum', 'a', 'early', 2);
      await conversations.branch('sum', 'a', 'late', 4);
      assert.equal(await conversations.loadSummary('sum', 'a'), null);
      await conversations.saveSummary('sum', 'a', { text: 'three turns', turns: 3 });
      await conversations.saveSummary('sum', 'a', { text: 'an older one', turns: 2 });
      assert.deepEqual(await conversations.loadSummary('sum', 'a'), { text: 'three turns', turns: 3 });
      assert.deepEqual(await conversations.loadSummary('sum', 'late'), { text: 'three turns', turns: 3 });
      assert.equal(await conversations.loadSummary('sum', 'early'), null);
    });
  });

  describe('keys', () => {
    it('knows a key by its whole token and by nothing less', async () => {
      const clock = new ManualClock();
      const { keys } = await open(freshPlace(), clock);
      assert.equal(await keys.hasActive(), false);
      const { key, token } = await keys.create({
        label: ' shard eu-1 ',
        scopes: ['operator', 'game', 'game'],
      });
      assert.match(token, /^gr_[0-9a-f]{10}_[0-9a-f]{64}$/);
      assert.deepEqual([key.label, key.scopes], ['shard eu-1', ['game', 'operator']]);
      assert.deepEqual(await keys.authenticate(token), key);
      assert.equal(await keys.hasActive(), true);
      const other = token.endsWith('0') ? '1' : '0';
      for (const wrong of [
        '',
        'gr_',
        token.slice(0, -1),
        `${token}0`,
        token.slice(0, -1) + other,
        token.toUpperCase(),
        `gr_0000000000_${'0'.repeat(64)}`,
        `${token}\n`,
      ])
        assert.equal(await moveUntil(clock, keys.authenticate(wrong)), null, wrong);
      assert.ok(!JSON.stringify(await keys.list()).includes(token.slice(-64)));
    });

    it('refuses a revoked key at once here, and within five seconds in another gateway', async () => {
      const place = freshPlace();
      const [here, thereClock] = [await open(place, new ManualClock()), new ManualClock()];
      const there = await open(place, thereClock);
      const { key, token } = await here.keys.create({ label: 'x', scopes: ['game'] });
      assert.equal((await there.keys.authenticate(token))?.id, key.id, 'a new key is known at once');
      assert.equal((await here.keys.authenticate(token))?.id, key.id);
      assert.equal(await here.keys.revoke(key.id), true);
      assert.equal(await here.keys.authenticate(token), null);
      assert.equal(await here.keys.hasActive(), false);
      thereClock.advance(5_000);
      await eventually(async () => (await moveUntil(thereClock, there.keys.authenticate(token))) === null);
      assert.equal(await here.keys.revoke('0000000000'), false);
      const revokedAtMs = (await here.keys.list())[0]?.revokedAtMs;
      await here.keys.revoke(key.id);
      assert.equal((await here.keys.list())[0]?.revokedAtMs, revokedAtMs);
    });

    it('writes when a key was used last, at the latest when it closes', async () => {
      const place = freshPlace();
      const clock = new ManualClock();
      const first = await open(place, clock);
      const { token } = await first.keys.create({ label: 'x', scopes: ['game'] });
      assert.equal((await first.keys.list())[0]?.lastUsedAtMs, null);
      clock.advance(1_234);
      await first.keys.authenticate(token);
      await first[Symbol.asyncDispose]();
      const second = await open(place, clock);
      assert.equal((await second.keys.list())[0]?.lastUsedAtMs, clock.nowMs());
    });

    it('refuses a key without scope or label', async () => {
      const { keys } = await fresh();
      await rejectsWith('bad_request', keys.create({ label: ' ', scopes: ['game'] }));
      await rejectsWith('bad_request', keys.create({ label: 'x'.repeat(101), scopes: ['game'] }));
      await rejectsWith('bad_request', keys.create({ label: 'x', scopes: [] }));
    });
  });

  describe('idempotency', () => {
    const request = { key: 'k', apiKeyId: 'a', bodyDigest: 'd' };

    it('lets one of many equal requests answer, over two gateways, and gives all the others its answer', async () => {
      const place = freshPlace();
      const clock = new ManualClock();
      const stores = [await open(place, clock), await open(place, clock)];
      let answered = 0;
      const all = Promise.all(
        Array.from({ length: 40 }, async (_, i) => {
          const store = stores[i % 2];
          assert.ok(store);
          const outcome = await store.idempotency.claim(request, never);
          if (outcome.kind === 'replay') return outcome.replyJson;
          answered += 1;
          await turnOfLoop();
          assert.equal(await outcome.claim.complete('{"line":"Who knocks?"}'), true);
          return 'own';
        }),
      );
      await moveUntil(clock, all);
      const replies = await all;
      assert.equal(answered, 1);
      assert.equal(replies.filter((reply) => reply === '{"line":"Who knocks?"}').length, 39);
    });

    it('tells a key with another body apart, and the keys of two callers', async () => {
      const { idempotency } = await fresh();
      await running(await idempotency.claim(request, never)).complete('1');
      await rejectsWith('idempotency_conflict', idempotency.claim({ ...request, bodyDigest: 'e' }, never));
      await running(await idempotency.claim({ ...request, apiKeyId: 'b' }, never)).abandon();
      await rejectsWith('bad_request', idempotency.claim({ ...request, key: '' }, never));
      await rejectsWith('bad_request', idempotency.claim({ ...request, key: 'x'.repeat(256) }, never));
    });

    it('runs anew after an answer that failed, and after ten minutes', async () => {
      const clock = new ManualClock();
      const { idempotency } = await open(freshPlace(), clock);
      await running(await idempotency.claim(request, never)).abandon();
      await running(await idempotency.claim(request, never)).complete('1');
      clock.advance(10 * 60_000 - 1);
      assert.deepEqual(await idempotency.claim(request, never), { kind: 'replay', replyJson: '1' });
      clock.advance(1);
      await running(await idempotency.claim({ ...request, bodyDigest: 'another' }, never)).complete('2');
    });

    it('takes over from a gateway that died, whose late answer then counts for nothing', async () => {
      const place = freshPlace();
      const [deadClock, clock] = [new ManualClock(), new ManualClock()];
      const [dead, alive] = [await open(place, deadClock), await open(place, clock)];
      const lost = running(await dead.idempotency.claim(request, never));
      clock.advance(9_999);
      const waiter = alive.idempotency.claim(request, never);
      await moveUntil(clock, waiter);
      const taken = running(await waiter);
      assert.equal(await lost.complete('late'), false);
      assert.equal(await taken.complete('2'), true);
      assert.deepEqual(await dead.idempotency.claim(request, never), { kind: 'replay', replyJson: '2' });
    });

    it('is not taken over from a gateway that lives, however long it answers', async () => {
      const place = freshPlace();
      const clock = new ManualClock();
      const [holder, other] = [await open(place, clock), await open(place, clock)];
      const claim = running(await holder.idempotency.claim(request, never));
      const waiter = other.idempotency.claim(request, never);
      let isOver = false;
      const over = waiter.finally(() => {
        isOver = true;
      });
      for (let second = 0; second < 60; second += 1) {
        clock.advance(1_000);
        for (let i = 0; i < 20; i += 1) await holder.health();
      }
      assert.equal(isOver, false);
      assert.equal(await claim.complete('1'), true);
      await moveUntil(clock, over);
      assert.deepEqual(await waiter, { kind: 'replay', replyJson: '1' });
    });

    it('lets a waiter go when its signal aborts', async () => {
      const { idempotency } = await fresh();
      const claim = running(await idempotency.claim(request, never));
      const controller = new AbortController();
      const waiter = idempotency.claim(request, controller.signal);
      controller.abort(new ServiceError('client_closed', 'gone'));
      await rejectsWith('client_closed', waiter);
      await rejectsWith('client_closed', idempotency.claim(request, controller.signal));
      await claim.complete('1');
    });
  });

  it('removes what is due in batches: expired answers, and what was said before the retention time', async () => {
    const clock = new ManualClock();
    const store = await open(freshPlace(), clock, 30);
    const old = clock.nowMs();
    for (let i = 0; i < 450; i += 1) {
      await store.conversations.appendTurn({ ...said(`c${i % 9}`, 'a', Math.floor(i / 9)), atMs: old });
      if (i % 5 === 0)
        await running(
          await store.idempotency.claim({ key: `${i}`, apiKeyId: '', bodyDigest: 'd' }, never),
        ).complete('1');
    }
    await store.conversations.branch('c0', 'a', 'b', 3);
    clock.advance(31 * 24 * 3_600_000);
    await store.conversations.appendTurn({ ...said('c0', 'a', 50), atMs: clock.nowMs() });
    // The store prunes by itself as well, since a month has passed: whoever comes first, nothing due is left.
    await eventually(async () => {
      const { turns, idempotency } = await moveUntil(clock, store.prune(never));
      return turns + idempotency === 0;
    });
    assert.deepEqual(
      (await store.conversations.loadWindow('c0', 'a', 99)).map((turn) => turn.turn),
      [50],
    );
    assert.deepEqual(await store.conversations.loadWindow('c8', 'a', 99), []);
    const again = await store.idempotency.claim({ key: '0', apiKeyId: '', bodyDigest: 'another' }, never);
    assert.equal(again.kind, 'run');
    assert.equal(await store.conversations.appendTurn(said('c0', 'b', 0)), true, 'its fork is gone too');
    const forever = await open(freshPlace(), clock, 0);
    await forever.conversations.appendTurn({ ...said('c', 'a', 0), atMs: 0 });
    assert.deepEqual(await forever.prune(never), { turns: 0, idempotency: 0 });
  });

  it('has all of it after it was closed and opened again, and says that it is closed', async () => {
    const place = freshPlace();
    const first = await open(place, new ManualClock());
    await first.conversations.appendTurn(said('c', '', 0));
    const { token } = await first.keys.create({ label: 'x', scopes: ['game'] });
    assert.equal((await first.health()).isReachable, true);
    await first[Symbol.asyncDispose]();
    await first[Symbol.asyncDispose]();
    await rejectsWith('store_unavailable', first.conversations.loadWindow('c', '', 1));
    assert.equal((await first.health()).isReachable, false);
    const second = await open(place, new ManualClock());
    assert.equal((await second.conversations.loadWindow('c', '', 9)).length, 1);
    assert.notEqual(await second.keys.authenticate(token), null);
  });
}

/** A turn whose answer tells where it was said. */
export function said(
  conversationId: string,
  timelineId: string,
  turn: number,
  npcText = `${timelineId}${turn}`,
): ConversationTurn {
  return {
    conversationId,
    timelineId,
    turn,
    playerText: 'Who are you?',
    npcText,
    interrupted: turn % 2 === 1,
    gameTime: turn % 3 === 0 ? null : `${turn}`,
    atMs: Date.UTC(2026, 0, 1) + turn,
  };
}

/** Resolves when `promise` rejects with this code; fails otherwise. */
export async function rejectsWith(code: string, promise: Promise<unknown>): Promise<ServiceError> {
  const error = await promise.then(
    () => assert.fail(`expected ${code}`),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof ServiceError, String(error));
  assert.equal(error.code, code, error.message);
  return error;
}

function running(outcome: Awaited<ReturnType<OpenedStore['idempotency']['claim']>>) {
  assert.ok(outcome.kind === 'run', 'expected the right to answer');
  return outcome.claim;
}

async function eventually(check: () => Promise<boolean>): Promise<void> {
  for (const untilMs = performance.now() + 20_000; !(await check()); await turnOfLoop())
    assert.ok(performance.now() < untilMs, 'it did not come about in 20 s');
}

/** Moves the clock in small steps until the promise settles. */
async function moveUntil<T>(clock: ManualClock, promise: Promise<T>): Promise<T> {
  let isSettled = false;
  const settle = () => {
    isSettled = true;
  };
  promise.then(settle, settle);
  await eventually(() => {
    if (!isSettled) clock.advance(10);
    return Promise.resolve(isSettled);
  });
  return await promise;
}
