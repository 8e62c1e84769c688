/**
 * The engine behind the wire: prompt to tokens, one line through the scheduler, tokens to text. Owns the model, its
 * context and the scheduler; knows nothing of HTTP.
 */
import { ServiceError } from '../core/errors.ts';
import type { Clock, Logger } from '../core/runtime.ts';
import { Adapters } from './adapters.ts';
import type { RenderOptions, TemplateMessage } from './chat-template.ts';
import { ChatTemplate } from './chat-template.ts';
import { EmbeddingPace, EmbeddingTask } from './embedding-task.ts';
import type { LineAdapter, LineResult } from './line.ts';
import type { DecodeContext } from './llama/decode-context.ts';
import type { Embedder } from './llama/embedder.ts';
import type { Grammar } from './llama/grammar.ts';
import type { LoadedModel } from './llama/model.ts';
import { loadModel } from './llama/model.ts';
import type { SamplingSettings } from './llama/sampler.ts';
import type { EmbeddedOptions } from './options.ts';
import { DEFAULT_CONTEXT_TOKENS_MAX } from './options.ts';
import { keptSequences } from './prompt-cache.ts';
import type { SchedulerObserver } from './scheduler.ts';
import { Scheduler } from './scheduler.ts';
import { SentenceMark, StopStrings, TokenText } from './text-stream.ts';

export interface Prompt {
  readonly tokens: readonly number[];
  /** Tokens of the part that other prompts share; 0 when unknown. */
  readonly prefixTokens: number;
}

export interface GenerateOptions {
  /** Of a lease that outlives the line; null is the base. */
  readonly adapter: LineAdapter | null;
  readonly prompt: Prompt;
  /** null: as many as the context has room for. More than that is cut to it. */
  readonly maxTokens: number | null;
  readonly sampling: SamplingSettings;
  readonly grammar: Grammar | null;
  readonly stop: readonly string[];
  readonly includeStop: boolean;
  /** End tokens are neither obeyed nor made. */
  readonly ignoresEnd: boolean;
  readonly priority: number;
}

/** What a line has used so far. */
export interface SpentTokens {
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly completionTokens: number;
}

export interface GenerateResult extends LineResult {
  /** The stop string that ended the line, or null. */
  readonly stopString: string | null;
}

/** `null` is any object. */
export type ResponseSchema = Readonly<Record<string, unknown>> | null;

export class EmbeddedEngine implements AsyncDisposable {
  readonly #model: LoadedModel;
  readonly #template: ChatTemplate;
  readonly #context: DecodeContext;
  readonly #scheduler: Scheduler;
  readonly #adapters: Adapters;
  readonly #options: EmbeddedOptions;
  readonly #clock: Clock;
  readonly #embeddingPace = new EmbeddingPace();
  #embedder: Promise<Embedder> | null = null;

