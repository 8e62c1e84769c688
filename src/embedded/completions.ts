/**
 * Chat and text completions: request to line, pieces to chunks. One function serves both, streamed and not; they
 * differ in the prompt and in the shape of a choice.
 */
import type { ServerResponse } from 'node:http';
import { ServiceError } from '../core/errors.ts';
import type { Clock, Random } from '../core/runtime.ts';
import type { AdapterLease } from './adapters.ts';
import type { EmbeddedEngine, GenerateOptions, GenerateResult, Prompt, SpentTokens } from './engine.ts';
import type { Grammar } from './llama/grammar.ts';
import type { SamplingSettings } from './llama/sampler.ts';
import type { EngineMetrics, FinishedReason } from './metrics.ts';
import type { ChatRequest, CompletionRequest, SamplingRequest } from './wire.ts';
import { wireError, wireUsage } from './wire.ts';

export interface CompletionParts {
  readonly engine: EmbeddedEngine;
  readonly metrics: EngineMetrics;
  /** What answers: the base or an adapter, held until the answer has ended. */
  readonly lease: AdapterLease;
  readonly clock: Clock;
  readonly random: Random;
}

const STOP_CHARACTERS_MAX = 256;
const SEED_RANGE = 2 ** 32;
/** OpenAI's default for text completions. */
const COMPLETION_TOKENS_DEFAULT = 16;

interface Job {
  readonly request: SamplingRequest;
  readonly options: GenerateOptions;
  readonly id: string;
  readonly isChat: boolean;
}

/** Answers one chat completion. Throws before the first byte; after it, an error becomes an event of the stream. */
export async function answerChat(
  request: ChatRequest,
  requestId: string | null,
  reply: ServerResponse,
  parts: CompletionParts,
  signal: AbortSignal,
): Promise<void> {
  const continues = request.continue_final_message ?? false;
  const prompts = request.add_generation_prompt ?? !continues;
  if (continues && prompts)
    throw new ServiceError(
      'bad_request',
      'continue_final_message and add_generation_prompt cannot both be true',
      { details: { param: 'continue_final_message' } },
    );
  const prompt = parts.engine.chatPrompt(request.messages, {
    addGenerationPrompt: prompts,
    continueFinalMessage: continues,
    ...(request.chat_template_kwargs == null ? {} : { extra: request.chat_template_kwargs }),
  });
  const maxTokens = request.max_completion_tokens ?? request.max_tokens ?? null;
  await answer(
    {
      request,
      options: await generateOptions(request, prompt, maxTokens, parts),
      id: replyId('chatcmpl', requestId, parts.random),
      isChat: true,
    },
    reply,
    parts,
    signal,
  );
}

/** Answers one text completion; the prompt may hold control tokens, as raw prompts do. */
export async function answerCompletion(
  request: CompletionRequest,
  requestId: string | null,
  reply: ServerResponse,
  parts: CompletionParts,
  signal: AbortSignal,
): Promise<void> {
  const { engine } = parts;
  let prompt: Prompt;
  if (typeof request.prompt === 'string') prompt = engine.textPrompt(request.prompt, true);
  else {
    // A token id outside the vocabulary would end the process, not the request.
    const wrong = request.prompt.find((token) => token >= engine.vocabularySize);
    if (wrong !== undefined)
      throw new ServiceError(
        'bad_request',
        `prompt: token ${wrong} is not in the vocabulary of ${engine.vocabularySize}`,
        { details: { param: 'prompt' } },
      );
    prompt = { tokens: request.prompt, prefixTokens: 0 };
  }
  const maxTokens = request.max_tokens ?? COMPLETION_TOKENS_DEFAULT;
  await answer(
    {
      request,
      options: await generateOptions(request, prompt, maxTokens, parts),
      id: replyId('cmpl', requestId, parts.random),
      isChat: false,
    },
    reply,
    parts,
    signal,
  );
}

async function answer(
  job: Job,
  reply: ServerResponse,
  parts: CompletionParts,
  signal: AbortSignal,
): Promise<void> {
  const startedMs = parts.clock.monotonicMs();
  let reason: FinishedReason = 'error';
  let completionTokens = 0;
  try {
    const result =
      job.request.stream === true
        ? await streamed(job, reply, parts, signal)
        : await whole(job, reply, parts, signal);
    if (result !== null) {
      reason = result.finish;
      completionTokens = result.completionTokens;
    }
  } catch (error) {
    if (signal.aborted) reason = 'abort';
    throw error;
  } finally {
    const totalMs = parts.clock.monotonicMs() - startedMs;
    parts.metrics.ended({ reason, totalMs, completionTokens });
  }
}

async function whole(
  job: Job,
  reply: ServerResponse,
  parts: CompletionParts,
  signal: AbortSignal,
): Promise<GenerateResult> {
  let text = '';
  const result = await parts.engine.generate(
    job.options,
    (piece) => {
      text += piece;
    },
    signal,
  );
  const ending = {
    finish_reason: result.finish,
    stop_reason: result.stopString,
    logprobs: null,
  };
  const body = {
    id: job.id,
    object: job.isChat ? 'chat.completion' : 'text_completion',
    created: Math.floor(parts.clock.nowMs() / 1_000),
    model: parts.lease.name,
    choices: [
      job.isChat
        ? { index: 0, message: { role: 'assistant', content: text }, ...ending }
        : { index: 0, text, ...ending },
    ],
    usage: wireUsage(result),
  };
  reply.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  return result;
}

