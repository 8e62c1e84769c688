/**
 * Tells the ends of jobs: takes what is due from the store, sends it, and comes again later when nobody took it, a
 * bounded number of times. What was taken by a process that died is due again by itself.
 */

import type { Delivery, JobStore } from '../core/job.ts';
import { jobBody } from '../core/job-wire.ts';
import type { Clock, Logger } from '../core/runtime.ts';
import { linkSignals } from '../lib/abort.ts';
import { backoffMs } from './backoff.ts';
import type { Webhooks } from './webhook.ts';

const TICK_MS = 1_000;
const SEND_TIMEOUT_MS = 10_000;
/** Longer than a send can take: due again only when its process died. */
const RETRY_MS = 30_000;
/** With these waits the last attempt comes about six hours after the first. */
const ATTEMPTS_MAX = 9;
const WAITS = { firstMs: 2_000, factor: 5, maxMs: 7_200_000 } as const;

export interface DeliveriesParts {
  readonly store: JobStore;
  readonly webhooks: Webhooks;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Runs until `signal` aborts; then resolves. One at a time: a host that hangs delays others by 10 s at most. */
export async function deliverForever(parts: DeliveriesParts, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      const delivery = await parts.store.claimDelivery(RETRY_MS);
      if (delivery !== null) {
        await deliver(parts, delivery, signal);
        continue;
      }
    } catch (error) {
      if (!signal.aborted) parts.log.warn('webhook.store_away', { reason: String(error) });
    }
    await parts.clock.sleep(TICK_MS, signal).catch(() => {});
  }
}

/** One attempt, and what follows from it. Throws only `store_unavailable`, or the signal's reason. */
async function deliver(
  { store, webhooks, clock, log }: DeliveriesParts,
  { job, attempt }: Delivery,
  signal: AbortSignal,
): Promise<void> {
  using life = linkSignals(signal);
  using timeout = clock.timer(SEND_TIMEOUT_MS, () =>
    life.abort(new Error(`no reply within ${SEND_TIMEOUT_MS} ms`)),
  );
  void timeout;
  try {
    const message = {
      url: job.webhookUrl ?? '',
      id: job.id,
      timestampS: Math.floor(clock.nowMs() / 1_000),
      body: JSON.stringify({
        type: `job.${job.status}`,
        timestamp: job.endedAtMs,
        data: jobBody({ ...job, delivery: null }),
      }),
    };
    await webhooks.send(message, life.signal);
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    const isLast = attempt >= ATTEMPTS_MAX;
    const waitMs = backoffMs(WAITS, attempt - 1);
    log.warn('webhook.failed', {
      job: job.id,
      attempt,
      reason: String(error),
      retryInMs: isLast ? null : waitMs,
    });
    await store.settleDelivery(job.id, false, isLast ? null : clock.nowMs() + waitMs);
    return;
  }
  await store.settleDelivery(job.id, true, null);
  log.info('webhook.delivered', { job: job.id, attempt });
}
