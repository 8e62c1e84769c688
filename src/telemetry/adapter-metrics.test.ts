import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AdapterEvent } from '../core/adapter-event.ts';
import { recordAdapterEvent } from './adapter-metrics.ts';
import { Metrics } from './metrics.ts';

test('what happens to adapters is counted', async () => {
  using metrics = new Metrics();
  const engine = 'gpu-1';
  const id = 'lich@7';
  const events: readonly AdapterEvent[] = [
    { type: 'loaded', engine, id, payer: 'publish', loadMs: 300, verifyMs: 20 },
    { type: 'load-failed', engine, id, reason: 'it answers as the base does', isFinal: false },
    { type: 'load-failed', engine, id, reason: 'it answers as the base does', isFinal: true },
    { type: 'swapped', engine, isThrashing: false },
    { type: 'lost', engine, id },
    { type: 'unloaded', engine, id, reason: 'not published' },
    { type: 'resident', engine, ids: ['lich@7', 'ghoul@1', 'zombie@1'], bytes: 4_096, isThrashing: true },
    { type: 'wanted', priority: 'interactive', absence: null, waitedMs: 0 },
    { type: 'wanted', priority: 'interactive', absence: 'loading', waitedMs: 800 },
  ];
  for (const event of events) recordAdapterEvent(metrics, event);
  const { text } = await metrics.expose();
  for (const line of [
    'greenroom_adapter_loads_total{engine="gpu-1",result="resident"} 1',
    'greenroom_adapter_loads_total{engine="gpu-1",result="failed"} 1',
    'greenroom_adapter_loads_total{engine="gpu-1",result="given up"} 1',
    'greenroom_adapter_load_seconds_sum{engine="gpu-1"} 0.3',
    'greenroom_adapter_verify_seconds_sum{engine="gpu-1"} 0.02',
    'greenroom_adapter_swaps_total{engine="gpu-1"} 1',
    'greenroom_adapters_lost_total{engine="gpu-1"} 1',
    'greenroom_adapters_resident{engine="gpu-1"} 3',
    'greenroom_adapter_bytes{engine="gpu-1"} 4096',
    'greenroom_adapter_thrashing{engine="gpu-1"} 1',
    'greenroom_adapter_wishes_total{priority="interactive",outcome="resident"} 1',
    'greenroom_adapter_wishes_total{priority="interactive",outcome="loading"} 1',
    'greenroom_adapter_wait_seconds_sum{priority="interactive"} 0.8',
  ])
    assert.ok(text.includes(line), line);
});
