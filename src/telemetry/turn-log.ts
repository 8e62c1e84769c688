/** Turn → one log line at info: figures and provenance, never a word of what was said. */
import type { Logger } from '../core/runtime.ts';
import type { Turn, TurnSink } from '../core/turn.ts';

export function turnLog(log: Logger): TurnSink {
  return {
    record({ request, outcome, error, guardHits, attempts }: Turn): void {
      const base = { requestId: request.id, npcId: request.npcId };
      if (outcome === null) {
        log.warn('turn.failed', { ...base, code: error, attempts });
        return;
      }
      log.info('turn.finished', {
        ...base,
        tier: outcome.tier,
        source: outcome.source.kind,
        engine: outcome.source.engine,
        rung: outcome.source.rung,
        ...(outcome.source.cause === undefined ? {} : { cause: outcome.source.cause }),
        finish: outcome.finishReason,
        sentences: outcome.sentences.length,
        promptTokens: outcome.usage.promptTokens,
        cachedTokens: outcome.usage.cachedTokens,
        completionTokens: outcome.usage.completionTokens,
        ...(outcome.usage.costMicroUsd === 0 ? {} : { costMicroUsd: outcome.usage.costMicroUsd }),
        ttftMs: outcome.timing.ttftMs,
        ttfsMs: outcome.timing.ttfsMs,
        totalMs: outcome.timing.totalMs,
        // Why it was not the first engine: who was asked, and how it ended.
        ...(outcome.source.cause === undefined || attempts.length === 0
          ? {}
          : {
              attempts: attempts.map(
                ({ engine, result, durationMs }) => `${engine}:${result}:${durationMs}ms`,
              ),
            }),
        ...(guardHits.length === 0 ? {} : { guard: guardHits.map((hit) => `${hit.rule}:${hit.outcome}`) }),
      });
    },
  };
}
