/** The shared tier on a real server, as tests open it: patient, for the machine is shared, and with all that it tells kept. */
import { setImmediate as turnOfLoop } from 'node:timers/promises';
import type { Clock, LogFields } from '../core/runtime.ts';
import { sharedAddress } from '../recall/shared/address.ts';
import type { SharedFault } from '../recall/shared/faults.ts';
import { sharedRecallOptionsSchema } from '../recall/shared/options.ts';
import { openSharedTier } from '../recall/shared/tier.ts';
import type { SharedTier } from '../recall/shared-tier.ts';
import { realRuntime } from '../runtime.ts';
import type { TestRedis } from './redis.ts';

export interface TestTier {
  readonly tier: SharedTier;
  /** How often each fault was counted. */
  readonly faults: Map<SharedFault, number>;
  /** Lines of the log: event and fields as JSON. */
  readonly lines: string[];
}

/** Opens at once, reachable or not. */
export function openTierNow(
  redis: Pick<TestRedis, 'url'>,
  options: object = {},
  clock?: Clock,
  environment: Readonly<Record<string, string>> = {},
): TestTier {
  const parsed = sharedRecallOptionsSchema.parse({ url: redis.url, waitMs: 1_000, ...options });
  const address = sharedAddress(parsed, environment);
  if (address === null) throw new Error('no address');
  const faults = new Map<SharedFault, number>();
  const lines: string[] = [];
  const write = (event: string, fields: LogFields = {}) => {
    lines.push(`${event} ${JSON.stringify(fields)}`);
  };
  const tier = openSharedTier(parsed, address, {
    clock: clock ?? realRuntime.clock,
    random: realRuntime.random,
    log: { info: write, warn: write },
    onFault: (fault) => faults.set(fault, (faults.get(fault) ?? 0) + 1),
  });
  return { tier, faults, lines };
}

/** Resolves when it can be reached. */
export async function openTier(
  redis: Pick<TestRedis, 'url'>,
  options: object = {},
  clock?: Clock,
): Promise<TestTier> {
  const opened = openTierNow(redis, options, clock);
  await untilReachable(opened.tier);
  return opened;
}

export async function untilReachable(tier: SharedTier): Promise<void> {
  while (!tier.isReachable) await turnOfLoop();
}
