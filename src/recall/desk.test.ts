import assert from 'node:assert/strict';
import test from 'node:test';
import { ServiceError } from '../core/errors.ts';
import { aRecallHouse } from '../testing/recall-desk.ts';

const never = new AbortController().signal;

test('the report sums up in all and by NPC, those who saved most first', () => {
  const { desk, heard, generated, keep, clock } = aRecallHouse();
  heard('vey', 'miss');
  heard('ilse', 'miss');
  heard('ilse', 'hit', 700);
  heard('ilse', 'hit', 300);
  heard('ilse', 'joined');
  heard('vey', 'bypass');
  generated('ilse', 450);
  generated('mordane', 100);
  keep('ilse', 'who');
  clock.advance(60_000);
  const report = desk.report(100);
  assert.deepEqual(report.total, {
    ...{ hits: 2, joined: 1, misses: 2, bypassed: 1 },
    ...{ promptTokens: 800, completionTokens: 60, costMicroUsd: 1_000, waitMs: 2_400 },
  });
  assert.deepEqual(
    report.npcs.map(({ npcId, saved, prefix }) => [npcId, saved.hits, prefix.cachedTokens]),
    [
      ['ilse', 2, 450],
      ['vey', 0, 0],
      ['mordane', 0, 100],
    ],
  );
  assert.equal(report.recent.windowMs, 60_000);
  assert.equal(report.state.keys, 1);
  assert.equal(report.rules.sharedWaitMs, null);
  const short = desk.report(1);
  assert.equal(short.npcs.length, 1);
  assert.equal(short.npcsKnown, 3);
});

test('what one NPC said is forgotten, or what everybody said; a wrong id names near ones', async () => {
  const { desk, keep } = aRecallHouse();
  keep('ilse', 'who');
  keep('ilse', 'why');
  keep('vey', 'who');
  await assert.rejects(
    desk.forget('ilsa', never),
    (error) =>
      error instanceof ServiceError &&
      error.code === 'unknown_npc' &&
      error.message.includes('did you mean ilse?'),
  );
  assert.equal(desk.report(0).state.keys, 3);
  assert.equal(await desk.forget('ilse', never), 2);
  assert.equal(desk.report(0).state.keys, 1);
  assert.equal(await desk.forget(null, never), 1);
  assert.deepEqual(desk.report(0).state.bytes, 0);
});
