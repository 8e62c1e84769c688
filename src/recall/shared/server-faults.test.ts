/** What a real server can do to a gateway: be absent, die, stand still, be full, refuse, or hold what is not ours. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { setImmediate as turnOfLoop } from 'node:timers/promises';
import fc from 'fast-check';
import { REDIS_MISSING, startRedis, type TestRedis, type TestRedisOptions } from '../../testing/redis.ts';
import { openTier, openTierNow, type TestTier, untilReachable } from '../../testing/redis-tier.ts';
import {
  aSource,
  aVariant,
  flightOf,
  hearAll,
  leaseOf,
  lookUntil,
  wordsOf,
} from '../../testing/shared-tier-conformance.ts';
import type { SharedLook, SharedTier } from '../shared-tier.ts';
import { encodeVariants } from '../variant.ts';

const never = new AbortController().signal;
const LIMITS = { variantsMax: 4, ttlMs: 60_000 };
const PREFIX = 'greenroom:recall:';
const FAR = '9999999999999';

const probe = await startRedis({ isStarted: false });
await probe?.[Symbol.asyncDispose]();

describe('a server that the shared tier cannot count on', {
  skip: probe === null ? REDIS_MISSING : false,
}, () => {
  const disposals: AsyncDisposable[] = [];
  after(async () => {
    for (const each of disposals.reverse()) await each[Symbol.asyncDispose]();
  });
  const start = async (options: TestRedisOptions = {}): Promise<TestRedis> => {
    const redis = await startRedis(options);
    assert.ok(redis);
    disposals.push(redis);
    return redis;
  };
  const owned = (opened: TestTier): TestTier => {
    disposals.push(opened.tier);
    return opened;
  };
  const open = async (redis: TestRedis, options: object = {}) => owned(await openTier(redis, options));
  const told = ({ lines }: TestTier, part: string) => lines.filter((line) => line.includes(part)).length;

  it('that is not there at the start holds up nothing, and is found when it comes', async () => {
    const redis = await start({ isStarted: false });
    const opened = owned(openTierNow(redis));
    const { tier, faults } = opened;
    assert.equal(tier.isReachable, false);
    tier.keep('lich:1', aVariant('Kept meanwhile.'), LIMITS);
    for (let asked = 0; asked < 100; asked++)
      assert.deepEqual(await tier.look('lich:1', true, never), { kind: 'away' });
    assert.equal(faults.get('unreachable'), 100);
    await redis.power.on();
    assert.deepEqual(wordsOf(await lookUntil(tier, 'lich:1', 'variants')), ['Kept meanwhile.']);
    assert.equal(told(opened, 'recall.shared_fault'), 1, opened.lines.join('\n'));
    assert.equal(told(opened, 'recall.shared_back'), 1, opened.lines.join('\n'));
  });

  it('that is killed loses flights at once, and begins empty when it is back', async () => {
    const redis = await start();
    const [one, other] = [await open(redis), await open(redis)];
    one.tier.keep('lich:1', aVariant('Lost with the server.'), LIMITS);
    await lookUntil(other.tier, 'lich:1', 'variants');
    const lease = leaseOf(await one.tier.look('lich:2', true, never));
    lease.said('Hear me', aSource);
    const following = flightOf(await other.tier.look('lich:2', true, never)).follow(0, never);
    assert.equal((await following.next()).done, false);
    const end = following.next();
    await redis.power.off();
    assert.deepEqual(await end, { done: true, value: 'lost' });
    assert.deepEqual(await lookUntil(one.tier, 'lich:1', 'away'), { kind: 'away' });
    lease.said('nobody hears this', aSource);
    lease.landed();
    await redis.power.on();
    await Promise.all([untilReachable(one.tier), untilReachable(other.tier)]);
    assert.deepEqual(await one.tier.look('lich:1', false, never), { kind: 'nothing' });
    const again = leaseOf(await one.tier.look('lich:2', true, never));
    const heard = hearAll(flightOf(await other.tier.look('lich:2', true, never)));
    again.said('Hear me again.', aSource);
    again.landed();
    assert.deepEqual(await heard, ['Hear me again.', '(landed)']);
  });

  it('that stands still is soon not asked any more, loses its flights, and is asked again when it moves', async () => {
    const redis = await start();
    const options = { waitMs: 50, restMs: 10, leaseMs: 300 };
    const opened = await open(redis, options);
    const { tier, faults } = opened;
    const other = await open(redis, { leaseMs: 300 });
    tier.keep('lich:1', aVariant('Still here.'), LIMITS);
    await lookUntil(tier, 'lich:1', 'variants');
    using lease = leaseOf(await other.tier.look('lich:2', true, never));
    const heard = hearAll(flightOf(await lookUntil(tier, 'lich:2', 'join')));
    redis.power.stall();
    try {
      for (let index = 0; index < 8; index++)
        assert.deepEqual(await tier.look(`lich:slow${index}`, true, never), { kind: 'away' });
      assert.equal(faults.get('slow'), 8);
      assert.equal(tier.isReachable, false);
      for (let asked = 0; asked < 1_000; asked++) await tier.look('lich:1', true, never);
      assert.equal(faults.get('slow'), 8, 'nobody waited again');
      assert.equal(faults.get('resting'), 1_000);
      assert.deepEqual(await heard, ['(lost)']);
      lease.said('into the void', aSource);
      tier.keep('lich:3', aVariant('Kept while it stood.'), LIMITS);
    } finally {
      redis.power.resume();
    }
    await untilReachable(tier);
    assert.deepEqual(wordsOf(await lookUntil(tier, 'lich:1', 'variants')), ['Still here.']);
    assert.deepEqual(wordsOf(await lookUntil(tier, 'lich:3', 'variants')), ['Kept while it stood.']);
    // The leads that came too late were given back: none of the eight is held.
    await untilReachable(other.tier);
    for (let index = 0; index < 8; index++) await lookLeading(other.tier, `lich:slow${index}`);
    assert.equal(told(opened, '"fault":"resting"'), 1, opened.lines.join('\n'));
    assert.equal(told(opened, 'recall.shared_back'), 1, opened.lines.join('\n'));
  });

  it('that stands still is asked no more than a bounded number of questions', async () => {
    const redis = await start();
    const { tier, faults } = await open(redis, { waitMs: 200, unansweredMax: 10, queuedMax: 20 });
    redis.power.stall();
    try {
      const looks = await Promise.all(
        Array.from({ length: 100 }, (_, index) => tier.look(`lich:${index}`, true, never)),
      );
      assert.ok(looks.every(({ kind }) => kind === 'away'));
      assert.equal(faults.get('slow'), 10);
      assert.equal(faults.get('busy'), 90);
      for (let kept = 0; kept < 100; kept++) tier.keep(`lich:${kept}`, aVariant(`line ${kept}`), LIMITS);
      // Sixteen are on their way, twenty wait.
      assert.equal(faults.get('dropped'), 64);
    } finally {
      redis.power.resume();
    }
  });

  it('that stands still does not hold up the end of a gateway', async () => {
    const redis = await start();
    const { tier } = await open(redis);
    leaseOf(await tier.look('lich:1', true, never)).said('Good', aSource);
    redis.power.stall();
    try {
      tier.keep('lich:2', aVariant('Never sent.'), LIMITS);
      const look = tier.look('lich:3', true, never);
      await tier[Symbol.asyncDispose]();
      await tier[Symbol.asyncDispose]();
      assert.deepEqual(await look, { kind: 'away' });
      assert.equal(tier.isReachable, false);
    } finally {
      redis.power.resume();
    }
  });

  it('holds nothing of ours for ever', async () => {
    const redis = await start();
    const [one, other] = [await open(redis), await open(redis)];
    for (let key = 0; key < 20; key++) {
      const lease = leaseOf(await one.tier.look(`lich:${key}`, true, never));
      const heard = hearAll(flightOf(await other.tier.look(`lich:${key}`, true, never)));
      lease.said('Passing by.', aSource);
      if (key % 2 === 0) one.tier.keep(`lich:${key}`, aVariant('Passing by.'), LIMITS);
      if (key % 4 < 2) {
        lease.landed();
        assert.deepEqual(await heard, ['Passing by.', '(landed)']);
      }
    }
    const keys = (await redis.command('KEYS', '*')) as string[];
    assert.ok(keys.length >= 20);
    for (const key of keys) {
      assert.ok(key.startsWith(PREFIX));
      assert.notEqual(await redis.command('PTTL', key), -1, key);
    }
  });

  it('that is full gives what it has, keeps nothing more, says so once, and is used again when there is room', async () => {
    const redis = await start();
    const opened = await open(redis);
    const { tier, faults } = opened;
    tier.keep('lich:1', aVariant('From better days.'), LIMITS);
    await lookUntil(tier, 'lich:1', 'variants');
    await redis.command('CONFIG', 'SET', 'maxmemory-policy', 'noeviction');
    await redis.command('CONFIG', 'SET', 'maxmemory', '1');
    assert.deepEqual(wordsOf(await tier.look('lich:1', true, never)), ['From better days.']);
    for (let asked = 0; asked < 20; asked++)
      assert.deepEqual(await tier.look('lich:2', true, never), { kind: 'nothing' });
    assert.equal(faults.get('full'), 20);
    tier.keep('lich:3', aVariant('No room for this.'), LIMITS);
    while (faults.get('full') !== 21) await turnOfLoop();
    assert.equal(tier.isReachable, true);
    await redis.command('CONFIG', 'SET', 'maxmemory', '0');
    tier.keep('lich:3', aVariant('Room again.'), LIMITS);
    assert.deepEqual(wordsOf(await lookUntil(tier, 'lich:3', 'variants')), ['Room again.']);
    assert.deepEqual(
      opened.lines.map((line) => line.replace(/"address":"[^"]*"/u, '')),
      [
        'recall.shared_fault {"fault":"full","meaning":"It has no memory left.",,"code":"OOM"}',
        'recall.shared_back {,"faults":["full"]}',
      ],
    );
  });

  it('that becomes full in the middle of a flight loses it', async () => {
    const redis = await start();
    const [one, other] = [await open(redis), await open(redis)];
    const lease = leaseOf(await one.tier.look('lich:1', true, never));
    const heard = hearAll(flightOf(await other.tier.look('lich:1', true, never)));
    lease.said('One.', aSource);
    while (told(one, 'full') === 0) {
      await redis.command('CONFIG', 'SET', 'maxmemory', '1');
      lease.said('Two.', aSource);
      await turnOfLoop();
    }
    const words = await heard;
    assert.equal(words[0], 'One.');
    assert.equal(words.at(-1), '(lost)');
    lease.landed();
  });

  it('that wants a password is left alone, and the log says why without any password', async () => {
    const redis = await start({ settings: ['--requirepass', 'open-sesame'] });
    const without = owned(openTierNow(redis));
    while (told(without, 'refused') === 0) {
      await without.tier.look('lich:1', true, never);
      await turnOfLoop();
    }
    const wrong = owned(
      openTierNow(redis, { passwordEnv: 'CACHE_PASSWORD' }, undefined, { CACHE_PASSWORD: 'mellon' }),
    );
    while (told(wrong, 'refused') === 0) await turnOfLoop();
    assert.equal(wrong.tier.isReachable, false);
    assert.deepEqual(await wrong.tier.look('lich:1', true, never), { kind: 'away' });
    const right = owned(
      openTierNow(redis, { passwordEnv: 'CACHE_PASSWORD' }, undefined, { CACHE_PASSWORD: 'open-sesame' }),
    );
    await untilReachable(right.tier);
    assert.deepEqual(await right.tier.look('lich:1', false, never), { kind: 'nothing' });
    for (const { lines } of [without, wrong, right]) assert.doesNotMatch(lines.join('\n'), /mellon|sesame/u);
  });

  it('that is a replica is read and not written', async () => {
    const redis = await start();
    const opened = await open(redis);
    const { tier, faults } = opened;
    tier.keep('lich:1', aVariant('Before the failover.'), LIMITS);
    await lookUntil(tier, 'lich:1', 'variants');
    await redis.command('REPLICAOF', '127.0.0.1', '1');
    assert.deepEqual(wordsOf(await tier.look('lich:1', true, never)), ['Before the failover.']);
    assert.deepEqual(await tier.look('lich:2', true, never), { kind: 'nothing' });
    assert.equal(faults.get('read_only'), 1);
    await redis.command('CONFIG', 'SET', 'replica-serve-stale-data', 'no');
    assert.deepEqual(await tier.look('lich:1', true, never), { kind: 'away' });
    assert.equal(faults.get('loading'), 1);
    await redis.command('REPLICAOF', 'NO', 'ONE');
    const lease = leaseOf(await tier.look('lich:2', true, never));
    lease[Symbol.dispose]();
  });

  it('that lost its scripts is told them again', async () => {
    const redis = await start();
    const { tier, faults } = await open(redis);
    await redis.command('SCRIPT', 'FLUSH');
    assert.deepEqual(await tier.look('lich:1', false, never), { kind: 'nothing' });
    assert.equal(faults.size, 0);
  });

  it('whose connection for flights breaks loses those, and hears again', async () => {
    const redis = await start();
    const [one, other] = [await open(redis), await open(redis)];
    const lease = leaseOf(await one.tier.look('lich:1', true, never));
    const heard = hearAll(flightOf(await other.tier.look('lich:1', true, never)));
    await redis.command('CLIENT', 'KILL', 'TYPE', 'pubsub');
    assert.deepEqual(await heard, ['(lost)']);
    await untilReachable(other.tier);
    const again = hearAll(flightOf(await other.tier.look('lich:1', true, never)));
    lease.said('Once more.', aSource);
    lease.landed();
    assert.deepEqual(await again, ['Once more.', '(landed)']);
  });

  it('tells the joiners of a leader that was killed that its flight is lost', async () => {
    const redis = await start();
    const { tier } = await open(redis);
    const program = path.join(import.meta.dirname, '../../testing/flight-leader.ts');
    const child = spawn(process.execPath, [program, redis.url, 'lich:1', '700'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const exited = once(child, 'exit');
    await once(child.stdout, 'data');
    const following = flightOf(await tier.look('lich:1', true, never)).follow(0, never);
    const first = await following.next();
    child.kill('SIGKILL');
    await exited;
    assert.deepEqual(first, { done: false, value: { text: 'I shall tell you all of it:', source: aSource } });
    assert.deepEqual(await following.next(), { done: true, value: 'lost' });
    (await lookLeading(tier, 'lich:1'))[Symbol.dispose]();
  });

  describe('because of what it holds', () => {
    const line = (id: string, encoded: string) => `${FAR} ${id} ${encoded}\n`;
    const sound = aVariant('Sound and whole.');
    const encoded = encodeVariants([sound]);
    const place = async (redis: TestRedis, key: string, value: string | Buffer) =>
      await redis.command('SET', `${PREFIX}v:{${key}}`, value);

    it('is not misread when another version wrote it', async () => {
      const redis = await start();
      const { tier, faults } = await open(redis);
      await place(redis, 'lich:1', line('0123456789abcdef', encoded.replace('"version":1', '"version":2')));
      const lease = leaseOf(await tier.look('lich:1', true, never));
      assert.equal(faults.get('malformed'), 1);
      tier.keep('lich:1', sound, LIMITS);
      lease.landed();
      assert.deepEqual(wordsOf(await lookUntil(tier, 'lich:1', 'variants')), ['Sound and whole.']);
    });

    it('is not believed when it is broken anywhere', async () => {
      const redis = await start();
      const { tier } = await open(redis);
      const whole = Buffer.from(line(sound.id, encoded));
      for (let length = 0; length < whole.length; length++) {
        await place(redis, 'lich:1', whole.subarray(0, length));
        assert.deepEqual(await tier.look('lich:1', false, never), { kind: 'nothing' }, `${length} bytes`);
      }
      await place(redis, 'lich:1', whole);
      assert.equal((await tier.look('lich:1', false, never)).kind, 'variants');
      await fc.assert(
        fc.asyncProperty(fc.nat(whole.length - 1), fc.integer({ min: 0, max: 255 }), async (at, byte) => {
          const poisoned = Buffer.from(whole);
          poisoned[at] = byte;
          await place(redis, 'lich:1', poisoned);
          const look = await tier.look('lich:1', false, never);
          assert.ok(look.kind === 'nothing' || (look.kind === 'variants' && look.variants.length === 1));
        }),
        { numRuns: 100 },
      );
    });

    it('costs nothing when it is poisoned to cost much', async () => {
      const redis = await start();
      const { tier, faults } = await open(redis);
      const poisons: readonly string[] = [
        '\n'.repeat(200_000),
        ' '.repeat(200_000),
        '9'.repeat(200_000),
        `${'9'.repeat(100_000)} ${'a'.repeat(100_000)}\n`,
        line('a', '['.repeat(200_000)),
        line('a', `{"version":1,"variants":[${'['.repeat(200_000)}`),
        line('a', encoded).repeat(300),
        line('a', '{"__proto__":{"version":1},"version":1,"variants":[]}'),
        line('a', '{"version":1,"variants":[null]}'),
        `inf a ${encoded}\n`,
        `nan a ${encoded}\n`,
        `-1 a ${encoded}\n`,
      ];
      for (const poison of poisons) {
        await place(redis, 'lich:1', poison);
        const look = await tier.look('lich:1', true, never);
        if (look.kind === 'lead') look.lease[Symbol.dispose]();
        if (look.kind === 'variants') assert.ok(look.variants.length <= 64);
        else assert.ok(look.kind === 'lead' || look.kind === 'nothing', look.kind);
        tier.keep('lich:1', sound, LIMITS);
        await lookHaving(tier, 'lich:1', 'Sound and whole.');
      }
      assert.equal(faults.get('slow'), undefined);
      assert.ok((faults.get('malformed') ?? 0) > 0);
    });

    it('is not read when it is of fifty megabytes, and replaced by the next line that is kept', async () => {
      const redis = await start();
      const { tier, faults } = await open(redis);
      await place(redis, 'lich:1', Buffer.alloc(50 * 2 ** 20, line(sound.id, encoded)));
      const lease = leaseOf(await tier.look('lich:1', true, never));
      assert.equal(faults.get('too_large'), 1);
      tier.keep('lich:1', sound, LIMITS);
      lease.landed();
      assert.deepEqual(wordsOf(await lookUntil(tier, 'lich:1', 'variants')), ['Sound and whole.']);
    });

    it('is not read when it is of another type, and replaced', async () => {
      const redis = await start();
      const { tier, faults } = await open(redis);
      await redis.command('RPUSH', `${PREFIX}v:{lich:1}`, 'a', 'b');
      await redis.command('SET', `${PREFIX}f:{lich:1}`, 'no flight');
      assert.deepEqual(await tier.look('lich:1', false, never), { kind: 'nothing' });
      const lease = leaseOf(await tier.look('lich:1', true, never));
      assert.equal(faults.get('wrong_type'), 2);
      tier.keep('lich:1', sound, LIMITS);
      lease.landed();
      assert.deepEqual(wordsOf(await lookUntil(tier, 'lich:1', 'variants')), ['Sound and whole.']);
    });

    it('keeps nothing that is larger than an entry may be', async () => {
      const redis = await start();
      const { tier, faults } = await open(redis, { entryBytesMax: 1_024 });
      tier.keep('lich:1', aVariant('x'.repeat(1_900)), LIMITS);
      while (faults.get('too_large') === undefined) await turnOfLoop();
      for (const words of ['a', 'b', 'c']) tier.keep('lich:1', aVariant(words.repeat(300)), LIMITS);
      await lookHaving(tier, 'lich:1', 'c'.repeat(300));
      assert.deepEqual(wordsOf(await tier.look('lich:1', false, never)), ['c'.repeat(300)]);
    });

    it('is not said when a flight is poisoned', async () => {
      const redis = await start();
      const { tier, faults } = await open(redis);
      const flight = `${PREFIX}f:{lich:1}`;
      const poisons = ['', '{', '{"text":"","source":{}}', `{"text":"${'x'.repeat(20_000)}"}`, '[]', 'null'];
      for (const poison of poisons) {
        await redis.command('DEL', flight);
        await redis.command('HSET', flight, 'id', 'flt_evil', 's0', poison);
        await redis.command('PEXPIRE', flight, 200);
        assert.deepEqual(await hearAll(flightOf(await tier.look('lich:1', true, never))), ['(lost)'], poison);
      }
      assert.ok((faults.get('malformed') ?? 0) > 0);
      for (const id of ['', 'x'.repeat(1_000)]) {
        await redis.command('DEL', flight);
        await redis.command('HSET', flight, 'id', id);
        assert.deepEqual(await tier.look('lich:1', false, never), { kind: 'nothing' });
      }
    });

    it('is not said when somebody speaks into our inbox', async () => {
      const redis = await start();
      const [one, other] = [await open(redis), await open(redis)];
      const channels = (await redis.command('PUBSUB', 'CHANNELS', `${PREFIX}i:*`)) as string[];
      assert.equal(channels.length, 2);
      const lease = leaseOf(await one.tier.look('lich:1', true, never));
      const following = flightOf(await other.tier.look('lich:1', true, never)).follow(0, never);
      lease.said('First.', aSource);
      assert.equal((await following.next()).done, false);
      const id = String(await redis.command('HGET', `${PREFIX}f:{lich:1}`, 'id'));
      for (const message of [
        '',
        ' ',
        'x',
        'flt_other 0 {}',
        id,
        `${id} `,
        `${id} nan {}`,
        `${id} 7 {"text":"a gap"}`,
      ])
        for (const channel of channels) await redis.command('PUBLISH', channel, message);
      lease.said('Second.', aSource);
      const second = await following.next();
      assert.ok(!second.done && second.value.text === 'Second.');
      for (const channel of channels) await redis.command('PUBLISH', channel, `${id} 2 {"text":"lies"}`);
      assert.deepEqual(await following.next(), { done: true, value: 'lost' });
      lease.landed();
    });
  });
});

/** Asks for the lead until it is given. */
async function lookLeading(tier: SharedTier, key: string) {
  for (;;) {
    const look = await tier.look(key, true, never);
    if (look.kind === 'lead') return look.lease;
    await turnOfLoop();
  }
}

async function lookHaving(tier: SharedTier, key: string, words: string): Promise<SharedLook> {
  for (;;) {
    const look = await tier.look(key, false, never);
    if (wordsOf(look)?.includes(words) === true) return look;
    await turnOfLoop();
  }
}
