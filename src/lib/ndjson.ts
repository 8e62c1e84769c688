/**
 * Newline-delimited JSON as it streams in: bytes to lines, under any chunking. Lines are cut as bytes before they are
 * decoded, so a character split over two chunks is whole again. What a line means is the caller's.
 * Invariant: one line never exceeds `maxLineBytes`.
 */
import { Buffer } from 'node:buffer';

export interface NdjsonLimits {
  /** Bytes of one line, without its line end. */
  readonly maxLineBytes: number;
}

/** The stream broke `maxLineBytes`; nothing after this point of it can be trusted. */
export class NdjsonTooLongError extends Error {
  constructor(maxLineBytes: number) {
    super(`a line of the stream is longer than ${maxLineBytes} bytes, which is the limit`);
    this.name = 'NdjsonTooLongError';
  }
}

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;

/**
 * Gives each line that is not blank, without its line end (`\n` or `\r\n`), the last one also when no line end closes
 * it: whether it is whole is for the JSON parser to say. Throws NdjsonTooLongError, which the caller maps to its own
 * error code, and passes on what `chunks` throws. Leaving the loop returns the iterator of `chunks`.
 */
export async function* decodeNdjson(
  chunks: AsyncIterable<Uint8Array>,
  limits: NdjsonLimits,
): AsyncGenerator<string, void> {
  /** Bytes after the last line end, in pieces so that a long line in tiny chunks is not copied again and again. */
  let pending: Uint8Array[] = [];
  let pendingBytes = 0;
  const keep = (bytes: Uint8Array) => {
    if (bytes.length === 0) return;
    pendingBytes += bytes.length;
    // One byte more than the limit may be the carriage return of the line end.
    if (pendingBytes > limits.maxLineBytes + 1) throw new NdjsonTooLongError(limits.maxLineBytes);
    // The caller may reuse its chunk.
    pending.push(bytes.slice());
  };
  const take = (bytes: Uint8Array): string => {
    const whole =
      pendingBytes === 0
        ? Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
        : Buffer.concat([...pending, bytes]);
    pending = [];
    pendingBytes = 0;
    const end = whole[whole.length - 1] === CARRIAGE_RETURN ? whole.length - 1 : whole.length;
    if (end > limits.maxLineBytes) throw new NdjsonTooLongError(limits.maxLineBytes);
    return whole.toString('utf8', 0, end);
  };
  for await (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf(LINE_FEED); end !== -1; end = chunk.indexOf(LINE_FEED, start)) {
      const line = take(chunk.subarray(start, end));
      if (!isBlank(line)) yield line;
      start = end + 1;
    }
    keep(chunk.subarray(start));
  }
  if (pendingBytes === 0) return;
  const line = take(new Uint8Array());
  if (!isBlank(line)) yield line;
}

function isBlank(line: string): boolean {
  return line.trim() === '';
}
