/**
 * An adapter from this machine's disk. The files are linked, or copied where a link cannot be, under their fixed names:
 * from then on the folder may change without changing what was taken. Invariant: what is taken is a regular file that
 * lies in the folder named, also when a symbolic link says otherwise.
 */
import { constants, createWriteStream, type Stats } from 'node:fs';
import { link, lstat, open, opendir, realpath, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { ServiceError } from '../../core/errors.ts';
import { hashFile, storageError } from '../../models/cache.ts';
import { requireRoom } from '../../models/partial.ts';
import { ProgressMeter } from '../../models/progress.ts';
import type { LocalSource } from './address.ts';
import {
  CONFIG_FILE,
  type FetchContext,
  type Fetched,
  GGUF_FILE,
  invalid,
  PEFT_WEIGHTS_FILE,
  type RawFile,
  type RawFileName,
} from './fetched.ts';
import { pickFiles } from './pick.ts';

interface Wanted {
  /** Named by the operator himself: then a link may lead anywhere. */
  readonly isNamed: boolean;
  readonly from: string;
  readonly name: RawFileName;
}

// Windows knows no such flag, and gives symbolic links to administrators alone.
const READ_NO_LINK = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0);

/**
 * Takes the adapter at `source.path`: a folder as PEFT writes it or with one GGUF, a `.gguf` file, or a `.safetensors`
 * file that has its config beside it.
 */
export async function takeLocal(
  source: LocalSource,
  context: FetchContext,
  signal: AbortSignal,
): Promise<Fetched> {
  const path = resolve(source.path);
  const found = await look(path, context.where);
  const folder = found.isDirectory() ? path : dirname(path);
  const wanted = found.isDirectory() ? await filesOf(path, context) : filesBeside(path, context.where);
  const files: RawFile[] = [];
  for (const each of wanted) files.push(await take(each, await realpath(folder), context, signal));
  return { files, revision: null };
}

async function filesOf(folder: string, context: FetchContext): Promise<readonly Wanted[]> {
  const names: string[] = [];
  for await (const entry of await opendir(folder)) {
    if (entry.isDirectory()) continue;
    if (names.length >= context.limits.listedFilesMax)
      throw invalid(
        context.where,
        `it holds more than ${context.limits.listedFilesMax} files; give the adapter's own folder`,
      );
    names.push(entry.name);
  }
  const picked = pickFiles(names.sort(), context.where);
  if (picked.kind === 'gguf') return [wantedIn(folder, picked.weights, GGUF_FILE)];
  return [wantedIn(folder, picked.config, CONFIG_FILE), wantedIn(folder, picked.weights, PEFT_WEIGHTS_FILE)];
}

function filesBeside(path: string, where: string): readonly Wanted[] {
  if (/\.gguf$/i.test(path)) return [{ isNamed: true, from: path, name: GGUF_FILE }];
  if (!/\.safetensors$/i.test(path))
    throw invalid(where, 'it is neither a folder nor a .safetensors or .gguf file');
  return [
    wantedIn(dirname(path), CONFIG_FILE, CONFIG_FILE),
    { isNamed: true, from: path, name: PEFT_WEIGHTS_FILE },
  ];
}

function wantedIn(folder: string, fileName: string, name: RawFileName): Wanted {
  return { isNamed: false, from: join(folder, fileName), name };
}

async function take(
  wanted: Wanted,
  folder: string,
  context: FetchContext,
  signal: AbortSignal,
): Promise<RawFile> {
  const { limits, where } = context;
  await look(wanted.from, where);
  const real = await realpath(wanted.from);
  const inside = relative(folder, real);
  const isInside = inside !== '..' && !inside.startsWith(`..${sep}`) && resolve(folder, inside) === real;
  if (!isInside && !wanted.isNamed)
    throw invalid(
      where,
      `${basename(wanted.from)} is a symbolic link to ${real}, outside the folder; give the folder where the files lie, or copy them (cp -L)`,
    );
  const found = await stat(real);
  if (!found.isFile()) throw invalid(where, `${basename(wanted.from)} is no regular file`);
  const bytesMax = wanted.name === CONFIG_FILE ? limits.configBytesMax : limits.weightsBytesMax;
  if (found.size > bytesMax)
    throw invalid(
      where,
      `${basename(wanted.from)} has ${found.size} bytes; at most ${bytesMax} are taken for ${wanted.name}`,
    );
  const to = join(context.into, wanted.name);
  await rm(to, { force: true });
  await linkOrCopy(real, to, found, context, signal);
  // A link is made to whatever lies there by now, and follows no symbolic one.
  if (!(await lstat(to)).isFile())
    throw invalid(where, `${basename(wanted.from)} was exchanged while it was taken`);

  const meter = new ProgressMeter(context.clock, found.size, (progress) =>
    context.onProgress({ ...progress, file: wanted.name }),
  );
  meter.begin('checking', 'file');
  const sha256 = await hashFile(to, (bytes) => meter.advance(bytes), signal);
  if (wanted.name !== CONFIG_FILE && context.sha256 !== null && sha256 !== context.sha256)
    throw new ServiceError(
      'digest_mismatch',
      `${where}: ${basename(wanted.from)} has SHA-256 ${sha256}, expected ${context.sha256}`,
      { details: { sha256, expected: context.sha256 } },
    );
  return { name: wanted.name, bytes: (await stat(to)).size, sha256 };
}

async function linkOrCopy(
  from: string,
  to: string,
  found: Stats,
  context: FetchContext,
  signal: AbortSignal,
): Promise<void> {
  try {
    await link(from, to);
    return;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // Another disk, a system that has no links, or one that links only one's own files: then it is copied.
    if (code !== 'EXDEV' && code !== 'EPERM' && code !== 'EACCES' && code !== 'EMLINK' && code !== 'ENOTSUP')
      throw error;
  }
  await requireRoom(context.into, found.size);
  try {
    await using handle = await open(from, READ_NO_LINK);
    await pipeline(
      handle.createReadStream({ autoClose: false, highWaterMark: 1 << 20 }),
      createWriteStream(to, { flags: 'wx' }),
      { signal },
    );
  } catch (error) {
    await rm(to, { force: true });
    if (signal.aborted) throw signal.reason;
    throw storageError(error, to);
  }
}

async function look(path: string, where: string): Promise<Stats> {
  try {
    await lstat(path);
    return await stat(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') throw invalid(where, `${path} does not exist`);
    if (code === 'ELOOP') throw invalid(where, `${path} is a symbolic link in circles`);
    if (code === 'EACCES' || code === 'EPERM')
      throw invalid(where, `${path} cannot be read (${code}): mend its permissions`);
    throw error;
  }
}
