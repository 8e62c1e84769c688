/**
 * Gemini's stream and errors, read (engines.md §10.4): each event a whole response, thoughts counted apart, a blocked
 * prompt as a 200 without candidates, and the time to wait inside the body of a 429.
 */
import type { EngineFinish, GenerateEvent } from '../core/engine.ts';
import { type ErrorCode, ServiceError } from '../core/errors.ts';
import { type Account, count } from './account.ts';
import { cutShort, type Frame, gaveUp, type Refused, type ReplyReader } from './reply-stream.ts';
import { errorText } from './wire-errors.ts';

interface WireResponse {
  readonly candidates?:
    | readonly ({
        readonly content?: {
          readonly parts?: readonly ({ readonly text?: unknown; readonly thought?: unknown } | null)[] | null;
        } | null;
        readonly finishReason?: unknown;
      } | null)[]
    | null;
  readonly promptFeedback?: { readonly blockReason?: unknown } | null;
  readonly usageMetadata?: {
    readonly promptTokenCount?: unknown;
    readonly cachedContentTokenCount?: unknown;
    readonly candidatesTokenCount?: unknown;
    readonly thoughtsTokenCount?: unknown;
  } | null;
  readonly error?: unknown;
}

const FINISHES: Readonly<Record<string, EngineFinish>> = {
  STOP: 'stop',
  MAX_TOKENS: 'length',
  SAFETY: 'content_filter',
  RECITATION: 'content_filter',
  BLOCKLIST: 'content_filter',
  PROHIBITED_CONTENT: 'content_filter',
  SPII: 'content_filter',
  // A language that the model does not speak; its words would be no good.
  LANGUAGE: 'content_filter',
};

export class GeminiReader implements ReplyReader {
  readonly #engine: string;
  readonly #account: Account;
  #finishReason: string | null = null;
  #isBlocked = false;

  constructor(engine: string, account: Account) {
    this.#engine = engine;
    this.#account = account;
  }

  get isComplete(): boolean {
    return this.#isBlocked || this.#finishReason !== null;
  }

  *take(frame: Frame): Generator<GenerateEvent> {
    const response: WireResponse = frame;
    if (response.error !== undefined) throw failure(this.#engine, null, frame);
    this.#noteUsage(response.usageMetadata);
    const candidate = response.candidates?.[0];
    for (const part of candidate?.content?.parts ?? [])
      if (typeof part?.text === 'string' && part.thought !== true) yield* this.#account.heard(part.text);
    const { finishReason } = candidate ?? {};
    if (typeof finishReason === 'string' && finishReason !== 'FINISH_REASON_UNSPECIFIED')
      this.#finishReason = finishReason;
    else if (!candidate && typeof response.promptFeedback?.blockReason === 'string') this.#isBlocked = true;
    if (response.usageMetadata) yield { type: 'usage', usage: this.#account.usage };
  }

  finish(): GenerateEvent {
    const { usage } = this.#account;
    if (this.#isBlocked) return { type: 'finish', reason: 'content_filter', usage };
    if (this.#finishReason === null) throw cutShort(this.#engine, 'a finishReason');
    const reason = FINISHES[this.#finishReason];
    if (reason === undefined) throw gaveUp(this.#engine, this.#finishReason);
    return { type: 'finish', reason, usage };
  }

  /** The counts grow from event to event; thoughts are billed as output and stand apart from the candidates'. */
  #noteUsage(usage: WireResponse['usageMetadata']): void {
    const promptTokens = count(usage?.promptTokenCount);
    if (promptTokens !== null)
      this.#account.reportPrompt({ promptTokens, cachedTokens: count(usage?.cachedContentTokenCount) ?? 0 });
    const spoken = count(usage?.candidatesTokenCount);
    const reasoningTokens = count(usage?.thoughtsTokenCount) ?? 0;
    if (spoken === null && reasoningTokens === 0) return;
    this.#account.reportCompletion({ completionTokens: (spoken ?? 0) + reasoningTokens, reasoningTokens });
  }
}

interface WireError {
  readonly code?: unknown;
  readonly message?: unknown;
  readonly status?: unknown;
  readonly details?: readonly ErrorDetail[];
}

interface ErrorDetail {
  readonly '@type'?: unknown;
  readonly reason?: unknown;
  readonly retryDelay?: unknown;
  readonly violations?: readonly { readonly quotaId?: unknown }[];
}

/** The names of google.rpc.Code that its errors carry. */
const CODES: Readonly<Record<string, ErrorCode>> = {
  INVALID_ARGUMENT: 'bad_request',
  // A country without the free tier, or no billing.
  FAILED_PRECONDITION: 'engine_account',
  UNAUTHENTICATED: 'engine_account',
  PERMISSION_DENIED: 'engine_account',
  NOT_FOUND: 'unknown_model',
  RESOURCE_EXHAUSTED: 'overloaded',
  UNAVAILABLE: 'overloaded',
};

/** A hint of days is as good as an hour: then one looks again. */
const RETRY_AFTER_MS_MAX = 3_600_000;

/** Null where the body is not Google's: a proxy's page is read as everywhere. */
export function geminiRefusal(engine: string, { status, body }: Refused): ServiceError | null {
  if (typeof errorOf(body).status !== 'string') return null;
  return failure(engine, status, body);
}

function failure(engine: string, status: number | null, body: Frame): ServiceError {
  const error = errorOf(body);
  const retryAfterMs = retryDelayMs(error.details ?? []);
  const said = status === null ? '' : ` answered ${status}`;
  return new ServiceError(
    codeOf(error, status),
    `${engine}${said}: ${String(error.status)}: ${errorText(body)}`,
    {
      details: {
        engine,
        ...(status === null ? {} : { status }),
        ...(retryAfterMs === null ? {} : { retryAfterMs }),
      },
    },
  );
}

function codeOf({ status, message, details = [] }: WireError, httpStatus: number | null): ErrorCode {
  if (httpStatus === 402 || details.some(({ reason }) => reason === 'API_KEY_INVALID'))
    return 'engine_account';
  // A quota of the day is not restored by waiting within any dialogue; nor is a spending cap.
  if (
    status === 'RESOURCE_EXHAUSTED' &&
    (isDaily(details) || /spend(?:ing)? cap|billing/i.test(String(message)))
  )
    return 'engine_account';
  if (
    status === 'INVALID_ARGUMENT' &&
    /token count.*exceeds|exceeds the maximum number of tokens/i.test(String(message))
  )
    return 'context_length_exceeded';
  return CODES[String(status)] ?? 'engine_error';
}

function isDaily(details: readonly ErrorDetail[]): boolean {
  return details.some(
    ({ violations }) => violations?.some(({ quotaId }) => /PerDay/.test(String(quotaId))) === true,
  );
}

/** google.rpc.RetryInfo writes a duration: `59s`, `0.5s`. */
function retryDelayMs(details: readonly ErrorDetail[]): number | null {
  for (const { retryDelay } of details) {
    const seconds = typeof retryDelay === 'string' ? /^(\d+(?:\.\d+)?)s$/.exec(retryDelay)?.[1] : undefined;
    if (seconds !== undefined) return Math.min(RETRY_AFTER_MS_MAX, Math.round(Number(seconds) * 1_000));
  }
  return null;
}

function errorOf(body: Frame): WireError {
  const { error } = body as { error?: unknown };
  if (typeof error !== 'object' || error === null) return {};
  const { details, ...rest } = error as { details?: unknown } & WireError;
  const usable = Array.isArray(details)
    ? details.filter((each) => typeof each === 'object' && each !== null)
    : [];
  return { ...rest, details: usable as readonly ErrorDetail[] };
}
