/** The dialogue cache → metrics. */
import type { RecallEvent, RecallState } from '../core/recall.ts';
import type { Metrics } from './metrics.ts';

export function recordRecallEvent(metrics: Metrics, { outcome, kind, saved }: RecallEvent): void {
  metrics.count('greenroom_recall_lines_total', { outcome, kind });
  if (saved === null) return;
  metrics.count('greenroom_recall_saved_usd_total', {}, saved.costMicroUsd / 1e6);
  metrics.count('greenroom_recall_saved_tokens_total', { direction: 'prompt' }, saved.promptTokens);
  metrics.count('greenroom_recall_saved_tokens_total', { direction: 'completion' }, saved.completionTokens);
  metrics.count('greenroom_recall_saved_wait_seconds_total', {}, saved.ttfsMs / 1_000);
}

export function observeRecall(metrics: Metrics, state: RecallState): void {
  metrics.gauge('greenroom_recall_bytes', {}, state.bytes);
  metrics.gauge('greenroom_recall_variants', {}, state.variants);
  metrics.gauge('greenroom_recall_keys', {}, state.keys);
  metrics.gauge('greenroom_recall_evictions', {}, state.evictions);
  metrics.gauge('greenroom_recall_flights', {}, state.flights);
  const isReachable = state.isSharedReachable;
  if (isReachable !== null) metrics.gauge('greenroom_recall_shared_reachable', {}, isReachable ? 1 : 0);
}
