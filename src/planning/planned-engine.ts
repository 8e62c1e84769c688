/**
 * The server side of a planned engine: the wire that vLLM and OpenAI share, answered by the arithmetic of
 * engine-model.ts. The gateway's own driver reads it, so what is planned is what runs.
 */
import { ServiceError } from '../core/errors.ts';
import type { Clock } from '../core/runtime.ts';
import type { Transport, WireRequest, WireResponse } from '../core/transport.ts';
import { EngineModel, type EnginePace } from './engine-model.ts';
import { plannedAnswer } from './planned-speech.ts';
import { blocksOf, tokensOf } from './prefix-blocks.ts';
import type { SeededRandom } from './seeded-random.ts';

export interface PlannedEngineOptions {
  readonly model: string;
  readonly pace: EnginePace;
  readonly contextTokens: number;
  /** Words of an answer to a prompt, mean. */
  readonly answerWords: (prompt: string) => number;
  readonly clock: Clock;
  readonly random: SeededRandom;
}

/** Text is sent in pieces of at most so many tokens, so that a stream shows the pace it has. */
const TOKENS_PER_PIECE = 8;
/** A chat template puts about so many tokens around a message (ChatML). */
const MESSAGE_TOKENS = 5;

export class PlannedEngine {
  readonly model: EngineModel;
  readonly #options: PlannedEngineOptions;

  constructor(options: PlannedEngineOptions) {
    this.#options = options;
    this.model = new EngineModel(options.pace, options.clock);
  }

  /** A connection to it. An abort ends the work at the end of the step under way. */
  connect(): Transport {
    return {
      exchange: (request, signal) => this.#answer(request, signal),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
  }

  async #answer(request: WireRequest, signal: AbortSignal): Promise<WireResponse> {
    signal.throwIfAborted();
    if (request.path.endsWith('/chat/completions')) return this.#chat(request, signal);
    const { contextTokens, model } = this.#options;
    const { pathname } = new URL(request.path, 'http://planned');
    switch (pathname.split('/').at(-1)) {
      case 'tokenize': {
        const { prompt } = JSON.parse(String(request.body)) as { prompt?: string };
        return json({ count: tokensOf(prompt ?? ''), max_model_len: contextTokens, tokens: [] });
      }
      case 'models':
        return json({
          object: 'list',
          data: [{ id: model, object: 'model', max_model_len: contextTokens, parent: null }],
        });
      case 'completions':
        return json({ choices: [{ index: 0, text: 'a', finish_reason: 'length' }] });
      case 'version':
        return json({ version: '0.0.0-planned' });
      default:
        return json({ status: 'ok' });
    }
  }

  #chat(request: WireRequest, signal: AbortSignal): WireResponse {
    const { random, answerWords } = this.#options;
    const body = JSON.parse(String(request.body)) as ChatBody;
    const prompt = body.messages.map(({ role, content }) => `<${role}>${content}`).join('\n');
    const promptTokens = tokensOf(prompt) + MESSAGE_TOKENS * body.messages.length;
    const maxTokens = body.max_tokens ?? body.max_completion_tokens ?? 512;
    const pieces = piecesOf(plannedAnswer(random, answerWords(prompt)), maxTokens);
    const stream = new ByteStream(signal);
    const usage = (completionTokens: number) => ({
      prompt_tokens: promptTokens,
      completion_tokens: completionTokens,
      total_tokens: promptTokens + completionTokens,
      prompt_tokens_details: { cached_tokens: job.cachedTokens },
    });
    const texts = new Map(pieces.map(({ text, untilToken }) => [untilToken, text]));
    const lastToken = pieces.at(-1)?.untilToken ?? 1;
    const job = this.model.start({
      promptTokens,
      promptBlocks: blocksOf(prompt),
      marks: pieces.map(({ untilToken }) => untilToken),
      onMark: (token) => {
        const text = texts.get(token) ?? '';
        // vLLM tells its account with each piece, so that a line that is left early is accounted, too.
        let sent = sse({
          choices: [{ index: 0, delta: { content: text }, finish_reason: null }],
          usage: usage(token),
        });
        if (token === lastToken)
          sent +=
            sse({
              choices: [{ index: 0, delta: {}, finish_reason: lastToken >= maxTokens ? 'length' : 'stop' }],
            }) +
            sse({ choices: [], usage: usage(token) }) +
            'data: [DONE]\n\n';
        stream.push(sent, token === lastToken);
      },
    });
    stream.onLeft = () => job[Symbol.dispose]();
    return { status: 200, headers: { 'content-type': 'text/event-stream; charset=utf-8' }, body: stream };
  }
}

interface ChatBody {
  readonly messages: readonly { readonly role: string; readonly content: string }[];
  readonly max_tokens?: number;
  readonly max_completion_tokens?: number;
}

interface Piece {
  readonly text: string;
  /** The token with which it is complete. */
  readonly untilToken: number;
}

/** The first token alone, then pieces that end with their sentence at the latest. */
function piecesOf(sentences: readonly string[], tokensMax: number): readonly Piece[] {
  const pieces: Piece[] = [];
  let made = 0;
  for (const [number, sentence] of sentences.entries()) {
    const text = `${number === 0 ? '' : ' '}${sentence}`;
    const tokens = tokensOf(text);
    let cut = 0;
    for (let token = 0; token < tokens; ) {
      if (made >= tokensMax) return pieces;
      const take = Math.min(made === 0 ? 1 : TOKENS_PER_PIECE, tokens - token, tokensMax - made);
      token += take;
      made += take;
      const end = token === tokens ? text.length : Math.floor((text.length * token) / tokens);
      pieces.push({ text: text.slice(cut, end), untilToken: made });
      cut = end;
    }
  }
  return pieces;
}

const sse = (value: unknown) => `data: ${JSON.stringify(value)}\n\n`;

function json(value: unknown): WireResponse {
  const bytes = Buffer.from(JSON.stringify(value));
  return {
    status: 200,
    headers: { 'content-type': 'application/json' },
    body: (async function* () {
      yield bytes;
    })(),
  };
}

/** Bytes as they come, to one reader. Who leaves the loop, or aborts, ends the work. */
class ByteStream implements AsyncIterable<Uint8Array> {
  onLeft: () => void = () => {};
  readonly #signal: AbortSignal;
  readonly #waiting: Uint8Array[] = [];
  #isEnded = false;
  #wake: () => void = () => {};

  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  push(text: string, isLast: boolean): void {
    this.#waiting.push(Buffer.from(text));
    this.#isEnded ||= isLast;
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    const signal = this.#signal;
    const onAbort = () => {
      this.onLeft();
      this.#wake();
    };
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      for (;;) {
        signal.throwIfAborted();
        const bytes = this.#waiting.shift();
        if (bytes !== undefined) yield bytes;
        else if (this.#isEnded) return;
        else
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
          });
      }
    } finally {
      signal.removeEventListener('abort', onAbort);
      this.onLeft();
    }
  }
}

/** A network of planned engines by origin, `http://one.planned`. */
export function plannedNetwork(engines: ReadonlyMap<string, PlannedEngine>) {
  return ({ baseUrl }: { readonly baseUrl: string }): Transport => {
    const { origin } = new URL(baseUrl);
    const engine = engines.get(origin);
    if (engine === undefined)
      throw new ServiceError('internal', `the plan has no engine at ${origin}; it connects to its own only`);
    return engine.connect();
  };
}
