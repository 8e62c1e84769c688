/**
 * What Ollama can be told about its models: list, look, load, unload, pull. A load is a step of its own with a long time:
 * a player's request that gives up during a load aborts the load, and the next one begins it again (Ollama #7408).
 */
import { ServiceError } from '../core/errors.ts';
import { decodeNdjson } from '../lib/ndjson.ts';
import { count } from './account.ts';
import { askJson } from './ask-json.ts';
import type { DriverParts } from './driver.ts';
import { type OllamaOptions, runnerOptions } from './ollama-options.ts';
import { inBandError } from './ollama-wire.ts';
import { cutShort, type Frame, jsonObject, readRefusal } from './reply-stream.ts';

const LINE_BYTES_MAX = 100_000;

export interface OllamaModel {
  readonly name: string;
  readonly digest: string;
  readonly bytes: number;
  /** The model that this one adds an adapter or a prompt to; null where it has none. */
  readonly parent: string | null;
}

export interface LoadedOllamaModel {
  readonly name: string;
  readonly bytes: number;
  readonly gpuBytes: number;
  /** Null where the version does not tell. */
  readonly contextTokens: number | null;
  /** Some of it is on the GPU and some is not, which is slow. */
  readonly isPartlyOffloaded: boolean;
}

export interface PullProgress {
  /** Ollama's own words: `pulling manifest`, `pulling 8eeb52dfb3bb`, `verifying sha256 digest`, … */
  readonly status: string;
  /** The part under way; null between parts. */
  readonly digest: string | null;
  readonly totalBytes: number | null;
  readonly completedBytes: number | null;
}

/** Each throws as a probe does, and rejects with the signal's reason when aborted. */
export interface OllamaModels {
  /** All that is on its disk. */
  list(signal: AbortSignal): Promise<readonly OllamaModel[]>;
  /** Those in memory now. */
  loaded(signal: AbortSignal): Promise<readonly LoadedOllamaModel[]>;
  /** Its own account of a model: `details`, `model_info`, `capabilities`, `template`, …; `unknown_model` when it has none. */
  show(model: string, signal: AbortSignal): Promise<Frame>;
  /** Brings the model of this engine, or another, into memory with the options that every request has. Takes up to minutes. */
  load(signal: AbortSignal, model?: string): Promise<void>;
  /** Takes the model of this engine, or another, out of memory once it is idle. */
  unload(signal: AbortSignal, model?: string): Promise<void>;
  /** Fetches a model; what had come of it before a cut is kept by Ollama, and a second pull goes on from there. */
  pullModel(model: string, onProgress: (progress: PullProgress) => void, signal: AbortSignal): Promise<void>;
}

export function createOllamaModels({
  name: engine,
  model: own,
  options,
  transport,
}: DriverParts<OllamaOptions>): OllamaModels {
  const ask = (method: 'GET' | 'POST', path: string, body: unknown, signal: AbortSignal) =>
    askJson({ engine, transport: transport(), method, path, body }, signal);
  const keep = async (
    model: string,
    keepAlive: string | number,
    expected: 'load' | 'unload',
    signal: AbortSignal,
  ) => {
    const answer = await ask(
      'POST',
      '/api/chat',
      {
        model,
        messages: [],
        stream: false,
        keep_alive: keepAlive,
        options: runnerOptions(options),
      },
      signal,
    );
    if (answer['done_reason'] !== expected)
      throw new ServiceError(
        'engine_error',
        `${engine}: asked to ${expected} ${model}, it answered done_reason ${JSON.stringify(answer['done_reason'])}`,
        { details: { engine, model } },
      );
  };
  return {
    list: async (signal) =>
      entries(await ask('GET', '/api/tags', undefined, signal)).map((entry) => ({
        name: text(entry['name']) ?? text(entry['model']) ?? '',
        digest: text(entry['digest']) ?? '',
        bytes: count(entry['size']) ?? 0,
        parent: text((entry['details'] as Frame | undefined)?.['parent_model']),
      })),
    loaded: async (signal) => entries(await ask('GET', '/api/ps', undefined, signal)).map(loadedModel),
    show: (model, signal) => ask('POST', '/api/show', { model }, signal),
    load: (signal, model = own) => keep(model, options.keepAlive, 'load', signal),
    unload: (signal, model = own) => keep(model, 0, 'unload', signal),
    pullModel: async (model, onProgress, signal) => {
      const reply = await transport().exchange(
        {
          method: 'POST',
          path: '/api/pull',
          headers: { 'content-type': 'application/json', accept: 'application/x-ndjson' },
          body: JSON.stringify({ model, stream: true }),
        },
        signal,
      );
      if (reply.status !== 200) {
        const failure = await readRefusal(engine, reply);
        signal.throwIfAborted();
        throw failure;
      }
      try {
        if (await readPull(engine, decodeNdjson(reply.body, { maxLineBytes: LINE_BYTES_MAX }), onProgress))
          return;
      } catch (error) {
        signal.throwIfAborted();
        if (error instanceof ServiceError) throw error;
        throw new ServiceError(
          'engine_error',
          `${engine}: the pull of ${model} broke off; pull again to go on`,
          {
            cause: error,
            details: { engine, model },
          },
        );
      }
      signal.throwIfAborted();
      throw cutShort(engine, `success in the pull of ${model}`);
    },
  };
}

/** Whether two names mean the same model: Ollama adds `:latest` where a name has no tag. */
export function isSameModel(one: string, other: string): boolean {
  return tagged(one) === tagged(other);
}

function tagged(name: string): string {
  return name.slice(name.lastIndexOf('/') + 1).includes(':') ? name : `${name}:latest`;
}

/** Whether it came to its good end. */
async function readPull(
  engine: string,
  lines: AsyncIterable<string>,
  onProgress: (progress: PullProgress) => void,
): Promise<boolean> {
  let isDone = false;
  for await (const line of lines) {
    const frame = jsonObject(line);
    if (frame === null)
      throw new ServiceError('engine_error', `${engine}: a line of the pull is no JSON object`, {
        details: { engine },
      });
    // Ollama reports a failed download so, with status 200.
    if (frame['error'] !== undefined) throw inBandError(engine, frame);
    const status = text(frame['status']) ?? '';
    isDone = status === 'success';
    onProgress({
      status,
      digest: text(frame['digest']),
      totalBytes: count(frame['total']),
      completedBytes: count(frame['completed']),
    });
  }
  return isDone;
}

function loadedModel(entry: Frame): LoadedOllamaModel {
  const bytes = count(entry['size']) ?? 0;
  const gpuBytes = count(entry['size_vram']) ?? 0;
  return {
    name: text(entry['name']) ?? text(entry['model']) ?? '',
    bytes,
    gpuBytes,
    contextTokens: count(entry['context_length']) || null,
    isPartlyOffloaded: gpuBytes > 0 && gpuBytes < bytes,
  };
}

function entries(answer: Frame): readonly Frame[] {
  const { models } = answer as { models?: unknown };
  if (!Array.isArray(models)) return [];
  return models.filter((each): each is Frame => typeof each === 'object' && each !== null);
}

function text(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null;
}
