/** Adapters on the real embedded engine, in its own process, through the gateway's own driver: the suite of every engine. */
import assert from 'node:assert/strict';
import { DRIVERS } from '../../src/engines/index.ts';
import { adapterConformance } from '../../src/testing/adapter-conformance.ts';
import { openDriver } from '../../src/testing/driver-harness.ts';
import { stagedAdapters } from '../../src/testing/staged-adapters.ts';
import { MODEL_NAME, modelMissing, startEngine } from '../engine-harness.ts';

const RANK_MAX = 32;

adapterConformance(
  'The embedded engine',
  async () => {
    await using parts = new AsyncDisposableStack();
    const staged = parts.use(await stagedAdapters());
    const running = parts.use(
      await startEngine({ threads: 1, sequences: 4, adapterSlots: 4, adapterRankMax: RANK_MAX }),
    );
    const driver = parts.use(openDriver(DRIVERS.vllm, running.baseUrl, {}, { model: MODEL_NAME }));
    assert.ok(driver.adapters !== undefined);
    const owned = parts.move();
    return {
      engine: driver.engine,
      adapters: driver.adapters,
      model: MODEL_NAME,
      good: [await staged.word('amber'), await staged.word('basalt'), await staged.seeded('ghoul', 3)],
      missing: staged.missing('nobody'),
      tooLarge: await staged.seeded('wide', 4, 2 * RANK_MAX),
      [Symbol.asyncDispose]: () => owned.disposeAsync(),
    };
  },
  { skip: modelMissing },
);
