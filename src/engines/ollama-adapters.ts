/**
 * Ollama's adapters (engines.md §6.4): an adapter is a model of its own, made of the base and a file. Base and adapters share
 * one runner, which a change of adapter loads anew from the disk: so there is one place, and who swaps pays for it. The
 * name of the model is made from the adapter's and the base's, because one server may have two bases.
 *
 *     lich@7-3fa9c1d2 on smollm2:135m   →   greenroom-lich:7-3fa9c1d2.<first 8 hex of the SHA-256 of "smollm2:135m">
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import path from 'node:path';
import type { AdapterAddress, AdapterTraits, EngineAdapters } from '../core/adapter.ts';
import { ServiceError } from '../core/errors.ts';
import { readBody, type WireRequest } from '../core/transport.ts';
import { adapterFailed, noRoom, refusedAdapter } from './adapter-errors.ts';
import { heldOf } from './adapter-list.ts';
import type { DriverParts } from './driver.ts';
import { createOllamaModels } from './ollama-models.ts';
import type { OllamaOptions } from './ollama-options.ts';
import { jsonObject } from './reply-stream.ts';
import { errorText } from './wire-errors.ts';

const TRAITS: AdapterTraits = {
  loads: 'call',
  unloads: 'call',
  mixesInBatch: false,
  // A runner has one adapter; the next one is another process.
  isCacheIsolated: true,
  stallsWhileLoading: true,
};

const FILE = 'adapter.gguf';
const REPLY_BYTES_MAX = 1_000_000;

/** What Ollama calls this adapter of this base. */
export function ollamaAdapterName(engineName: string, base: string): string {
  const [name = '', version = ''] = engineName.split('@');
  return `greenroom-${name}:${version}.${baseMark(base)}`;
}

/** Whether a model of this name is one of our adapters on this base. */
export function isAdapterOf(model: string, base: string): boolean {
  return engineNameOfModel(model, base) !== null;
}

function engineNameOfModel(model: string, base: string): string | null {
  const parts = /^greenroom-([^:/]+):(.+)\.([0-9a-f]{8})$/.exec(model);
  return parts === null || parts[3] !== baseMark(base) ? null : `${parts[1]}@${parts[2]}`;
}

function baseMark(base: string): string {
  const tagged = base.slice(base.lastIndexOf('/') + 1).includes(':') ? base : `${base}:latest`;
  return createHash('sha256').update(tagged).digest('hex').slice(0, 8);
}

export function createOllamaAdapters(parts: DriverParts<OllamaOptions>): EngineAdapters {
  const { name: engine, model: base, transport } = parts;
  const models = createOllamaModels(parts);

  const call = async (
    method: WireRequest['method'],
    route: string,
    body: Pick<WireRequest, 'body' | 'upload'>,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ) => {
    signal.throwIfAborted();
    const reply = await transport().exchange({ method, path: route, headers, ...body }, signal);
    const text = (await readBody(reply.body, REPLY_BYTES_MAX)).toString('utf8');
    return {
      status: reply.status,
      text,
      said: errorText(jsonObject(text) ?? text)
        .trim()
        .slice(0, 400),
    };
  };
  const post = (method: 'POST' | 'DELETE', route: string, body: unknown, signal: AbortSignal) =>
    call(method, route, { body: JSON.stringify(body) }, { 'content-type': 'application/json' }, signal);

  const isThere = async (own: string, signal: AbortSignal) =>
    (await models.list(signal)).some(({ name }) => name === own);

  /** Gives it the file, unless it has it, and has it made into a model. */
  const create = async (adapter: AdapterAddress, own: string, signal: AbortSignal) => {
    const trouble = { engine, adapter };
    const file = path.join(adapter.localPath, FILE);
    const blob = await describe(file, signal).catch((error: unknown) => {
      signal.throwIfAborted();
      throw adapterFailed(
        { ...trouble, cause: error },
        `has no ${FILE} in ${adapter.localPath} on this machine; stage it again`,
        false,
      );
    });
    const route = `/api/blobs/sha256:${blob.sha256}`;
    if ((await call('HEAD', route, {}, {}, signal)).status !== 200) {
      const headers = { 'content-type': 'application/octet-stream', 'content-length': String(blob.bytes) };
      const { status, said } = await call('POST', route, { upload: createReadStream(file) }, headers, signal);
      if (status !== 200 && status !== 201) throw refusedAdapter(trouble, status, said);
    }
    const body = { model: own, from: base, adapters: { [FILE]: `sha256:${blob.sha256}` }, stream: false };
    const { status, text, said } = await post('POST', '/api/create', body, signal);
    // A failure behind the first word of progress comes with 200.
    const isDone = status === 200 && jsonObject(text)?.['error'] === undefined;
    if (isDone) return;
    if (/no space left/i.test(said)) throw noRoom(trouble, said);
    if (status === 400) throw adapterFailed(trouble, `cannot be made into a model of ${base}: ${said}`, true);
    throw refusedAdapter(trouble, status, said);
  };

  return {
    traits: TRAITS,
    capacity: async (signal) => {
      signal.throwIfAborted();
      return { slots: 1, rankMax: null };
    },
    load: async (adapter, signal) => {
      const own = ollamaAdapterName(adapter.engineName, base);
      if (!(await isThere(own, signal))) await create(adapter, own, signal);
      try {
        await models.load(signal, own);
      } catch (error) {
        throw loadFailure(engine, adapter, error);
      }
    },
    unload: async ({ engineName }, signal) => {
      const own = ollamaAdapterName(engineName, base);
      const trouble = { engine, adapter: { engineName } };
      // Its runner outlives a model that is deleted by a moment, and is listed as long; then there is nothing to unload.
      if (await isThere(own, signal)) await models.unload(signal, own);
      const { status, said } = await post('DELETE', '/api/delete', { model: own }, signal);
      if (status !== 200 && status !== 404) throw refusedAdapter(trouble, status, said);
    },
    list: async (known, signal) => {
      const [onDisk, loaded] = await Promise.all([models.list(signal), models.loaded(signal)]);
      const named = (list: readonly { readonly name: string }[]) =>
        list.flatMap(({ name }) => {
          const engineName = engineNameOfModel(name, base);
          return engineName === null ? [] : [{ name: engineName, path: null }];
        });
      const { stale, held: made } = heldOf(known, named(onDisk));
      const inMemory = new Set(named(loaded).map(({ name }) => name));
      // In memory alone it is on its way out.
      const held = made.filter((name) => inMemory.has(name));
      // Adapters of others are models like any other there; none of them has a place of ours.
      return { held, stale, foreign: 0 };
    },
  };
}

/** Only in passing, unless Ollama itself says that the file does not go with the base. */
function loadFailure(engine: string, adapter: AdapterAddress, error: unknown): unknown {
  if (!(error instanceof ServiceError) || error.code === 'engine_unavailable') return error;
  const trouble = { engine, adapter, cause: error };
  if (error.code === 'overloaded')
    return new ServiceError('engine_unavailable', error.message, { cause: error, details: error.details });
  if (/requires more (?:system )?memory|out of memory/i.test(error.message))
    return noRoom(trouble, error.message);
  const isPermanent = /lora|adapter|tensor|architecture|unsupported/i.test(error.message);
  return adapterFailed(trouble, `could not be brought into memory: ${error.message}`, isPermanent);
}

async function describe(
  file: string,
  signal: AbortSignal,
): Promise<{ readonly bytes: number; readonly sha256: string }> {
  const { size } = await stat(file);
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file, { signal })) hash.update(chunk as Buffer);
  return { bytes: size, sha256: hash.digest('hex') };
}
