/**
 * HTTP as the engines need it: one exchange with a streamed reply. The real one is undici (`engines/transport.ts`);
 * the simulator has its own, which is how it injects faults.
 */

export interface WireRequest {
  readonly method: 'GET' | 'POST' | 'HEAD' | 'DELETE';
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  /** Instead of a body: a file, piece by piece, which may be larger than what should be in memory. */
  readonly upload?: AsyncIterable<Uint8Array>;
}

export interface WireResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** Pulled by the reader: a slow reader slows the engine. Leaving the loop destroys the connection. */
  readonly body: AsyncIterable<Uint8Array>;
}

export interface Transport extends AsyncDisposable {
  /** Throws ServiceError `engine_unavailable` when no reply came; aborting closes the connection, which stops the engine. */
  exchange(request: WireRequest, signal: AbortSignal): Promise<WireResponse>;
}

/** Reads a small body whole; throws past `maxBytes` so that a hostile peer cannot fill memory. */
export async function readBody(body: AsyncIterable<Uint8Array>, maxBytes: number): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let total = 0;
  for await (const chunk of body) {
    total += chunk.byteLength;
    if (total > maxBytes) throw new Error(`body over ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
