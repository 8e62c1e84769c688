/**
 * A real NVIDIA Triton on this machine's processor: the suite of every engine of tensors over HTTP (bytes and JSON) and
 * gRPC, its full queue, and the doors before it with a real embedding model and a classifier.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { openEngine } from '../../scripts/engines/frame.ts';
import { triton } from '../../scripts/engines/triton.ts';
import type { ShortWork } from '../../src/api/short-work.ts';
import { embeddingModelsSchema, pathsSchema, visionSchema } from '../../src/api/short-work-options.ts';
import { ServiceError } from '../../src/core/errors.ts';
import type { InferRequest, TensorEngine } from '../../src/core/tensors.ts';
import { createTensorEngine } from '../../src/engines/oip.ts';
import { type OipOptions, oipOptionsSchema } from '../../src/engines/oip-options.ts';
import { DATATYPES } from '../../src/lib/oip/tensor.ts';
import { TensorLanes } from '../../src/routing/lanes.ts';
import { realRuntime } from '../../src/runtime.ts';
import { type DoorHarness, doorHarness } from '../../src/testing/door-harness.ts';
import { pngOf } from '../../src/testing/png.ts';
import { type OpenedTensorEngine, tensorConformance } from '../../src/testing/tensor-conformance.ts';
import { skipUnlessAsked } from './when-asked.ts';

const skip = skipUnlessAsked(triton, 2);
const never = new AbortController().signal;
const LIFE_MS = 180_000;
/** Over HTTP Triton ends the work of a caller that left, so its longest is short. */
const SLOW_MS = { http: 2_000, grpc: 120_000 } as const;

type Running = Awaited<ReturnType<typeof openEngine>>;

function options(server: Running, changes: Partial<OipOptions>): OipOptions {
  const isGrpc = changes.protocol === 'grpc';
  const { hostname, port } = new URL(server.origin);
  const baseUrl = `http://${hostname}:${Number(port) + (isGrpc ? 1 : 0)}`;
  return oipOptionsSchema.parse({ kind: 'triton', baseUrl, timeoutMs: 20_000, ...changes });
}

const patience = (milliseconds: number): InferRequest => ({
  model: 'patience',
  inputs: [{ name: 'MILLISECONDS', datatype: 'INT32', shape: [1, 1], data: Int32Array.of(milliseconds) }],
});

/** The model has one instance, so a request with no time to wait ends late exactly while another runs. */
async function untilBusy(engine: TensorEngine): Promise<void> {
  for (;;)
    try {
      await engine.infer({ ...patience(0), timeoutMs: 30 }, never);
    } catch (error) {
      if (error instanceof ServiceError && error.code === 'deadline_exceeded') return;
      throw error;
    }
}