/**
 * Writes one event per piece of text. A slow reader fills its socket's buffer, never more than one answer's worth:
 * the context bounds the tokens. Returns null when the failure was written into the stream.
 */
async function streamed(
  job: Job,
  reply: ServerResponse,
  parts: CompletionParts,
  signal: AbortSignal,
): Promise<GenerateResult | null> {
  // The head of every chunk is the same text, so only the changing tail is put together per token.
  const head = JSON.stringify({
    id: job.id,
    object: job.isChat ? 'chat.completion.chunk' : 'text_completion',
    created: Math.floor(parts.clock.nowMs() / 1_000),
    model: parts.lease.name,
  }).slice(0, -1);
  const event = (tail: string) => `data: ${head},${tail}}\n\n`;
  // vLLM's `continuous_usage_stats`: a reader that leaves early still knows what was spent.
  const isCounted = job.request.stream_options?.continuous_usage_stats === true;
  const choice = (text: string, ending: string, spent: SpentTokens | null) => {
    const usage = spent !== null && isCounted ? `,"usage":${JSON.stringify(wireUsage(spent))}` : '';
    return job.isChat
      ? event(
          `"choices":[{"index":0,"delta":${text === '' ? '{}' : `{"content":${JSON.stringify(text)}}`},"logprobs":null,${ending}}]${usage}`,
        )
      : event(`"choices":[{"index":0,"text":${JSON.stringify(text)},"logprobs":null,${ending}}]${usage}`);
  };
  const start = () => {
    if (reply.headersSent) return;
    reply.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache' });
    if (job.isChat)
      reply.write(
        event(
          '"choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]',
        ),
      );
  };
  let result: GenerateResult;
  try {
    result = await parts.engine.generate(
      job.options,
      (piece, spent) => {
        start();
        reply.write(choice(piece, '"finish_reason":null', spent));
      },
      signal,
    );
  } catch (error) {
    if (!reply.headersSent || signal.aborted) throw error;
    // vLLM's form of a failure in mid-stream: an error event, then the end mark (engines.md §3.4).
    reply.end(`data: ${JSON.stringify(wireError(error).body)}\n\ndata: [DONE]\n\n`);
    return null;
  }
  start();
  const ending = `"finish_reason":"${result.finish}","stop_reason":${JSON.stringify(result.stopString)}`;
  let tail = choice('', ending, result);
  if (job.request.stream_options?.include_usage === true)
    tail += event(`"choices":[],"usage":${JSON.stringify(wireUsage(result))}`);
  reply.end(`${tail}data: [DONE]\n\n`);
  return result;
}

async function generateOptions(
  request: SamplingRequest,
  prompt: Prompt,
  maxTokens: number | null,
  parts: CompletionParts,
): Promise<GenerateOptions> {
  const stop = typeof request.stop === 'string' ? [request.stop] : (request.stop ?? []);
  if (stop.some((text) => text === '' || text.length > STOP_CHARACTERS_MAX))
    throw new ServiceError('bad_request', `stop: each string has 1 to ${STOP_CHARACTERS_MAX} characters`, {
      details: { param: 'stop' },
    });
  return {
    adapter: parts.lease.adapter,
    prompt,
    maxTokens,
    stop,
    sampling: samplingSettings(request, parts),
    grammar: await grammarOf(request, parts.engine),
    includeStop: request.include_stop_str_in_output ?? false,
    ignoresEnd: request.ignore_eos ?? false,
    priority: request.priority ?? 0,
  };
}

function samplingSettings(request: SamplingRequest, parts: CompletionParts): SamplingSettings {
  const tokenBias = new Map<number, number>();
  for (const [key, bias] of Object.entries(request.logit_bias ?? {})) {
    const token = Number(key);
    if (token >= parts.engine.vocabularySize)
      throw new ServiceError(
        'bad_request',
        `logit_bias: token ${key} is not in the vocabulary of ${parts.engine.vocabularySize}`,
        { details: { param: 'logit_bias' } },
      );
    tokenBias.set(token, bias);
  }
  const topK = request.top_k ?? 0;
  return {
    temperature: request.temperature ?? 1,
    topK: topK === -1 ? 0 : topK,
    topP: request.top_p ?? 1,
    minP: request.min_p ?? 0,
    seed: Math.abs(request.seed ?? Math.floor(parts.random.next() * SEED_RANGE)) % SEED_RANGE,
    repetitionPenalty: request.repetition_penalty ?? 1,
    presencePenalty: request.presence_penalty ?? 0,
    frequencyPenalty: request.frequency_penalty ?? 0,
    tokenBias,
  };
}

async function grammarOf(request: SamplingRequest, engine: EmbeddedEngine): Promise<Grammar | null> {
  const format = request.response_format;
  if (format == null || format.type === 'text') return null;
  return engine.grammar(format.type === 'json_schema' ? format.json_schema.schema : null);
}

function replyId(prefix: string, requestId: string | null, random: Random): string {
  return requestId === null ? random.id(prefix) : `${prefix}-${requestId}`;
}
