/** A job as games see it: the same words at the door, in its events and in the webhook. Its prompt is not repeated. */
import { hasEnded, type Job } from './job.ts';

/** In wire form: snake case, times as epoch milliseconds, costs in dollars; what is not there yet is left out. */
export function jobBody(job: Job): Readonly<Record<string, unknown>> {
  const { result, failure, request } = job;
  return {
    id: job.id,
    status: job.status,
    ...(request.npcId === null ? {} : { npc_id: request.npcId }),
    tier: request.tier,
    created_at: job.createdAtMs,
    ...(job.startedAtMs === null ? {} : { started_at: job.startedAtMs }),
    ...(job.endedAtMs === null ? {} : { ended_at: job.endedAtMs }),
    ...(result === null
      ? {}
      : {
          result: {
            text: result.text,
            finish_reason: result.finishReason,
            engine: result.engine,
            model: result.model,
            usage: {
              prompt_tokens: result.usage.promptTokens,
              cached_tokens: result.usage.cachedTokens,
              completion_tokens: result.usage.completionTokens,
              cost_usd: result.usage.costMicroUsd / 1_000_000,
            },
          },
        }),
    ...(failure === null ? {} : { error: { ...failure } }),
    ...(job.delivery === null || !hasEnded(job) ? {} : { webhook: job.delivery }),
  };
}
