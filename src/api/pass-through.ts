/**
 * A request for a model goes to its engine as it came and the reply comes back as it comes, chunk by chunk: what the
 * engine says about its errors is its own. Ours are the place in the queue, the hang-up, and the end of a broken reply.
 */
import type { FastifyReply } from 'fastify';
import { ServiceError } from '../core/errors.ts';
import type { WireResponse } from '../core/transport.ts';
import type { DoorContext } from './door.ts';
import { untilHangUp, writeAll } from './hang-up.ts';
import type { OpenAiBody, OpenAiRoute } from './openai-body.ts';
import { openAiErrorOf, shown } from './problem.ts';

/** Only what a trace needs goes on; keys, cookies and addresses of the client stay here. */
const FORWARDED_REQUEST = ['traceparent', 'tracestate'] as const;
const FORWARDED_VALUE_LENGTH_MAX = 512;
const FORWARDED_REPLY = ['content-type', 'content-length', 'retry-after', 'cache-control'] as const;
const LINE_FEED = 0x0a;

/** Resolves when the reply is written or the client is gone. Throws only while nothing was written yet. */
export async function passThrough(
  context: DoorContext,
  route: OpenAiRoute,
  body: OpenAiBody,
  reply: FastifyReply,
): Promise<void> {
  const target = context.services.passThrough(body.model);
  using life = untilHangUp(reply.raw);
  using _place = await target.admission.acquire('interactive', life.signal);
  const response = await target.transport.exchange(
    {
      method: 'POST',
      path: route,
      headers: requestHeaders(reply),
      body:
        target.model === body.model ? body.bytes : JSON.stringify({ ...body.fields, model: target.model }),
    },
    life.signal,
  );
  reply.hijack();
  await relay(context, response, reply, life.signal);
}

function requestHeaders(reply: FastifyReply): Record<string, string> {
  const headers: Record<string, string> = {
    'content-type': 'application/json',
    'x-request-id': reply.request.id,
  };
  for (const name of FORWARDED_REQUEST) {
    const value = reply.request.headers[name];
    if (typeof value === 'string' && value.length <= FORWARDED_VALUE_LENGTH_MAX) headers[name] = value;
  }
  return headers;
}

async function relay(
  { services, limits }: DoorContext,
  response: WireResponse,
  reply: FastifyReply,
  signal: AbortSignal,
): Promise<void> {
  const { raw } = reply;
  const headers: Record<string, string | string[]> = {};
  for (const name of FORWARDED_REPLY) {
    const value = response.headers[name];
    if (value !== undefined) headers[name] = value;
  }
  const isStream = String(response.headers['content-type']).startsWith('text/event-stream');
  raw.writeHead(response.status, headers);
  // A stream's head tells the client that it was heard; a whole body takes the head along in one packet.
  if (isStream) raw.flushHeaders();
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