async function opened(changes: Partial<OipOptions>): Promise<OpenedTensorEngine> {
  const server = await openEngine(triton, { lifeMs: LIFE_MS }, never);
  const engine = createTensorEngine('triton', options(server, changes), { apiKey: null });
  const isGrpc = changes.protocol === 'grpc';
  // The backend for Python has no BF16; JSON has no FP16.
  const left = changes.encoding === 'json' ? ['BF16', 'FP16'] : ['BF16'];
  return {
    engine,
    echo: {
      model: 'echo',
      versions: ['1', '2'],
      datatypes: DATATYPES.filter((datatype) => !left.includes(datatype)),
    },
    slow: patience(SLOW_MS[isGrpc ? 'grpc' : 'http']),
    endsLate: true,
    controls: true,
    untilStarted: () => untilBusy(engine),
    // Over gRPC far less than the work itself would take: it was stopped.
    untilIdle: async () => {
      await engine.infer({ ...patience(0), timeoutMs: 20_000 }, never);
    },
    [Symbol.asyncDispose]: async () => {
      await engine[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

tensorConformance('Triton over HTTP with binary tensors', () => opened({}), { skip });
tensorConformance('Triton over HTTP with JSON tensors', () => opened({ encoding: 'json' }), { skip });
tensorConformance('Triton over gRPC', () => opened({ protocol: 'grpc' }), { skip });

describe('the doors before a real Triton', { skip }, () => {
  let server: Running;
  let engine: TensorEngine;
  let door: DoorHarness;
  before(async () => {
    server = await openEngine(triton, { lifeMs: LIFE_MS }, never);
    const { models, ...lane } = options(server, { protocol: 'grpc' });
    engine = createTensorEngine('triton', { models, ...lane }, { apiKey: null });
    const lanes = new TensorLanes([{ ...lane, engine, models }], realRuntime.clock);
    const shortWork: ShortWork = {
      routes: lanes.routes,
      find: (model, signal) => lanes.find(model, signal),
      index: (signal) => lanes.index(signal),
      forget: () => lanes.forget(),
      embeddings: embeddingModelsSchema.parse({ minilm: { tokens: 'TOKENS' } }),
      vision: visionSchema.parse({
        'scene-light': {
          model: 'scene-light',
          input: { form: 'pixels' },
          labels: ['daylight', 'firelight', 'moonlight', 'darkness'],
        },
      }),
      paths: pathsSchema.parse({ '/api/v1/embeddings': { model: 'minilm' } }),
    };
    door = await doorHarness({ shortWork });
  });
  after(async () => {
    await door?.[Symbol.asyncDispose]();
    await engine?.[Symbol.asyncDispose]();
    await server?.[Symbol.asyncDispose]();
  });

  it('texts that mean the same lie closer than texts that do not', async () => {
    const input = [
      'The vampire drinks blood.',
      'A bloodsucker feeds at night.',
      'The tax form is due in April.',
    ];
    const reply = await door.post('/api/v1/embeddings', { input });
    assert.equal(reply.status, 200);
    const { data, model, usage } = (await reply.json()) as {
      data: { embedding: number[] }[];
      model: string;
      usage: { prompt_tokens: number };
    };
    const [one, same, other] = data.map(({ embedding }) => embedding) as [number[], number[], number[]];
    const cosine = (a: number[], b: number[]) => a.reduce((sum, value, at) => sum + value * (b[at] ?? 0), 0);
    assert.equal(one.length, 384);
    assert.equal(model, 'minilm@1');
    assert.ok(usage.prompt_tokens > 15);
    assert.ok(
      cosine(one, same) > cosine(one, other) + 0.2,
      `${cosine(one, same)} against ${cosine(one, other)}`,
    );
    const version = await door.post('/api/v1/embeddings', { input }, { 'x-model-version': '7' });
    assert.equal(version.status, 404);
    assert.match(((await version.json()) as { detail: string }).detail, /no version "7"; there is 1/);
  });

  it('a screenshot of a camp fire is firelight', async () => {
    const rgb = new Uint8Array(32 * 32 * 3).map((_none, at) => [210, 90, 20][at % 3] ?? 0);
    const reply = await fetch(`${door.url}/v1/vision/scene-light`, {
      method: 'POST',
      headers: { 'content-type': 'image/png' },
      body: pngOf({ width: 32, height: 32, rgb }),
    });
    assert.equal(reply.status, 200);
    const { labels } = (await reply.json()) as { labels: { label: string; score: number }[] };
    assert.equal(labels[0]?.label, 'firelight');
  });

  it('a full queue is an overload, and the lane says so at the door', async () => {
    const controller = new AbortController();
    const asked = [...Array(8)].map(() =>
      engine.infer(patience(60_000), controller.signal).then(
        () => 'answered',
        (error: unknown) => (error instanceof ServiceError ? error.code : 'left'),
      ),
    );
    const first = await Promise.race(asked);
    controller.abort(new Error('the test ended'));
    assert.equal(first, 'overloaded');
    await Promise.all(asked);
  });
});
