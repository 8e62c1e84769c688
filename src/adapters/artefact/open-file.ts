/**
 * Opens a file of a folder that came from elsewhere: a regular file that really lies in it, never what a link outside, a
 * pipe or a device would give.
 */
import { constants, type FileHandle, open, realpath } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { invalid, shown } from './artefact.ts';

export interface OpenFile extends AsyncDisposable {
  readonly handle: FileHandle;
  readonly bytes: number;
}

/** Opens a regular file of a folder; `folder` is its real path. A link inside the folder is followed, one out of it refused. */
export async function openWithin(folder: string, name: string, signal: AbortSignal): Promise<OpenFile> {
  signal.throwIfAborted();
  let handle: FileHandle;
  try {
    const path = await realpath(join(folder, name));
    if (!path.startsWith(folder.endsWith(sep) ? folder : folder + sep))
      throw invalid(`${shown(name)} is a link out of the folder; hand in the file itself`);
    // Opening a pipe that nobody writes to would wait for ever; a link that took the file's place meanwhile is not followed.
    handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT') throw invalid(`${shown(name)} is missing`, error);
    if (code === 'ELOOP') throw invalid(`${shown(name)} is a link that leads nowhere`, error);
    if (code === 'EACCES' || code === 'EPERM')
      throw invalid(
        `${shown(name)} may not be read by this process (${code}); change its permissions`,
        error,
      );
    throw error;
  }
  const found = await handle.stat();
  if (!found.isFile()) {
    await handle.close();
    throw invalid(`${shown(name)} is no regular file`);
  }
  return { handle, bytes: found.size, [Symbol.asyncDispose]: () => handle.close() };
}
