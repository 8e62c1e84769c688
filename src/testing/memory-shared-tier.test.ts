import { describe } from 'node:test';
import { realRuntime } from '../runtime.ts';
import { MemorySharedServer } from './memory-shared-tier.ts';
import { sharedTierConformance } from './shared-tier-conformance.ts';

describe('the shared tier of one process', () => {
  sharedTierConformance((leaseMs) => {
    const server = new MemorySharedServer({ clock: realRuntime.clock, leaseMs });
    return Promise.resolve({
      open: (clock) => Promise.resolve(server.open(clock)),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    });
  }, 50);
});
