/**
 * Vectors of the embedded engine's model, from the real engine process over its own /v1/embeddings. They may be kept in a
 * file between runs: the model is pinned, and a text's vector does not change.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { EngineSupervisor } from '../../src/embedded/supervisor.ts';
import { cacheDirectory } from '../../src/models/cache.ts';
import { ensureModel } from '../../src/models/ensure.ts';
import { realRuntime } from '../../src/runtime.ts';
import { silentLogger } from '../../src/telemetry/log.ts';
import type { Vectors } from './measures.ts';

export const VECTOR_MODEL = 'smollm2-135m-instruct-q4_1';
const BATCH = 32;
const BATCH_TIMEOUT_MS = 120_000;
/** Decimals kept in the file: the cosine of two texts moves by less than 0.001. */
const DECIMALS = 5;

/** One vector a text; `file` is read first and holds all of them afterwards. */
export async function vectorsOf(texts: readonly string[], file: string | undefined): Promise<Vectors> {
  const kept: Record<string, number[]> =
    file !== undefined && existsSync(file)
      ? (JSON.parse(readFileSync(file, 'utf8')) as Record<string, number[]>)
      : {};
  const wanted = texts.filter((text) => !Object.hasOwn(kept, text));
  if (wanted.length > 0) {
    await embed(wanted, (text, vector) => {
      kept[text] = vector.map((value) => Number(value.toFixed(DECIMALS)));
    });
    if (file !== undefined) writeFileSync(file, JSON.stringify(kept));
  }
  return new Map(texts.map((text) => [text, Float64Array.from(kept[text] ?? [])]));
}

async function embed(
  texts: readonly string[],
  keep: (text: string, vector: readonly number[]) => void,
): Promise<void> {
  const model = await ensureModel(
    VECTOR_MODEL,
    { cacheDirectory: cacheDirectory(process.env), environment: process.env, clock: realRuntime.clock },
    AbortSignal.timeout(600_000),
  );
  await using supervisor = new EngineSupervisor(
    {
      engine: { modelPath: model.path, modelName: 'bench', threads: 1, sequences: 1, prefixSequences: 0 },
      environment: process.env,
    },
    { clock: realRuntime.clock, random: realRuntime.random, log: silentLogger },
  );
  supervisor.start();
  const baseUrl = await supervisor.whenReady(AbortSignal.timeout(120_000));
  for (let at = 0; at < texts.length; at += BATCH) {
    const input = texts.slice(at, at + BATCH);
    const reply = await fetch(`${baseUrl}/v1/embeddings`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ input }),
      signal: AbortSignal.timeout(BATCH_TIMEOUT_MS),
    });
    if (!reply.ok) throw new Error(`embeddings: ${reply.status} ${await reply.text()}`);
    const { data } = (await reply.json()) as { data: { index: number; embedding: number[] }[] };
    for (const { index, embedding } of data) keep(input[index] ?? '', embedding);
    process.stderr.write(`\rvectors: ${Math.min(at + BATCH, texts.length)} of ${texts.length}`);
  }
  process.stderr.write('\n');
}
