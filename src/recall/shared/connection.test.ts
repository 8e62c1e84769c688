/** The ways to a real server: TCP, TLS, a database of its own, an account with few rights. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setImmediate as turnOfLoop } from 'node:timers/promises';
import { REDIS_MISSING, startRedis, type TestRedis } from '../../testing/redis.ts';
import { openTier, openTierNow, untilReachable } from '../../testing/redis-tier.ts';
import { selfSigned } from '../../testing/self-signed.ts';
import {
  aSource,
  aVariant,
  flightOf,
  hearAll,
  leaseOf,
  lookUntil,
  wordsOf,
} from '../../testing/shared-tier-conformance.ts';
import type { SharedTier } from '../shared-tier.ts';

const never = new AbortController().signal;
const probe = await startRedis({ isStarted: false });
await probe?.[Symbol.asyncDispose]();

describe('the way to the server', { skip: probe === null ? REDIS_MISSING : false }, () => {
  let redis: TestRedis;
  let plainPort: number;
  let tlsPort: number;
  const folder = mkdtempSync(path.join(tmpdir(), 'greenroom-redis-tls-'));
  const certificate = path.join(folder, 'cert.pem');
  before(async () => {
    const { cert, key } = selfSigned(Date.now());
    const keyFile = path.join(folder, 'key.pem');
    writeFileSync(certificate, cert);
    writeFileSync(keyFile, key);
    [plainPort, tlsPort] = await Promise.all([freePort(), freePort()]);
    const plain = ['--bind', '127.0.0.1', '--port', String(plainPort)];
    const tls = ['--tls-port', String(tlsPort), '--tls-cert-file', certificate, '--tls-key-file', keyFile];
    const started = await startRedis({ settings: [...plain, ...tls, '--tls-auth-clients', 'no'] });
    assert.ok(started);
    redis = started;
  });
  after(async () => {
    await redis[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  it('is TCP', async () => {
    const { tier } = await openTier({ url: `redis://127.0.0.1:${plainPort}` });
    await using _closing = tier;
    await keepsAndFlies(tier, 'lich:tcp');
  });

  it('is TLS with an authority that is named, and no other', async () => {
    const url = `rediss://127.0.0.1:${tlsPort}`;
    const { tier } = await openTier({ url }, { caFile: certificate });
    await using _closing = tier;
    await keepsAndFlies(tier, 'lich:tls');
    const stranger = openTierNow({ url });
    await using _other = stranger.tier;
    while (stranger.lines.length === 0) await turnOfLoop();
    assert.match(stranger.lines[0] ?? '', /"fault":"unreachable".*CERT/u);
    assert.deepEqual(await stranger.tier.look('lich:tls', false, never), { kind: 'away' });
  });

  it('leads to the database that the address names', async () => {
    const [third, first] = [await openTier({ url: `${redis.url}#3` }), await openTier(redis)];
    await using one = third.tier;
    await using other = first.tier;
    await keepsAndFlies(one, 'lich:third');
    assert.deepEqual(await other.look('lich:third', false, never), { kind: 'nothing' });
  });

  it('needs no more rights than over its own keys and channels', async () => {
    const rights = [
      '~greenroom:recall:*',
      '&greenroom:recall:*',
      '-@all',
      '+@read',
      '+@write',
      '-@dangerous',
    ];
    const few = [
      '+evalsha',
      '+eval',
      '+script|load',
      '+publish',
      '+subscribe',
      '+scan',
      '+time',
      '+ping',
      '+client|setname',
    ];
    await redis.command('ACL', 'SETUSER', 'game', 'on', '>pass', ...rights, ...few);
    const url = `redis://game:pass@127.0.0.1:${plainPort}`;
    const { tier, faults } = await openTier({ url });
    await using _closing = tier;
    await keepsAndFlies(tier, 'lich:few');
    assert.equal(await tier.forget('lich', never), 3);
    assert.equal(faults.size, 0);
    const elsewhere = openTierNow({ url }, { keyPrefix: 'other:' });
    await using _other = elsewhere.tier;
    while (!elsewhere.lines.some((line) => line.includes('refused'))) {
      await elsewhere.tier.look('lich:few', true, never);
      await turnOfLoop();
    }
  });

  it('keeps studios apart that share a server', async () => {
    const [mine, theirs] = [
      await openTier(redis, { keyPrefix: 'a:' }),
      await openTier(redis, { keyPrefix: 'b:' }),
    ];
    await using one = mine.tier;
    await using other = theirs.tier;
    await keepsAndFlies(one, 'lich:shared');
    assert.deepEqual(await other.look('lich:shared', false, never), { kind: 'nothing' });
    assert.equal(await other.forget(null, never), 0);
    assert.equal(await one.forget(null, never), 1);
    await untilReachable(one);
  });
});

async function keepsAndFlies(tier: SharedTier, key: string): Promise<void> {
  const lease = leaseOf(await tier.look(key, true, never));
  const heard = hearAll(flightOf(await tier.look(key, true, never)));
  lease.said('Well met.', aSource);
  tier.keep(key, aVariant('Well met.'), { variantsMax: 4, ttlMs: 60_000 });
  lease.landed();
  assert.deepEqual(await heard, ['Well met.', '(landed)']);
  assert.deepEqual(wordsOf(await lookUntil(tier, key, 'variants')), ['Well met.']);
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}
