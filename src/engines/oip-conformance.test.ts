import { setImmediate as turnOfLoop } from 'node:timers/promises';
import type { TensorEngine } from '../core/tensors.ts';
import { DATATYPES } from '../lib/oip/tensor.ts';
import { type OipServer, startOipServer } from '../testing/oip-server.ts';
import { type OpenedTensorEngine, tensorConformance } from '../testing/tensor-conformance.ts';
import { createOipGrpc } from './oip-grpc.ts';
import { createOipHttp, type OipHttpOptions } from './oip-http.ts';
import { createTransport } from './transport.ts';

const JSON_DATATYPES = DATATYPES.filter((datatype) => datatype !== 'FP16' && datatype !== 'BF16');

function opened(
  server: OipServer,
  engine: TensorEngine,
  changes: Partial<OpenedTensorEngine> = {},
): OpenedTensorEngine {
  return {
    engine,
    echo: { model: 'echo', versions: ['1', '2'], datatypes: DATATYPES },
    slow: {
      model: 'endless',
      inputs: [{ name: 'IN', datatype: 'INT32', shape: [1], data: Int32Array.of(1) }],
    },
    endsLate: false,
    controls: true,
    untilStarted: () => untilRunning(server, 1),
    untilIdle: () => untilRunning(server, 0),
    [Symbol.asyncDispose]: async () => {
      await engine[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
    ...changes,
  };
}

async function untilRunning(server: OipServer, count: number): Promise<void> {
  const patience = AbortSignal.timeout(30_000);
  while (server.repository.running !== count) {
    patience.throwIfAborted();
    await turnOfLoop();
  }
}

function http(server: OipServer, encoding: OipHttpOptions['encoding']): TensorEngine {
  return createOipHttp({
    name: 'triton',
    kind: 'triton',
    encoding,
    transport: createTransport({ baseUrl: server.httpUrl, connections: 32, connectTimeoutMs: 5_000 }),
    replyBytesMax: 32_000_000,
  });
}

tensorConformance('The double over HTTP with binary tensors', async () => {
  const server = await startOipServer();
  return opened(server, http(server, 'auto'));
});

tensorConformance('The double over HTTP with JSON tensors', async () => {
  const server = await startOipServer();
  return opened(server, http(server, 'json'), {
    echo: { model: 'echo', versions: ['1', '2'], datatypes: JSON_DATATYPES },
  });
});

tensorConformance('The double over gRPC', async () => {
  const server = await startOipServer();
  return opened(
    server,
    createOipGrpc({
      name: 'triton',
      kind: 'triton',
      baseUrl: server.grpcUrl,
      replyBytesMax: 32_000_000,
      requestBytesMax: 32_000_000,
    }),
    { endsLate: true },
  );
});
