/**
 * One file of an adapter from afar into the folder, in three states that survive a kill: `<name>.partial` with
 * `<name>.state.json` beside it, which says what the bytes are of; the whole `<name>` with the same, which asks the source
 * only whether it has changed; and, when all files are there, the names alone (`forgetStates`).
 */
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { ServiceError } from '../../core/errors.ts';
import { fileBytes, hashFile } from '../../models/cache.ts';
import { download, type OpenBody } from '../../models/download.ts';
import { PartialFile } from '../../models/partial.ts';
import { type ModelSource, ProgressMeter } from '../../models/progress.ts';
import { CONFIG_FILE, type FetchContext, type RawFile, type RawFileName, unavailable } from './fetched.ts';

export interface RemoteFile {
  readonly name: RawFileName;
  /** What the bytes are of, for the state: an address without a query, with its commit where it has one. */
  readonly address: string;
  readonly source: ModelSource;
  /** What the source's own listing says; null where it says nothing. */
  readonly bytes: number | null;
  readonly sha256: string | null;
  /** The address never gives other bytes (it names a commit): a whole file is not asked about again. */
  readonly isImmutable: boolean;
  /** Opens the file; `unlessVersion` is the version that is here whole already. */
  readonly open: (unlessVersion: string | null) => OpenBody;
}

export interface FetchedFile extends RawFile {
  readonly version: string | null;
}

const stateSchema = z.strictObject({
  address: z.string(),
  version: z.string().nullable(),
  totalBytes: z.number().int().nonnegative().nullable(),
  /** Of the whole file; null while it is not whole. */
  sha256: z.string().nullable(),
});
type FileState = z.infer<typeof stateSchema>;

/**
 * Brings the file, going on from what an earlier call left in the folder. Where what was left turns out to be wrong, the
 * fault is not the source's, and it gets another try.
 */
export async function fetchFile(
  file: RemoteFile,
  context: FetchContext,
  signal: AbortSignal,
): Promise<FetchedFile> {
  const path = join(context.into, file.name);
  const state = await readState(path, file.address);
  // Bytes without a state are of nobody knows what.
  if (state === null) await rm(`${path}.partial`, { force: true });
  const hadBytes = ((await fileBytes(`${path}.partial`)) ?? 0) > 0;
  try {
    return await bring(file, path, state, context, signal);
  } catch (error) {
    if (!hadBytes || !(error instanceof ServiceError) || error.code !== 'digest_mismatch') throw error;
    await rm(`${path}.partial`, { force: true });
    return bring(file, path, null, context, signal);
  }
}

async function bring(
  file: RemoteFile,
  path: string,
  state: FileState | null,
  context: FetchContext,
  signal: AbortSignal,
): Promise<FetchedFile> {
  const { limits, where } = context;
  const meter = new ProgressMeter(context.clock, file.bytes ?? 0, (progress) =>
    context.onProgress({ ...progress, file: file.name }),
  );
  const kept = await keptFile(path, file, state, meter, signal);
  if (kept !== null && (file.isImmutable || kept.sha256 === file.sha256)) return kept;

  await using partial = await PartialFile.open(
    { file: path, partial: `${path}.partial` },
    {
      fileName: file.name,
      bytes: file.bytes,
      bytesMax: file.name === CONFIG_FILE ? limits.configBytesMax : limits.weightsBytesMax,
      sha256: file.sha256,
    },
  );
  if (partial.bytes > 0 && state !== null && state.totalBytes !== null) partial.expect(state.totalBytes);
  let version = state?.version ?? null;
  const outcome = await download(
    partial,
    file.open(kept?.version ?? null),
    {
      clock: context.clock,
      limits,
      meter,
      source: file.source,
      version,
      onVersion: async (newVersion, totalBytes) => {
        version = newVersion;
        await writeState(path, { address: file.address, version, totalBytes, sha256: null });
      },
      fail: (message, cause) => unavailable(where, `${file.name}: ${message}`, cause),
    },
    signal,
  );
  if (outcome === 'unchanged' && kept !== null) return kept;
  const totalBytes = partial.bytes;
  const sha256 = await partial.finish(file.source, meter, signal);
  await writeState(path, { address: file.address, version, totalBytes, sha256 });
  return { name: file.name, bytes: totalBytes, sha256, version };
}

/** Removes what only a further call would have needed. */
export async function forgetStates(into: string, names: readonly RawFileName[]): Promise<void> {
  for (const name of names) await rm(`${join(into, name)}.state.json`, { force: true });
}

/** The file as an earlier call left it whole, read and hashed again; null when it is not. */
async function keptFile(
  path: string,
  file: RemoteFile,
  state: FileState | null,
  meter: ProgressMeter,
  signal: AbortSignal,
): Promise<FetchedFile | null> {
  if (state === null || state.sha256 === null) return null;
  const canBeAsked = file.isImmutable || file.sha256 !== null || state.version !== null;
  if (!canBeAsked) return null;
  if (file.sha256 !== null && file.sha256 !== state.sha256) return null;
  const bytes = await fileBytes(path);
  if (bytes === null || bytes !== state.totalBytes) return null;
  meter.begin('checking', 'file', 0, bytes);
  const sha256 = await hashFile(path, (readBytes) => meter.advance(readBytes), signal);
  return sha256 === state.sha256 ? { name: file.name, bytes, sha256, version: state.version } : null;
}

async function readState(path: string, address: string): Promise<FileState | null> {
  try {
    const state = stateSchema.parse(JSON.parse(await readFile(`${path}.state.json`, 'utf8')));
    return state.address === address ? state : null;
  } catch {
    // None, or one that was cut short: then the file is fetched from its beginning.
    return null;
  }
}

async function writeState(path: string, state: FileState): Promise<void> {
  const temporary = `${path}.state.json.new`;
  await writeFile(temporary, `${JSON.stringify(state)}\n`);
  await rename(temporary, `${path}.state.json`);
}
