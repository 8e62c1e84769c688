/**
 * Errors on the wire. One catalogue (`core/errors.ts`), two forms: problem details (RFC 9457) with our stable `code`, and
 * OpenAI's `{"error": …}` on the doors that speak its dialect. What failed inside is logged, never shown.
 */
import type { ServerResponse } from 'node:http';
import type { FastifyReply } from 'fastify';
import { ERRORS, type ErrorCode, ServiceError } from '../core/errors.ts';
import type { Logger } from '../core/runtime.ts';

/** fastify's own errors, by its code; the rest goes by status. */
const FRAMEWORK_CODES: Readonly<Record<string, ErrorCode>> = {
  FST_ERR_CTP_INVALID_JSON_BODY: 'malformed_json',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'malformed_json',
  FST_ERR_CTP_BODY_TOO_LARGE: 'body_too_large',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'unsupported_media_type',
  FST_ERR_NOT_FOUND: 'not_found',
};

/** Seconds until a retry is worth it, where nothing better is known. */
const RETRY_AFTER_S = 1;

const OPENAI_PATH = /^\/v1\/(?:chat\/completions|completions|embeddings|models)(?:[/?]|$)/;

/** Whether this address answers in OpenAI's form. `url` is the path with its query. */
export function speaksOpenAi(url: string): boolean {
  return OPENAI_PATH.test(url);
}

/** Anything caught, as an operating error that may be shown. `bodyBytesMax` is named where it was exceeded. */
export function shown(error: unknown, log: Logger, bodyBytesMax: number): ServiceError {
  if (error instanceof ServiceError && error.code !== 'internal') return error;
  const { code, statusCode, message } = error as { code?: string; statusCode?: number; message?: string };
  const known = code === undefined ? undefined : FRAMEWORK_CODES[code];
  if (known === 'body_too_large')
    return new ServiceError(known, `the body is over ${bodyBytesMax} bytes (limits.bodyBytesMax)`);
  if (known !== undefined) return new ServiceError(known, `${message}`, { cause: error });
  if (error instanceof SyntaxError && statusCode === 400)
    return new ServiceError('malformed_json', `the body is not JSON: ${error.message}`);
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500)
    return new ServiceError(statusCode === 404 ? 'not_found' : 'bad_request', `${message}`);
  log.error('http.failed', { error: ServiceError.from(error).cause ?? error });
  return new ServiceError('internal', ERRORS.internal.title, { cause: error });
}

/** RFC 9457. `type` is an address below our error reference, which names what to do. */
export function problemOf(error: ServiceError, requestId: string): Readonly<Record<string, unknown>> {
  const { title, advice } = ERRORS[error.code];
  const { field } = error.details;
  return {
    type: `urn:greenroom:error:${error.code}`,
    title,
    status: error.status,
    detail: error.message,
    code: error.code,
    advice,
    retryable: error.retryable,
    ...(typeof field === 'string' ? { field } : {}),
    request_id: requestId,
  };
}

/** OpenAI's form, which its official clients read. */
export function openAiErrorOf(error: ServiceError): { readonly error: Readonly<Record<string, unknown>> } {
  const { field } = error.details;
  return {
    error: {
      message: error.message,
      type: ERRORS[error.code].openai,
      param: typeof field === 'string' ? field : null,
      code: error.code,
    },
  };
}

/** Answers with the error in the form of this address. For a client that hung up nothing arrives, and that is fine. */
export async function sendError(reply: FastifyReply, error: ServiceError): Promise<void> {
  const { headers, body } = errorReply(reply.request, error);
  reply.code(error.status).headers(headers);
  await reply.send(body);
}

/** The same on a reply that no framework knows; nothing of it was written yet. */
export function writeError(
  raw: ServerResponse,
  request: { readonly url: string; readonly id: string },
  error: ServiceError,
): void {
  if (raw.destroyed) return;
  const { headers, body } = errorReply(request, error);
  raw.writeHead(error.status, {
    ...headers,
    'content-length': Buffer.byteLength(body),
    'x-request-id': request.id,
  });
  raw.end(body);
}

function errorReply(
  { url, id }: { readonly url: string; readonly id: string },
  error: ServiceError,
): { readonly headers: Record<string, string>; readonly body: string } {
  const isOpenAi = speaksOpenAi(url);
  const headers: Record<string, string> = {
    'content-type': isOpenAi ? 'application/json; charset=utf-8' : 'application/problem+json; charset=utf-8',
  };
  if (error.status === 503) {
    const { retryAfterMs } = error.details;
    const seconds = typeof retryAfterMs === 'number' ? Math.ceil(retryAfterMs / 1_000) : RETRY_AFTER_S;
    headers['retry-after'] = String(seconds);
  }
  if (error.status === 401) headers['www-authenticate'] = 'Bearer realm="greenroom"';
  return { headers, body: JSON.stringify(isOpenAi ? openAiErrorOf(error) : problemOf(error, id)) };
}
