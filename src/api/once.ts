/**
 * An answer that is given once per Idempotency-Key. What was said is kept as events, less the tokens, so that a retry
 * hears the same reply in either form. An answer that failed, or whose client hung up, is not kept: a retry runs anew.
 */
import { createHash } from 'node:crypto';
import type { DialogueEvent, DialogueRequest } from '../core/dialogue.ts';
import type { IdempotentRequest } from '../core/store.ts';
import type { Services } from './services.ts';
import type { DialogueBody } from './wire.ts';

/** `answer`, at most once for `once`. Throws `idempotency_conflict`, `store_unavailable`, and what `answer` throws. */
export async function* answerOnce(
  services: Services,
  once: IdempotentRequest,
  request: DialogueRequest,
  signal: AbortSignal,
): AsyncGenerator<DialogueEvent> {
  const outcome = await services.idempotency.claim(once, signal);
  if (outcome.kind === 'replay') {
    yield* JSON.parse(outcome.replyJson) as DialogueEvent[];
    return;
  }
  const { claim } = outcome;
  const said: DialogueEvent[] = [];
  let isSettled = false;
  const warn = (error: unknown) =>
    services.log.warn('idempotency.not_kept', { requestId: request.id, reason: String(error) });
  try {
    for await (const event of services.answer(request, signal)) {
      if (event.type !== 'token') said.push(event);
      if (event.type === 'done' && event.outcome.finishReason !== 'interrupted') {
        isSettled = true;
        // The line is already spoken: a store that fails now costs the replay, not the answer.
        await claim.complete(JSON.stringify(said)).catch(warn);
      }
      yield event;
    }
  } finally {
    if (!isSettled) await claim.abandon().catch(warn);
  }
}

/** SHA-256 over all of the body that shapes the answer, whatever the order of its fields; not over its form. */
export function digestOf(body: DialogueBody, modelVersion?: string): string {
  const { stream: _stream, units: _units, ...rest } = body;
  return createHash('sha256')
    .update(JSON.stringify(sorted(modelVersion === undefined ? rest : { ...rest, modelVersion })))
    .digest('hex');
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, sorted(inner)]),
  );
}
