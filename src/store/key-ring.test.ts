import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import { setImmediate as turnOfLoop } from 'node:timers/promises';
import { ServiceError } from '../core/errors.ts';
import { silentLogger } from '../telemetry/log.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { rejectsWith } from '../testing/store-conformance.ts';
import { KeyRing, type StoredKey } from './key-ring.ts';

const hash = (secret: string) => createHash('sha256').update(secret).digest();
const stored = (id: string): StoredKey => ({
  key: { id, label: id, scopes: ['game'], createdAtMs: 0, lastUsedAtMs: null, revokedAtMs: null },
  secretHash: hash(id),
});

function ring(load: () => Promise<readonly StoredKey[]>) {
  const clock = new ManualClock();
  const marked: string[] = [];
  const controller = new AbortController();
  const keys = new KeyRing({
    clock,
    log: silentLogger,
    closing: controller.signal,
    load,
    markUsed: (id) => {
      marked.push(id);
      return Promise.resolve();
    },
  });
  return {
    clock,
    marked,
    keys,
    close: async () => {
      controller.abort(new ServiceError('store_unavailable', 'closed'));
      await keys.ended();
    },
  };
}

describe('keys in memory', () => {
  it('read the store a few times a second at most, however many tokens are guessed', async () => {
    let reads = 0;
    const { keys, clock, close } = ring(() => {
      reads += 1;
      return Promise.resolve([stored('a')]);
    });
    assert.equal((await keys.find('a', hash('a')))?.id, 'a');
    const guesses = Array.from({ length: 1_000 }, (_, i) => keys.find(`guess${i}`, hash('a')));
    for (let tick = 0; tick < 10; tick += 1) {
      clock.advance(100);
      await turnOfLoop();
    }
    assert.ok((await Promise.all(guesses)).every((key) => key === null));
    assert.ok(reads <= 6, `${reads} reads in a second`);
    await close();
  });

  it('go on with the last good list while the store is away, and know that they do not know', async () => {
    let isAway = false;
    const { keys, clock, close } = ring(() =>
      isAway ? Promise.reject(new ServiceError('store_unavailable', 'away')) : Promise.resolve([stored('a')]),
    );
    assert.notEqual(await keys.find('a', hash('a')), null);
    isAway = true;
    for (let minute = 0; minute < 30; minute += 1) {
      clock.advance(60_000);
      await turnOfLoop();
    }
    assert.notEqual(await keys.find('a', hash('a')), null);
    await rejectsWith('store_unavailable', keys.find('b', hash('b')));
    await close();
  });

  it('do not take a list that was read before a change for the newest', async () => {
    const lists = [[stored('a')], []];
    const first = Promise.withResolvers<void>();
    let reads = 0;
    const { keys, close } = ring(async () => {
      const list = lists[Math.min(reads++, 1)] ?? [];
      if (reads === 1) await first.promise;
      return list;
    });
    const finding = keys.find('a', hash('a'));
    await turnOfLoop();
    keys.forget();
    first.resolve();
    assert.equal(await finding, null);
    assert.equal(reads, 2);
    await close();
  });

  it('write the use of a busy key once a minute', async () => {
    const { keys, clock, marked, close } = ring(() => Promise.resolve([stored('a')]));
    for (let second = 0; second < 130; second += 1) {
      await keys.find('a', hash('a'));
      clock.advance(1_000);
      await turnOfLoop();
    }
    assert.ok(marked.length >= 2 && marked.length <= 4, `${marked.length} writes in 130 seconds`);
    await close();
  });
});
