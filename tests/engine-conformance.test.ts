/** The real embedded engine, in its own process, behind the gateway's own driver and transport, as an engine. */
import { createTransport } from '../src/engines/transport.ts';
import { createVllm } from '../src/engines/vllm.ts';
import { engineConformance } from '../src/testing/engine-conformance.ts';
import { MODEL_NAME, modelMissing, startEngine } from './engine-harness.ts';

engineConformance(
  'The embedded engine',
  async () => {
    const running = await startEngine({ threads: 1, sequences: 4 });
    const transport = createTransport({
      baseUrl: running.baseUrl,
      connections: 16,
      connectTimeoutMs: 5_000,
    });
    return {
      engine: createVllm({ name: 'local', kind: 'embedded', transport: () => transport }),
      model: MODEL_NAME,
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
