/**
 * One streamed answer over HTTP, for wires that are not the common dialect: sends the request, refuses what is no
 * stream, and feeds frame by frame to a reader that knows the wire. A stream is complete only when its reader says so.
 */
import type { GenerateEvent } from '../core/engine.ts';
import { ServiceError } from '../core/errors.ts';
import { readBody, type Transport, type WireResponse } from '../core/transport.ts';
import { decodeNdjson } from '../lib/ndjson.ts';
import { SseDecoder } from '../lib/sse.ts';
import { notAStream, refusal } from './wire-errors.ts';

/** One frame may hold a long usage block, never megabytes. */
const FRAME_BYTES_MAX = 1_000_000;
const ERROR_BODY_BYTES_MAX = 64_000;

export type Frame = Readonly<Record<string, unknown>>;

/** Knows one wire; made anew for each answer. */
export interface ReplyReader {
  /** Text and usage of one frame; throws ServiceError for a failure that the engine tells of. */
  take(frame: Frame): Iterable<GenerateEvent>;
  /** Whether the engine said that the answer is whole: the frames after that are not looked at. */
  readonly isComplete: boolean;
  /** The finish, asked once, when it is complete or the body has ended. Throws `engine_error` for a cut answer. */
  finish(): GenerateEvent;
}

/** A reply that is no 200, read. */
export interface Refused {
  readonly status: number;
  readonly headers: WireResponse['headers'];
  /** The body where it is a JSON object; else an empty one. */
  readonly body: Frame;
}

export interface ReplyStreamOptions {
  /** The engine's name, for messages. */
  readonly engine: string;
  readonly transport: Transport;
  readonly path: string;
  readonly body: unknown;
  readonly framing: 'sse' | 'ndjson';
  readonly reader: ReplyReader;
  /** The vendor's own reading of a refusal; null leaves it to what all engines have in common. */
  readonly refused?: (refused: Refused) => ServiceError | null;
}

const FRAMINGS = {
  sse: { accept: 'text/event-stream', isExpected: /^text\/event-stream\b/i },
  // Ollama names its stream so; a proxy may call the same bytes JSON lines.
  ndjson: { accept: 'application/x-ndjson', isExpected: /^application\/(?:x-ndjson|jsonl|x-jsonlines)\b/i },
} as const;

/**
 * Text and usage as they come, then one `finish`. Throws as `Engine.generate` says. Once the answer is whole the rest of
 * the body is let run out, which keeps the connection for the next; leaving the loop before drops it, which stops the engine.
 */
export async function* streamReply(
  options: ReplyStreamOptions,
  signal: AbortSignal,
): AsyncGenerator<GenerateEvent> {
  signal.throwIfAborted();
  const { engine, reader } = options;
  const body = await openReply(options, signal);
  let isFinished = false;
  try {
    for await (const data of frames(body, options.framing)) {
      if (isFinished) continue;
      for (const event of reader.take(parseFrame(engine, data))) {
        // One chunk of bytes may hold many events; none of them is told once nobody listens.
        if (signal.aborted) throw signal.reason;
        yield event;
      }
      if (signal.aborted) throw signal.reason;
      if (!reader.isComplete) continue;
      const finish = reader.finish();
      isFinished = true;
      yield finish;
    }
    if (isFinished) return;
    if (signal.aborted) throw signal.reason;
    yield reader.finish();
  } catch (error) {
    // The line is whole: how its connection ends is nobody's failure.
    if (isFinished) return;
    if (signal.aborted) throw signal.reason;
    if (error instanceof ServiceError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new ServiceError('engine_error', `${engine}: the stream broke: ${reason}`, {
      cause: error,
      details: { engine },
    });
  }
}

async function openReply(
  { engine, transport, path, body, framing, refused }: ReplyStreamOptions,
  signal: AbortSignal,
): Promise<AsyncIterable<Uint8Array>> {
  const { accept, isExpected } = FRAMINGS[framing];
  const reply = await transport.exchange(
    {
      method: 'POST',
      path,
      headers: { 'content-type': 'application/json', accept },
      body: JSON.stringify(body),
    },
    signal,
  );
  const contentType = String(reply.headers['content-type'] ?? accept);
  if (reply.status === 200 && isExpected.test(contentType)) return reply.body;
  const failure =
    reply.status === 200
      ? await notAStream(engine, contentType, reply.body)
      : await readRefusal(engine, reply, refused);
  signal.throwIfAborted();
  throw failure;
}

/** A refusal as the error that the ladder understands: the vendor's reading first, then the common one. Never throws. */
export async function readRefusal(
  engine: string,
  reply: WireResponse,
  refused?: (refused: Refused) => ServiceError | null,
): Promise<ServiceError> {
  let bytes: Buffer;
  try {
    bytes = await readBody(reply.body, ERROR_BODY_BYTES_MAX);
  } catch (error) {
    bytes = Buffer.from(`(body not readable: ${error instanceof Error ? error.message : String(error)})`);
  }
  const own = refused?.({ status: reply.status, headers: reply.headers, body: jsonObject(bytes) ?? {} });
  return own ?? refusal(engine, reply.status, once(bytes), reply.headers);
}

async function* once(bytes: Buffer): AsyncGenerator<Uint8Array> {
  yield bytes;
}

async function* frames(body: AsyncIterable<Uint8Array>, framing: 'sse' | 'ndjson'): AsyncGenerator<string> {
  if (framing === 'ndjson') {
    yield* decodeNdjson(body, { maxLineBytes: FRAME_BYTES_MAX });
    return;
  }
  const decoder = new SseDecoder({ maxEventBytes: FRAME_BYTES_MAX });
  for await (const chunk of body) for (const event of decoder.push(chunk)) yield event.data;
  if (decoder.isInsideEvent) throw new Error('the body ended inside an event');
}

function parseFrame(engine: string, data: string): Frame {
  const frame = jsonObject(data);
  if (frame !== null) return frame;
  throw new ServiceError('engine_error', `${engine}: a frame is no JSON object (${data.length} characters)`, {
    details: { engine },
  });
}

/** The object that this JSON is, or null when it is none. */
export function jsonObject(json: string | Buffer): Frame | null {
  try {
    const value: unknown = JSON.parse(json.toString());
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Frame) : null;
  } catch {
    return null;
  }
}

/** The error for an answer that ended without saying that it is whole. */
export function cutShort(engine: string, expected: string): ServiceError {
  return new ServiceError('engine_error', `${engine}: the stream ended without ${expected}`, {
    details: { engine },
  });
}

/** The error for an engine that gave up: nothing that it said may be heard. */
export function gaveUp(engine: string, reason: string): ServiceError {
  return new ServiceError('engine_error', `${engine}: the engine gave up (${reason})`, {
    details: { engine, isDisowned: true },
  });
}
