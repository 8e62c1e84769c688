/**
 * What engines say when something is wrong, in any of the four shapes of engines.md §2.5, and what the ladder makes of
 * it (§10.6). A reply is never trusted to be short, to be JSON, or to have the type that its name promises.
 */
import { type ErrorCode, ServiceError } from '../core/errors.ts';
import { readBody, type WireResponse } from '../core/transport.ts';
import { retryHints } from './retry-hints.ts';

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

/** The words by which an error names its kind: `code`, `type`, `error_type`, `status`, of the body or of its `error`. */
function errorNames(body: unknown): readonly string[] {
  if (typeof body !== 'object' || body === null) return [];
  const { error } = body as { error?: unknown };
  return [body, error].flatMap((each) => {
    if (typeof each !== 'object' || each === null) return [];
    const { code, type, error_type, error_code } = each as Readonly<Record<string, unknown>>;
    return [code, type, error_type, error_code].filter((name) => typeof name === 'string');
  });
}

/** Said with a 429 or 400 by OpenAI, Azure, Anthropic and their likes when money is at an end (engines.md §10). */
const ACCOUNT_NAMES: ReadonlySet<string> = new Set([
  'insufficient_quota',
  'credit_balance_exhausted',
  'billing_error',
  'billing_hard_limit_reached',
  'enforced_spend_limit_reached',
  'authentication_error',
  'permission_error',
  'account_deactivated',
]);

const CONTEXT_NAMES: ReadonlySet<string> = new Set([
  'context_length_exceeded',
  'exceed_context_size_error',
  'request_too_large',
  'string_above_max_length',
]);

/** Azure's filter at the prompt (engines.md §10.2); the second stands in `innererror`'s place at some gateways. */
const FILTER_NAMES: ReadonlySet<string> = new Set(['content_filter', 'ResponsibleAIPolicyViolation']);

/**
 * vLLM, SGLang, llama-server, trtllm-serve: "context"; vLLM of an answer alone over it: "max_model_len"; TGI: "must have
 * less than 4096 tokens"; others: "too long".
 */
const CONTEXT_WORDS =
  /context|max_model_len|too long|too many tokens|maximum.*tokens|tokens.*maximum|must have less than|max_num_tokens/i;

/** What a status and the words of its body mean to the ladder. */
function codeOf(status: number, body: unknown, text: string): ErrorCode {
  const names = errorNames(body);
  if (names.some((name) => ACCOUNT_NAMES.has(name))) return 'engine_account';
  if (status === 401 || status === 402 || status === 403) return 'engine_account';
  if (status === 429 || status === 503 || status === 529 || names.includes('overloaded')) return 'overloaded';
  if (status === 404) return 'unknown_model';
  if (status === 400 || status === 413 || status === 422) {
    if (names.some((name) => CONTEXT_NAMES.has(name)) || CONTEXT_WORDS.test(text))
      return 'context_length_exceeded';
    return 'bad_request';
  }
  return 'engine_error';
}

/**
 * Turns a reply that is no stream into the error that the ladder understands: 401, 402, 403 and an empty account are
 * `engine_account`; 429, 503 and 529 `overloaded`; 404 `unknown_model`; a prompt too long `context_length_exceeded`; 400,
 * 413 and 422 `bad_request`; everything else `engine_error`. Details hold the hints of its headers (`retryAfterMs`), and
 * `isFiltered` where its content filter refused the prompt.
 * A redirect is not followed: a key must not wander to another host. A body that is no JSON, or broken off, is shown as
 * far as it is readable; this never throws.
 */
export async function refusal(
  engine: string,
  status: number,
  body: AsyncIterable<Uint8Array>,
  headers: WireResponse['headers'] = {},
): Promise<ServiceError> {
  const { text, json } = await readError(body);
  const isFiltered = status === 400 && errorNames(json).some((name) => FILTER_NAMES.has(name));
  const details = { engine, status, ...retryHints(headers), ...(isFiltered ? { isFiltered } : {}) };
  if (status >= 300 && status < 400) return redirect(engine, status, headers, details);
  return new ServiceError(codeOf(status, json, text), `${engine} answered ${status}: ${text}`, { details });
}

function redirect(
  engine: string,
  status: number,
  headers: WireResponse['headers'],
  details: Readonly<Record<string, unknown>>,
): ServiceError {
  const location = String(headers['location'] ?? 'nowhere').slice(0, RAW_CHARACTERS_MAX);
  return new ServiceError(
    'engine_error',
    `${engine} answered ${status} with a redirect to ${location}, which is not followed; set baseUrl to where it really is`,
    { details: { ...details, location } },
  );
}

/** An error that came in the stream, after a 200. A status may stand in its `code` (vLLM, SGLang, llama-server). */
export function streamedError(engine: string, frame: unknown): ServiceError {
  const text = errorText(frame);
  const { error } = (frame ?? {}) as { error?: unknown };
  const { code } = (typeof error === 'object' && error !== null ? error : frame) as { code?: unknown };
  const status = typeof code === 'number' ? code : Number.parseInt(String(code), 10);
  const meaning = codeOf(Number.isNaN(status) ? 500 : status, frame, text);
  return new ServiceError(meaning, `${engine}: ${text}`, { details: { engine } });
}

/** A 200 that is no event stream: a proxy's page, or an engine that does not stream. */
export async function notAStream(
  engine: string,
  contentType: string,
  body: AsyncIterable<Uint8Array>,
): Promise<ServiceError> {
  const { text } = await readError(body);
  return new ServiceError(
    'engine_error',
    `${engine} answered with ${contentType}, expected text/event-stream: ${text}; check the engine's base URL`,
    { details: { engine, contentType } },
  );
}

interface ReadError {
  /** For people. */
  readonly text: string;
  /** The body where it is JSON, else null. */
  readonly json: unknown;
}

async function readError(body: AsyncIterable<Uint8Array>): Promise<ReadError> {
  let raw: string;
  try {
    raw = (await readBody(body, ERROR_BODY_BYTES_MAX)).toString('utf8');
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return { text: `(body not readable: ${reason})`, json: null };
  }
  try {
    const json: unknown = JSON.parse(raw);
    return { text: errorText(json), json };
  } catch {
    const text = raw.replace(/\s+/g, ' ').trim().slice(0, RAW_CHARACTERS_MAX);
    return { text: text === '' ? '(no body)' : text, json: null };
  }
}
