/** The double of a tensor server behind the real lanes and the real doors, all gone at the end of the test. */
import type { ShortWork } from '../api/short-work.ts';
import { embeddingModelsSchema, pathsSchema, visionSchema } from '../api/short-work-options.ts';
import { createTensorEngine } from '../engines/oip.ts';
import { oipOptionsSchema } from '../engines/oip-options.ts';
import { TensorLanes } from '../routing/lanes.ts';
import { realRuntime } from '../runtime.ts';
import { type DoorHarness, doorHarness, type HarnessOptions } from './door-harness.ts';
import type { FakeOptions } from './fake-services.ts';
import { type OipServer, startOipServer } from './oip-server.ts';

export interface ShortWorkHarness extends AsyncDisposable {
  readonly server: OipServer;
  readonly door: DoorHarness;
}

export interface ShortWorkHarnessOptions {
  readonly protocol?: 'http' | 'grpc';
  readonly timeoutMs?: number;
  readonly maxInFlight?: number;
  readonly maxQueued?: number;
  readonly vision?: unknown;
  readonly paths?: unknown;
  readonly passThrough?: FakeOptions['passThrough'];
  readonly door?: HarnessOptions;
}

export async function shortWorkHarness(options: ShortWorkHarnessOptions = {}): Promise<ShortWorkHarness> {
  const server = await startOipServer();
  const protocol = options.protocol ?? 'http';
  const { kind, models, ...oip } = oipOptionsSchema.parse({
    kind: 'triton',
    protocol,
    baseUrl: protocol === 'grpc' ? server.grpcUrl : server.httpUrl,
    timeoutMs: options.timeoutMs ?? 30_000,
    maxInFlight: options.maxInFlight,
    maxQueued: options.maxQueued,
  });
  const engine = createTensorEngine('double', { kind, models, ...oip }, { apiKey: null });
  const lanes = new TensorLanes([{ ...oip, engine, models }], realRuntime.clock);
  const shortWork: ShortWork = {
    routes: lanes.routes,
    find: (model, signal) => lanes.find(model, signal),
    index: (signal) => lanes.index(signal),
    forget: () => lanes.forget(),
    embeddings: embeddingModelsSchema.parse({ embed: {} }),
    vision: visionSchema.parse(options.vision),
    paths: pathsSchema.parse(options.paths),
  };
  const door = await doorHarness(
    { shortWork, ...(options.passThrough === undefined ? {} : { passThrough: options.passThrough }) },
    options.door,
  );
  return {
    server,
    door,
    [Symbol.asyncDispose]: async () => {
      await door[Symbol.asyncDispose]();
      await engine[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}
