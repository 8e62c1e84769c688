/**
 * What engines say when something is wrong, in any of the four shapes of engines.md §2.5, and what the ladder makes of
 * it. A reply is never trusted to be short, to be JSON, or to have the type that its name promises.
 */
import { ServiceError } from '../core/errors.ts';
import { readBody } from '../core/transport.ts';

const ERROR_BODY_BYTES_MAX = 64_000;
/** Enough to recognise an HTML page of a proxy; an engine's own message may be longer. */
const RAW_CHARACTERS_MAX = 200;
const MESSAGE_CHARACTERS_MAX = 1_000;

/** The message of an error body: `error.message`, else `error`, else `message`, else the body as JSON. */
export function errorText(body: unknown): string {
  if (typeof body !== 'object' || body === null) return String(body as string | number | boolean | null);
  const { error, message } = body as { error?: unknown; message?: unknown };
  const inner =
    typeof error === 'object' && error !== null ? (error as { message?: unknown }).message : error;
  const text = [inner, message].find((each) => typeof each === 'string' && each !== '');
  return (typeof text === 'string' ? text : JSON.stringify(error ?? body)).slice(0, MESSAGE_CHARACTERS_MAX);
}

/**
 * Turns a reply that is no stream into the error that the ladder understands: 429, 503 and 529 are `overloaded`, 404 is
 * `unknown_model`, a prompt too long is `context_length_exceeded`, 400 is `bad_request`, everything else `engine_error`.
 * A body that is no JSON, or broken off, is shown as far as it is readable; this never throws.
 */
export async function refusal(
  engine: string,
  status: number,
  body: AsyncIterable<Uint8Array>,
): Promise<ServiceError> {
  const text = await readText(body);
  const details = { engine, status };
  const message = `${engine} answered ${status}: ${text}`;
  if (status === 429 || status === 503 || status === 529)
    return new ServiceError('overloaded', message, { details });
  if (status === 404) return new ServiceError('unknown_model', message, { details });
  if ((status === 400 || status === 413) && /context|too long|maximum.*tokens/i.test(text))
    return new ServiceError('context_length_exceeded', message, { details });
  return new ServiceError(status === 400 ? 'bad_request' : 'engine_error', message, { details });
}

/** A 200 that is no event stream: a proxy's page, or an engine that does not stream. */
export async function notAStream(
  engine: string,
  contentType: string,
  body: AsyncIterable<Uint8Array>,
): Promise<ServiceError> {
  return new ServiceError(
    'engine_error',
    `${engine} answered with ${contentType}, expected text/event-stream: ${await readText(body)}; check the engine's base URL`,
    { details: { engine, contentType } },
  );
}

async function readText(body: AsyncIterable<Uint8Array>): Promise<string> {
  let raw: string;
  try {
    raw = (await readBody(body, ERROR_BODY_BYTES_MAX)).toString('utf8');
  } catch (error) {
    return `(body not readable: ${error instanceof Error ? error.message : String(error)})`;
  }
  try {
    return errorText(JSON.parse(raw));
  } catch {
    const text = raw.replace(/\s+/g, ' ').trim().slice(0, RAW_CHARACTERS_MAX);
    return text === '' ? '(no body)' : text;
  }
}
