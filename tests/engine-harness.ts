/** Starts the real engine as the gateway does: a supervised child process on a free port, with the real model. */
import OpenAI from 'openai';
import { ServiceError } from '../src/core/errors.ts';
import type { EmbeddedOptionsInput } from '../src/embedded/options.ts';
import { EngineSupervisor } from '../src/embedded/supervisor.ts';
import { cacheDirectory, modelPaths } from '../src/models/cache.ts';
import { findModel } from '../src/models/catalogue.ts';
import { ensureModel } from '../src/models/ensure.ts';
import { fastWeights } from '../src/models/fast-weights.ts';
import { realRuntime } from '../src/runtime.ts';
import { silentLogger } from '../src/telemetry/log.ts';

export const MODEL_NAME = 'smollm2-135m-instruct';

const model = await ensureModel(
  'smollm2-135m-instruct-q4_1',
  {
    cacheDirectory: cacheDirectory(process.env),
    environment: process.env,
    clock: realRuntime.clock,
  },
  AbortSignal.timeout(600_000),
).catch((error: unknown) => ServiceError.from(error));

export const MODEL_PATH = model instanceof ServiceError ? '' : model.path;

/** What the engine loads, as the gateway has it: the same weights in a form that the CPU reads fast. */
export const FAST_MODEL_PATH =
  model instanceof ServiceError
    ? ''
    : await fastWeights(
        model,
        {
          paths: modelPaths(cacheDirectory(process.env), findModel('smollm2-135m-instruct-q4_1')),
          clock: realRuntime.clock,
        },
        AbortSignal.timeout(600_000),
      );

/** For `{ skip }` of a suite: false when the model is here (it was fetched if it was not), else why it is not. */
export const modelMissing =
  model instanceof ServiceError
    ? `skipped: ${model.message}; install with npm run greenroom -- models pull`
    : false;

export interface RunningEngine extends AsyncDisposable {
  readonly supervisor: EngineSupervisor;
  readonly baseUrl: string;
  readonly client: OpenAI;
  /** The value of a metric, summed over its label sets. */
  metric(name: string): Promise<number>;
  /** Asks the metric again and again until it has the value; fails when it does not within `withinMs`. */
  untilMetric(name: string, value: number, withinMs?: number): Promise<void>;
  post(path: string, body: unknown): Promise<{ status: number; body: unknown; headers: Headers }>;
}

export async function startEngine(options: Partial<EmbeddedOptionsInput> = {}): Promise<RunningEngine> {
  const supervisor = new EngineSupervisor(
    {
      engine: { modelPath: FAST_MODEL_PATH, modelName: MODEL_NAME, threads: 2, sequences: 4, ...options },
      environment: process.env,
      backoffMinMs: 50,
    },
    { clock: realRuntime.clock, random: realRuntime.random, log: silentLogger },
  );
  supervisor.start();
  const baseUrl = await supervisor.whenReady(AbortSignal.timeout(60_000));
  const metric = async (name: string): Promise<number> => {
    const text = await (await fetch(`${baseUrl}/metrics`)).text();
    const values = text
      .split('\n')
      .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
      .map((line) => Number(line.split(' ').at(-1)));
    return values.reduce((sum, value) => sum + value, 0);
  };
  return {
    supervisor,
    baseUrl,
    client: new OpenAI({ baseURL: `${baseUrl}/v1`, apiKey: 'none', maxRetries: 0 }),
    metric,
    untilMetric: async (name, value, withinMs = 20_000) => {
      const endMs = performance.now() + withinMs;
      for (;;) {
        const current = await metric(name);
        if (current === value) return;
        if (performance.now() > endMs) throw new Error(`${name} is ${current}, expected ${value}`);
      }
    },
    post: async (path, body) => {
      const reply = await fetch(`${baseUrl}${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: typeof body === 'string' ? body : JSON.stringify(body),
      });
      const text = await reply.text();
      return { status: reply.status, body: text === '' ? null : JSON.parse(text), headers: reply.headers };
    },
    [Symbol.asyncDispose]: () => supervisor[Symbol.asyncDispose](),
  };
}

const TOWN = `You are Mordane Vesk, an old vampire who keeps the back room of a pawn shop in the harbour quarter. You buy
secrets, teeth and grave goods, and you sell names. You speak slowly, in short sentences, with dry humour. You never
say where your coffin lies. You fear only the bell of Saint Corvin, which was stolen last winter, and you would pay
well to know who has it now. You despise ghouls and owe the werewolves of the north dock a favour you do not like to
remember. You call every visitor "little candle".`;

/** A persona of realistic length (about 150 tokens). */
export const PERSONA = TOWN.replaceAll('\n', ' ');
