/** Turn → metrics: the one place where a finished dialogue becomes series. */
import type { AttemptRecord, Turn, TurnSink } from '../core/turn.ts';
import type { Metrics } from './metrics.ts';

/** NPCs with series of their own. */
const NPC_LABELS_MAX = 200;

export function turnMetrics(metrics: Metrics): TurnSink {
  const npcs = new Set<string>();
  const npcLabel = (npcId: string) => {
    if (npcs.size < NPC_LABELS_MAX) npcs.add(npcId);
    return npcs.has(npcId) ? npcId : 'other';
  };
  return {
    record(turn: Turn): void {
      for (const hit of turn.guardHits)
        metrics.count('greenroom_guard_hits_total', { rule: hit.rule, outcome: hit.outcome });
      const { outcome } = turn;
      const costTier = String(outcome?.tier ?? turn.request.tier ?? 'none');
      for (const attempt of turn.attempts) countAttempt(metrics, attempt, costTier);
      if (outcome === null) {
        const tier = String(turn.request.tier ?? 'none');
        metrics.count('greenroom_dialogues_total', {
          tier,
          source: 'none',
          finish: turn.error ?? 'internal',
        });
        return;
      }
      const tier = String(outcome.tier);
      const source = outcome.source.kind;
      metrics.count('greenroom_dialogues_total', { tier, source, finish: outcome.finishReason });
      if (outcome.unspoken !== undefined) {
        // Nothing was said, so nothing took time.
        metrics.count('greenroom_events_unspoken_total', { reason: outcome.unspoken.reason });
        return;
      }
      metrics.observe('greenroom_dialogue_duration_seconds', { tier, source }, outcome.timing.totalMs / 1000);
      if (outcome.timing.ttftMs !== null)
        metrics.observe('greenroom_time_to_first_token_seconds', { tier }, outcome.timing.ttftMs / 1000);
      if (outcome.timing.ttfsMs !== null) {
        metrics.observe(
          'greenroom_time_to_first_sentence_seconds',
          { tier, source },
          outcome.timing.ttfsMs / 1000,
        );
      }
      metrics.count('greenroom_prompt_tokens_total', { tier }, outcome.usage.promptTokens);
      metrics.count('greenroom_cached_tokens_total', { tier }, outcome.usage.cachedTokens);
      const npc = npcLabel(outcome.npcId);
      metrics.count('greenroom_prefix_prompt_tokens_total', { npc }, outcome.usage.promptTokens);
      metrics.count('greenroom_prefix_cached_tokens_total', { npc }, outcome.usage.cachedTokens);
      metrics.count('greenroom_completion_tokens_total', { tier }, outcome.usage.completionTokens);
      if (outcome.source.leanPrompt === true) metrics.count('greenroom_lean_prompts_total', { tier });
      if (outcome.source.cause !== undefined)
        metrics.count('greenroom_fallbacks_total', { tier, cause: outcome.source.cause });
    },
  };
}

/** One call of an engine, for a dialogue or for a job. */
export function countAttempt(metrics: Metrics, attempt: AttemptRecord, tier: string): void {
  const { engine, result, costMicroUsd } = attempt;
  metrics.count('greenroom_attempts_total', { engine, result });
  metrics.count('greenroom_attempt_cost_usd_total', { engine, tier }, costMicroUsd / 1e6);
}
