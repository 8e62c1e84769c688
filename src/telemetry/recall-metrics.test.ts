import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RecallState } from '../core/recall.ts';
import { Metrics } from './metrics.ts';
import { observeRecall, recordRecallEvent } from './recall-metrics.ts';

const STATE: RecallState = {
  bytes: 4_096,
  keys: 3,
  variants: 5,
  evictions: 2,
  flights: 1,
  isSharedReachable: null,
};

test('lines are counted by outcome and kind, and what saying them again saved', async () => {
  using metrics = new Metrics();
  const npc = { npcId: 'ilse', kind: 'vampire' };
  const saved = { promptTokens: 400, completionTokens: 30, costMicroUsd: 1_500_000, ttfsMs: 250 };
  recordRecallEvent(metrics, { ...npc, outcome: 'miss', saved: null });
  recordRecallEvent(metrics, { ...npc, outcome: 'hit', saved });
  recordRecallEvent(metrics, { ...npc, outcome: 'shared_hit', saved });
  const { text } = await metrics.expose();
  for (const line of [
    'greenroom_recall_lines_total{outcome="miss",kind="vampire"} 1',
    'greenroom_recall_lines_total{outcome="hit",kind="vampire"} 1',
    'greenroom_recall_lines_total{outcome="shared_hit",kind="vampire"} 1',
    'greenroom_recall_saved_usd_total 3',
    'greenroom_recall_saved_tokens_total{direction="prompt"} 800',
    'greenroom_recall_saved_tokens_total{direction="completion"} 60',
    'greenroom_recall_saved_wait_seconds_total 0.5',
  ])
    assert.ok(text.includes(line), line);
  assert.ok(!text.includes('ilse'), 'players name NPCs; series must stay bounded');
});

test('how full it is stands in gauges; whether the shared tier answers only where there is one', async () => {
  using metrics = new Metrics();
  observeRecall(metrics, STATE);
  const alone = (await metrics.expose()).text;
  for (const line of [
    'greenroom_recall_bytes 4096',
    'greenroom_recall_keys 3',
    'greenroom_recall_variants 5',
    'greenroom_recall_evictions 2',
    'greenroom_recall_flights 1',
  ])
    assert.ok(alone.includes(line), line);
  assert.doesNotMatch(alone, /^greenroom_recall_shared_reachable [01]/m);
  observeRecall(metrics, { ...STATE, isSharedReachable: false });
  assert.match((await metrics.expose()).text, /^greenroom_recall_shared_reachable 0$/m);
});
