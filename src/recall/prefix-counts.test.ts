import assert from 'node:assert/strict';
import test from 'node:test';
import { anOutcome } from '../testing/a-turn.ts';
import { PrefixCounts } from './prefix-counts.ts';

const outcome = (npcId: string, promptTokens: number, cachedTokens: number) => ({
  outcome: anOutcome({ npcId, usage: { promptTokens, cachedTokens, completionTokens: 9, costMicroUsd: 0 } }),
});

test('prompt tokens are counted by NPC; lines without a prompt are not', () => {
  const counts = new PrefixCounts();
  counts.record(outcome('ilse', 500, 0));
  counts.record(outcome('ilse', 500, 450));
  counts.record(outcome('vey', 300, 300));
  counts.record(outcome('mute', 0, 0));
  counts.record({ outcome: null });
  assert.deepEqual(counts.total, { promptTokens: 1_300, cachedTokens: 750 });
  assert.deepEqual(counts.of('ilse'), { promptTokens: 1_000, cachedTokens: 450 });
  assert.equal(counts.of('mute'), null);
  assert.deepEqual(counts.npcIds, ['ilse', 'vey']);
});

test('NPCs beyond a thousand push out those that were not heard for longest', () => {
  const counts = new PrefixCounts();
  for (let at = 0; at <= 1_000; at++) counts.record(outcome(`npc_${at}`, 10, 5));
  assert.equal(counts.npcIds.length, 1_000);
  assert.equal(counts.of('npc_0'), null);
  assert.equal(counts.total.promptTokens, 10_010);
});
