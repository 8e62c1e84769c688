/** The real embedded engine, in its own process, behind the gateway's own driver and transport, as an engine. */
import { DRIVERS } from '../src/engines/index.ts';
import { createTransport } from '../src/engines/transport.ts';
import { engineConformance, occupy } from '../src/testing/engine-conformance.ts';
import { MODEL_NAME, modelMissing, startEngine } from './engine-harness.ts';

const SEQUENCES = 4;

engineConformance(
  'The embedded engine',
  async () => {
    const running = await startEngine({ threads: 1, sequences: SEQUENCES });
    const transport = createTransport({
      baseUrl: running.baseUrl,
      connections: 16,
      connectTimeoutMs: 5_000,
    });
    const driver = DRIVERS.vllm.create({
      name: 'local',
      model: MODEL_NAME,
      options: DRIVERS.vllm.options.parse({}),
      transport: () => transport,
    });
    return {
      ...driver,
      model: MODEL_NAME,
      hold: async (phase) =>
        phase === 'queued' ? await occupy({ ...driver, model: MODEL_NAME }, SEQUENCES) : null,
      untilIdle: async () => {
        await running.untilMetric('vllm:num_requests_running', 0);
        await running.untilMetric('vllm:num_requests_waiting', 0);
      },
      [Symbol.asyncDispose]: async () => {
        await transport[Symbol.asyncDispose]();
        await running[Symbol.asyncDispose]();
      },
    };
  },
  { skip: modelMissing },
);
