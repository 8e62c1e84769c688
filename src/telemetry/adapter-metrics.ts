/** What happens to adapters, as series: one event, its counters. */
import type { AdapterEvent } from '../core/adapter-event.ts';
import type { Metrics } from './metrics.ts';

export function recordAdapterEvent(metrics: Metrics, event: AdapterEvent): void {
  switch (event.type) {
    case 'loaded': {
      const { engine } = event;
      metrics.count('greenroom_adapter_loads_total', { engine, result: 'resident' });
      metrics.observe('greenroom_adapter_load_seconds', { engine }, event.loadMs / 1_000);
      metrics.observe('greenroom_adapter_verify_seconds', { engine }, event.verifyMs / 1_000);
      return;
    }
    case 'load-failed': {
      const result = event.isFinal ? 'given up' : 'failed';
      metrics.count('greenroom_adapter_loads_total', { engine: event.engine, result });
      return;
    }
    case 'lost':
      metrics.count('greenroom_adapters_lost_total', { engine: event.engine });
      return;
    case 'swapped':
      metrics.count('greenroom_adapter_swaps_total', { engine: event.engine });
      return;
    case 'resident': {
      const { engine } = event;
      metrics.gauge('greenroom_adapters_resident', { engine }, event.ids.length);
      metrics.gauge('greenroom_adapter_bytes', { engine }, event.bytes);
      metrics.gauge('greenroom_adapter_thrashing', { engine }, event.isThrashing ? 1 : 0);
      return;
    }
    case 'wanted': {
      const { priority } = event;
      metrics.count('greenroom_adapter_wishes_total', { priority, outcome: event.absence ?? 'resident' });
      metrics.observe('greenroom_adapter_wait_seconds', { priority }, event.waitedMs / 1_000);
      return;
    }
    case 'unloaded':
      return;
  }
}
