/**
 * Anthropic's stream and errors, read (engines.md §10.3): named events whose data names them again, prompt counts without
 * the cached part, an output count that grows, and an error as an event after a 200.
 */
import type { EngineFinish, GenerateEvent } from '../core/engine.ts';
import { type ErrorCode, ServiceError } from '../core/errors.ts';
import { type Account, count } from './account.ts';
import { cutShort, type Frame, gaveUp, type Refused, type ReplyReader } from './reply-stream.ts';
import { errorText } from './wire-errors.ts';

interface WireUsage {
  readonly input_tokens?: unknown;
  readonly cache_creation_input_tokens?: unknown;
  readonly cache_read_input_tokens?: unknown;
  readonly output_tokens?: unknown;
  readonly output_tokens_details?: { readonly thinking_tokens?: unknown } | null;
}

interface WireEvent {
  readonly type?: unknown;
  readonly message?: { readonly usage?: WireUsage | null } | null;
  readonly content_block?: { readonly type?: unknown; readonly text?: unknown } | null;
  readonly delta?: {
    readonly type?: unknown;
    readonly text?: unknown;
    readonly stop_reason?: unknown;
  } | null;
  readonly usage?: WireUsage | null;
}

const FINISHES: Readonly<Record<string, EngineFinish>> = {
  end_turn: 'stop',
  stop_sequence: 'stop',
  tool_use: 'stop',
  max_tokens: 'length',
  model_context_window_exceeded: 'length',
  // A long turn of its server's own tools was cut; we ask for none.
  pause_turn: 'length',
  refusal: 'content_filter',
};

export class AnthropicReader implements ReplyReader {
  readonly #engine: string;
  readonly #account: Account;
  #dropLeadingBlanks: boolean;
  #stopReason: string | null = null;
  #prompt: Required<Record<'input' | 'written' | 'read', number>> = { input: 0, written: 0, read: 0 };
  isComplete = false;

  constructor(engine: string, account: Account, options: { readonly dropLeadingBlanks: boolean }) {
    this.#engine = engine;
    this.#account = account;
    this.#dropLeadingBlanks = options.dropLeadingBlanks;
  }

  *take(frame: Frame): Generator<GenerateEvent> {
    const event: WireEvent = frame;
    switch (event.type) {
      case 'message_start':
        // Its output count is that of the first token only.
        this.#notePrompt(event.message?.usage);
        yield { type: 'usage', usage: this.#account.usage };
        return;
      case 'content_block_start':
        if (event.content_block?.type === 'text') yield* this.#say(event.content_block.text);
        return;
      case 'content_block_delta':
        if (event.delta?.type === 'text_delta') yield* this.#say(event.delta.text);
        return;
      case 'message_delta':
        this.#notePrompt(event.usage);
        this.#noteCompletion(event.usage);
        if (typeof event.delta?.stop_reason === 'string') this.#stopReason = event.delta.stop_reason;
        yield { type: 'usage', usage: this.#account.usage };
        return;
      case 'message_stop':
        this.isComplete = true;
        return;
      case 'error':
        throw streamedFailure(this.#engine, frame);
      default:
        // `ping`, `content_block_stop`, and kinds that will come.
        return;
    }
  }

  finish(): GenerateEvent {
    if (this.#stopReason === null) throw cutShort(this.#engine, 'a stop_reason');
    const reason = FINISHES[this.#stopReason];
    if (reason === undefined) throw gaveUp(this.#engine, this.#stopReason);
    return { type: 'finish', reason, usage: this.#account.usage };
  }

  *#say(piece: unknown): Generator<GenerateEvent> {
    if (typeof piece !== 'string') return;
    const text = this.#dropLeadingBlanks ? piece.trimStart() : piece;
    if (text !== '') this.#dropLeadingBlanks = false;
    yield* this.#account.heard(text);
  }

  /** The three counts do not overlap; each is kept until a later event says another. */
  #notePrompt(usage: WireUsage | null | undefined): void {
    if (!usage) return;
    this.#prompt = {
      input: count(usage.input_tokens) ?? this.#prompt.input,
      written: count(usage.cache_creation_input_tokens) ?? this.#prompt.written,
      read: count(usage.cache_read_input_tokens) ?? this.#prompt.read,
    };
    const { input, written, read } = this.#prompt;
    if (input + written + read === 0) return;
    this.#account.reportPrompt({
      promptTokens: input + written + read,
      cachedTokens: read,
      cacheWriteTokens: written,
    });
  }

  #noteCompletion(usage: WireUsage | null | undefined): void {
    const completionTokens = count(usage?.output_tokens);
    if (completionTokens === null) return;
    const reasoningTokens = count(usage?.output_tokens_details?.thinking_tokens);
    this.#account.reportCompletion({
      completionTokens,
      ...(reasoningTokens === null ? {} : { reasoningTokens }),
    });
  }
}

interface WireError {
  readonly type?: unknown;
  readonly message?: unknown;
  readonly details?: { readonly error_code?: unknown } | null;
}

const FAILURES: Readonly<Record<string, ErrorCode>> = {
  authentication_error: 'engine_account',
  billing_error: 'engine_account',
  permission_error: 'engine_account',
  not_found_error: 'unknown_model',
  request_too_large: 'context_length_exceeded',
  invalid_request_error: 'bad_request',
  rate_limit_error: 'overloaded',
  overloaded_error: 'overloaded',
};

/** A spend limit stays until a person raises it, whatever its status says; the codes are those of the SDK 1.11.0. */
const ACCOUNT_CODES = /spend_limit_reached$|billing_unavailable$|^organization_on_hold$/;

/**
 * What only Anthropic says so: a spend limit as a 429, no credit as a 400. Null leaves the rest to what a status means
 * everywhere.
 */
export function anthropicRefusal(engine: string, { status, body }: Refused): ServiceError | null {
  if (!isAccount(body)) return null;
  return new ServiceError('engine_account', `${engine} answered ${status}: ${errorText(body)}`, {
    details: { engine, status },
  });
}

function streamedFailure(engine: string, frame: Frame): ServiceError {
  const { type } = errorOf(frame);
  const text = errorText(frame);
  const code = isAccount(frame)
    ? 'engine_account'
    : type === 'invalid_request_error' && /prompt is too long/i.test(text)
      ? 'context_length_exceeded'
      : (FAILURES[String(type)] ?? 'engine_error');
  return new ServiceError(code, `${engine}: ${String(type)}: ${text}`, { details: { engine } });
}

function isAccount(body: Frame): boolean {
  const { details, message } = errorOf(body);
  const { error_code: topCode } = body as { error_code?: unknown };
  const codes = [details?.error_code, (errorOf(body) as { error_code?: unknown }).error_code, topCode];
  return (
    codes.some((code) => typeof code === 'string' && ACCOUNT_CODES.test(code)) ||
    (typeof message === 'string' && /credit balance is too low/i.test(message))
  );
}

function errorOf(body: Frame): WireError {
  const { error } = body as { error?: unknown };
  return typeof error === 'object' && error !== null ? error : {};
}