  private constructor(
    model: LoadedModel,
    context: DecodeContext,
    options: EmbeddedOptions,
    { clock, log, observer }: { clock: Clock; log: Logger; observer: SchedulerObserver },
  ) {
    this.#model = model;
    this.#template = new ChatTemplate(model);
    this.#context = context;
    this.#options = options;
    this.#clock = clock;
    this.#scheduler = new Scheduler(context, options, clock, observer);
    this.#adapters = new Adapters(options, {
      loop: this.#scheduler,
      loadLora: (file) => model.loadLora(file),
      clock,
      log,
    });
  }

  /** Loads the model and makes the context. Throws `model_invalid`, `out_of_memory`, `config_invalid`. */
  static async load(
    options: EmbeddedOptions,
    parts: { clock: Clock; log: Logger; observer: SchedulerObserver; onProgress?: (ratio: number) => void },
  ): Promise<EmbeddedEngine> {
    const model = await loadModel({
      modelPath: options.modelPath,
      gpu: options.gpu,
      ...(parts.onProgress === undefined ? {} : { onProgress: parts.onProgress }),
    });
    try {
      const contextTokens =
        options.contextTokens ?? Math.min(model.trainContextTokens, DEFAULT_CONTEXT_TOKENS_MAX);
      if (contextTokens > model.trainContextTokens)
        throw new ServiceError(
          'config_invalid',
          `contextTokens is ${contextTokens} but the model was trained on ${model.trainContextTokens}; lower it`,
        );
      const prefixSequences = keptSequences(options, model.copiesWhole);
      const context = await model.createContext({
        sequences: options.sequences + prefixSequences,
        contextTokens,
        batchTokens: options.prefillTokensPerStep + options.sequences,
        threads: options.threads,
      });
      return new EmbeddedEngine(model, context, { ...options, prefixSequences }, parts);
    } catch (error) {
      await model[Symbol.asyncDispose]();
      throw error;
    }
  }

  get contextTokens(): number {
    return this.#context.contextTokens;
  }

  get vocabularySize(): number {
    return this.#model.vocabularySize;
  }

  get scheduler(): Scheduler {
    return this.#scheduler;
  }

  get adapters(): Adapters {
    return this.#adapters;
  }

  /** Tokens of a chat. Throws `bad_request` when the model's template refuses the messages. */
  chatPrompt(messages: readonly TemplateMessage[], options: RenderOptions): Prompt {
    const rendered = this.#template.render(messages, options);
    return { tokens: rendered.tokens, prefixTokens: rendered.systemTokens };
  }

  /**
   * Tokens of a raw text. `special` lets the writer use control tokens and begins with the model's first token, as a
   * completion does; without, it is plain text, as a message's content is.
   */
  textPrompt(text: string, special: boolean): Prompt {
    const tokens = this.#model.tokenize(text, special);
    const { bosToken } = this.#model;
    if (special && bosToken !== null && tokens[0] !== bosToken) tokens.unshift(bosToken);
    return { tokens, prefixTokens: 0 };
  }

  /** Throws `bad_request` when the schema says what a grammar cannot. */
  grammar(schema: ResponseSchema): Promise<Grammar> {
    return schema === null ? this.#model.anyJsonGrammar() : this.#model.jsonGrammar(schema);
  }

  /**
   * Generates one line and hands its text to `onText` piece by piece: whole characters, never a part of a stop string.
   * Throws `context_length_exceeded` naming both numbers, `overloaded`, `engine_error`; aborting frees the sequence.
   */
  async generate(
    options: GenerateOptions,
    onText: (text: string, spent: SpentTokens) => void,
    signal: AbortSignal,
  ): Promise<GenerateResult> {
    const { tokens, prefixTokens } = options.prompt;
    if (tokens.length === 0)
      throw new ServiceError('bad_request', 'the prompt is empty; send at least one token');
    const room = this.contextTokens - tokens.length;
    if (room < 1) throw this.#tooLong(tokens.length);
    const text = new TokenText((part) => this.#model.detokenize(part), tokens);
    const stops = new StopStrings(options.stop, { includeInOutput: options.includeStop });
    let spent: SpentTokens = { promptTokens: tokens.length, cachedTokens: 0, completionTokens: 0 };
    const mark = new SentenceMark();
    const show = (piece: string) => {
      if (piece === '') return;
      mark.push(piece);
      onText(piece, spent);
    };
    const tokenBias = new Map(options.sampling.tokenBias);
    if (options.ignoresEnd) for (const token of this.#model.endTokens) tokenBias.set(token, -Infinity);
    const result = await this.#scheduler.generate(
      {
        adapter: options.adapter,
        prompt: tokens,
        prefixTokens,
        maxTokens: Math.min(options.maxTokens ?? room, room),
        sampling: { ...options.sampling, tokenBias },
        grammar: options.grammar,
        priority: options.priority,
        isEnd: (token) => !options.ignoresEnd && this.#model.isEnd(token),
        hasSaidSentence: () => mark.hasEnded,
        onToken: (token, now) => {
          spent = { promptTokens: tokens.length, ...now };
          const piece = text.push(token);
          if (piece !== '') show(stops.push(piece));
          return stops.matched === null;
        },
      },
      signal,
    );
    if (stops.matched === null) {
      show(stops.push(text.flush()));
      show(stops.flush());
    }
    return { ...result, finish: stops.matched === null ? result.finish : 'stop', stopString: stops.matched };
  }

  /**
   * Vector of a text, of length 1. The first call makes a context of its own for it. Runs in the lane of short work, part
   * by part between passes of generation. Throws `bad_request`, `context_length_exceeded`, `overloaded`; aborting gives
   * the rest up.
   */
  async embed(tokens: readonly number[], signal: AbortSignal): Promise<readonly number[]> {
    if (tokens.length === 0) throw new ServiceError('bad_request', 'input: the text is empty');
    if (tokens.length >= this.contextTokens) throw this.#tooLong(tokens.length);
    const embedder = await this.#embedderOnce();
    const prepared = embedder.prepare(tokens);
    if (prepared.length > this.contextTokens) throw this.#tooLong(prepared.length);
    const task = new EmbeddingTask(embedder, prepared, {
      pace: this.#embeddingPace,
      nowMs: () => this.#clock.monotonicMs(),
    });
    await this.#scheduler.short(task, signal);
    return task.vector;
  }

  /** One context for all; a failure to make it is not kept, because memory may be free later. */
  #embedderOnce(): Promise<Embedder> {
    // Between passes: making a context reads the model's list of adapters, which has no lock.
    this.#embedder ??= this.#scheduler
      .between(() =>
        this.#model.createEmbedder({ contextTokens: this.contextTokens, threads: this.#options.threads }),
      )
      .catch((error: unknown) => {
        this.#embedder = null;
        throw error;
      });
    return this.#embedder;
  }

  #tooLong(promptTokens: number): ServiceError {
    return new ServiceError(
      'context_length_exceeded',
      `This model's maximum context length is ${this.contextTokens} tokens. However, your prompt has ${promptTokens} tokens. Please reduce the length of the prompt.`,
      { details: { contextTokens: this.contextTokens, promptTokens } },
    );
  }

  /** Ends what runs with `draining`, then frees the context and the model. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#scheduler[Symbol.asyncDispose]();
    if (this.#embedder !== null) await (await this.#embedder)[Symbol.asyncDispose]();
    await this.#context[Symbol.asyncDispose]();
    await this.#adapters[Symbol.asyncDispose]();
    await this.#model[Symbol.asyncDispose]();
  }
}
