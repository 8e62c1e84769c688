/** The suite of every shared tier on a real server; what a server can do to us is in server-faults.test.ts. */
import { describe, it } from 'node:test';
import { REDIS_MISSING, startRedis } from '../../testing/redis.ts';
import { openTier } from '../../testing/redis-tier.ts';
import { sharedTierConformance } from '../../testing/shared-tier-conformance.ts';

const isThere = await startRedis({ isStarted: false });
await isThere?.[Symbol.asyncDispose]();

describe('the shared tier in a real server', () => {
  if (isThere === null) return it('is the same suite', { skip: REDIS_MISSING }, () => {});
  sharedTierConformance(async (leaseMs) => {
    const redis = await startRedis();
    if (redis === null) throw new Error(REDIS_MISSING);
    return {
      open: async (clock) => (await openTier(redis, { leaseMs }, clock)).tier,
      [Symbol.asyncDispose]: () => redis[Symbol.asyncDispose](),
    };
  }, 30);
});
