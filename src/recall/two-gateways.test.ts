/** Two dialogue caches over one shared tier, in memory and on a real server: equal questions are generated once. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setImmediate as turnOfLoop } from 'node:timers/promises';
import { realRuntime } from '../runtime.ts';
import { MemorySharedServer } from '../testing/memory-shared-tier.ts';
import { REDIS_MISSING, startRedis, type TestRedis } from '../testing/redis.ts';
import { openTier } from '../testing/redis-tier.ts';
import { aSource, aVariant, hearAll } from '../testing/shared-tier-conformance.ts';
import { recallOptionsSchema } from './options.ts';
import { type Known, Recall } from './recall.ts';
import type { SharedTier } from './shared-tier.ts';

const never = new AbortController().signal;

function gateway(shared: SharedTier | null, options: object = {}): Recall {
  const { clock } = realRuntime;
  return new Recall({ options: recallOptionsSchema.parse(options), shared, clock, onEvent: () => {} });
}

const kindsOf = (known: readonly Known[]) =>
  Object.fromEntries(
    Map.groupBy(known, ({ kind }) => kind)
      .entries()
      .map(([kind, each]) => [kind, each.length]),
  );

/** Asks `count` times at once at each gateway. */
const askAll = async (gateways: readonly Recall[], key: string, count: number): Promise<Known[]> =>
  await Promise.all(
    gateways.flatMap((each) => Array.from({ length: count }, () => each.board(key, [], false, never))),
  );

function suite(open: () => Promise<SharedTier>): void {
  let one: Recall;
  let other: Recall;
  before(async () => {
    one = gateway(await open());
    other = gateway(await open());
  });
  after(async () => {
    await one[Symbol.asyncDispose]();
    await other[Symbol.asyncDispose]();
  });

  it('generates once what five hundred ask at once at each of two gateways', async () => {
    const known = await askAll([one, other], 'lich:1', 500);
    assert.deepEqual(kindsOf(known), { lead: 1, join: 999 });
    const heard = Promise.all(
      known.map(async (each) => (each.kind === 'join' ? await hearAll(each.flight) : null)),
    );
    const leading = known.find((each) => each.kind === 'lead');
    assert.ok(leading?.kind === 'lead');
    leading.lead.said({ text: 'You again.', source: aSource });
    leading.lead.said({ text: 'All of you.', source: aSource });
    leading.lead.landed();
    for (const words of await heard)
      if (words !== null) assert.deepEqual(words, ['You again.', 'All of you.', '(landed)']);
  });

  it('lets all who ask while another gateway generates join it', async () => {
    const leading = await one.board('lich:2', [], false, never);
    assert.ok(leading.kind === 'lead');
    const joining = await askAll([other], 'lich:2', 100);
    assert.deepEqual(kindsOf(joining), { join: 100 });
    const heard = Promise.all(
      joining.map(async (each) => (each.kind === 'join' ? await hearAll(each.flight) : null)),
    );
    leading.lead.said({ text: 'Wait for it.', source: aSource });
    leading.lead[Symbol.dispose]();
    for (const words of await heard) assert.deepEqual(words, ['Wait for it.', '(lost)']);
    // The first who asks afterwards leads, from what they have heard.
    const next = await Promise.all(
      Array.from({ length: 100 }, () => other.board('lich:2', ['Wait for it.'], false, never)),
    );
    assert.deepEqual(kindsOf(next), { lead: 1, join: 99 });
  });

  it('gives what another gateway kept to all who ask at once', async () => {
    const variant = aVariant('I said so before.');
    one.keep('lich:3', variant, 60, null);
    while ((await other.board('lich:3', [], false, never).then(disposed)).kind !== 'variants')
      await turnOfLoop();
    const third = gateway(await open());
    const known = await askAll([third], 'lich:3', 100);
    assert.deepEqual(kindsOf(known), { variants: 100 });
    assert.deepEqual(third.recalled('lich:3'), [variant]);
    await third[Symbol.asyncDispose]();
  });

  it('gives it also to a gateway whose equal questions share no generation', async () => {
    const alone = gateway(await open(), { joinEqual: false });
    one.keep('lich:6', aVariant('I said so before.'), 60, null);
    while ((await alone.board('lich:6', [], false, never).then(disposed)).kind !== 'variants')
      await turnOfLoop();
    const unknown = await askAll([alone], 'lich:7', 3);
    assert.deepEqual(kindsOf(unknown), { lead: 3 });
    await alone[Symbol.asyncDispose]();
  });

  it('remembers here no longer than it may be said there', async () => {
    one.keep('lich:4', aVariant('Gone in a blink.'), 1, null);
    while ((await other.board('lich:4', [], false, never).then(disposed)).kind !== 'variants')
      await turnOfLoop();
    while (other.recalled('lich:4').length > 0) await turnOfLoop();
  });

  it('joins at its own gateway who asks for another answer than those there are', async () => {
    const fresh = await one.board('lich:5', [], true, never);
    assert.ok(fresh.kind === 'lead');
    assert.equal((await one.board('lich:5', [], false, never)).kind, 'join');
    fresh.lead[Symbol.dispose]();
  });

  it('forgets at both what one is told to forget, except what the other remembers itself', async () => {
    one.keep('ghoul:1', aVariant('Brains.'), 60, null);
    while ((await other.board('ghoul:1', [], false, never).then(disposed)).kind !== 'variants')
      await turnOfLoop();
    await one.forget('ghoul', never);
    assert.deepEqual(one.recalled('ghoul:1'), []);
    assert.equal(disposed(await one.board('ghoul:1', [], false, never)).kind, 'lead');
  });
}

/** A lead that is taken only to look is given back. */
function disposed(known: Known): Known {
  if (known.kind === 'lead') known.lead[Symbol.dispose]();
  return known;
}

describe('two gateways over a shared tier in memory', () => {
  const server = new MemorySharedServer({ clock: realRuntime.clock, leaseMs: 30_000 });
  suite(() => Promise.resolve(server.open()));

  it('lead each for themselves when it is away, one for all of its own', async () => {
    const [one, other] = [gateway(server.open()), gateway(server.open())];
    server.isAway = true;
    assert.deepEqual(kindsOf(await askAll([one, other], 'lich:9', 50)), { lead: 2, join: 98 });
    server.isAway = false;
  });
});

const probe = await startRedis({ isStarted: false });
await probe?.[Symbol.asyncDispose]();

describe('two gateways over a real server', { skip: probe === null ? REDIS_MISSING : false }, () => {
  let redis: TestRedis;
  before(async () => {
    const started = await startRedis();
    assert.ok(started);
    redis = started;
  });
  after(() => redis[Symbol.asyncDispose]());
  suite(async () => (await openTier(redis, { leaseMs: 30_000 })).tier);

  it('lead each for themselves when it stands still, one for all of its own', async () => {
    const [one, other] = await Promise.all(
      [1, 2].map(async () => gateway((await openTier(redis, { waitMs: 50 })).tier)),
    );
    assert.ok(one && other);
    redis.power.stall();
    try {
      assert.deepEqual(kindsOf(await askAll([one, other], 'lich:9', 50)), { lead: 2, join: 98 });
    } finally {
      redis.power.resume();
    }
    await one[Symbol.asyncDispose]();
    await other[Symbol.asyncDispose]();
  });
});
