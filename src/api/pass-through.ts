/**
 * A request for a model goes to its engine as it came and the reply comes back as it comes, chunk by chunk: what the
 * engine says about its errors is its own. Ours are the place in the queue, the hang-up, and the end of a broken reply.
 */
import type { ServerResponse } from 'node:http';
import { ServiceError } from '../core/errors.ts';
import type { WireResponse } from '../core/transport.ts';
import type { DoorContext } from './door.ts';
import type { Asked } from './fast-lane.ts';
import { untilHangUp, writeAll } from './hang-up.ts';
import type { OpenAiBody, OpenAiRoute } from './openai-body.ts';
import { openAiErrorOf, shown } from './problem.ts';
import type { PlaceAsk } from './services.ts';

/** Only what a trace needs goes on; keys, cookies and addresses of the client stay here. */
const FORWARDED_REQUEST = ['traceparent', 'tracestate'] as const;
const FORWARDED_VALUE_LENGTH_MAX = 512;
const FORWARDED_REPLY = ['content-type', 'content-length', 'retry-after', 'cache-control'] as const;
const LINE_FEED = 0x0a;
/** A request that states no limit is charged as a long answer. */
const MAX_TOKENS_ASSUMED = 512;

/** Resolves when the reply is written or the client is gone. Throws only while nothing was written yet. */
export async function passThrough(
  context: DoorContext,
  route: OpenAiRoute,
  body: OpenAiBody,
  asked: Asked,
): Promise<void> {
  const lane = route === '/v1/embeddings' ? 'short' : 'generation';
  const target = context.services.passThrough(body.model, versionOf(asked), lane);
  using life = untilHangUp(asked.raw);
  using _place = await target.admission.acquire(placeAsk(body, asked), life.signal);
  const response = await target.transport.exchange(
    {
      method: 'POST',
      path: route,
      headers: requestHeaders(asked),
      body:
        target.model === body.model ? body.bytes : JSON.stringify({ ...body.fields, model: target.model }),
    },
    life.signal,
  );
  asked.begin();
  await relay(context, response, asked, life.signal);
}

/** Nobody counts the tokens of what is passed on: the length of the body stands for them, four bytes a token. */
function placeAsk({ bytes, fields }: OpenAiBody, { caller }: Asked): PlaceAsk {
  const wanted = fields['max_tokens'] ?? fields['max_completion_tokens'];
  return {
    priority: 'interactive',
    player: typeof fields['user'] === 'string' ? fields['user'] : null,
    source: caller.key?.id ?? 'local',
    promptTokens: Math.ceil(bytes.byteLength / 4),
    maxTokens:
      Number.isSafeInteger(wanted) && (wanted as number) > 0 ? (wanted as number) : MAX_TOKENS_ASSUMED,
    deadlineMonoMs: Number.POSITIVE_INFINITY,
  };
}

/** x-model-version picks a version of the model; empty is none. */
export function versionOf({ headers }: Pick<Asked, 'headers'>): string | null {
  const value = headers['x-model-version'];
  return typeof value === 'string' && value !== '' ? value : null;
}

function requestHeaders(asked: Asked): Record<string, string> {
  const headers: Record<string, string> = { 'content-type': 'application/json', 'x-request-id': asked.id };
  for (const name of FORWARDED_REQUEST) {
    const value = asked.headers[name];
    if (typeof value === 'string' && value.length <= FORWARDED_VALUE_LENGTH_MAX) headers[name] = value;
  }
  return headers;
}

async function relay(
  { services, limits }: DoorContext,
  response: WireResponse,
  { id, raw }: Asked,
  signal: AbortSignal,
): Promise<void> {
  const isStream = String(response.headers['content-type']).startsWith('text/event-stream');
  writeHead(raw, id, response);
  if (isStream) flushSoon(raw);
  let lastByte: number | undefined = LINE_FEED;
  try {
    for await (const chunk of response.body) {
      await writeAll(raw, chunk, signal);
      if (chunk.length > 0) lastByte = chunk[chunk.length - 1];
    }
    raw.end();
  } catch (error) {
    if (signal.aborted || !isStream || lastByte !== LINE_FEED) {
      // What was cut within a body, or within a line of a stream, must not look whole.
      raw.destroy();
      return;
    }
    const reason =
      error instanceof ServiceError
        ? error
        : new ServiceError('engine_error', `the engine's reply broke off: ${(error as Error).message}`);
    const told = openAiErrorOf(shown(reason, services.log, limits.bodyBytesMax));
    // The empty line closes an event that was cut after a line.
    raw.end(`\ndata: ${JSON.stringify(told)}\n\n`);
  }
}

function writeHead(raw: ServerResponse, id: string, { status, headers }: WireResponse): void {
  const head = ['x-request-id', id];
  for (const name of FORWARDED_REPLY) {
    const value = headers[name];
    if (typeof value === 'string') head.push(name, value);
    else for (const each of value ?? []) head.push(name, each);
  }
  raw.writeHead(status, head);
}

/**
 * A stream's head tells the client that it was heard, so it does not wait for the first token; but a token that is there
 * already shares its packet, because every packet costs this process and the client a call. It is the socket that is
 * corked: a corked response that ends in the same tick writes its end before its body (node 24.21).
 */
function flushSoon(raw: ServerResponse): void {
  const { socket } = raw;
  socket?.cork();
  raw.flushHeaders();
  process.nextTick(() => socket?.uncork());
}
