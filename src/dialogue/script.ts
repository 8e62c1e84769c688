/**
 * What the engines of one dialogue are asked: the memory is read once, and the prompt is put together for each model
 * that is tried, counted by its own tokenizer and cut to its own context.
 */
import type { Cast } from '../cast/cast.ts';
import type { Persona } from '../cast/persona.ts';
import { type AssembledPrompt, createPromptAssembler, type PromptAssembler } from '../cast/prompt.ts';
import type { AdapterAddress } from '../core/adapter.ts';
import type { DialogueRequest } from '../core/dialogue.ts';
import type { ChatMessage, GenerateRequest, TokenCounter } from '../core/engine.ts';
import type { Replica } from '../routing/replica.ts';
import type { TierPolicy } from '../routing/tiers.ts';
import type { RecentPrefixes } from './recent-prefixes.ts';
import type { Remembered } from './remembered.ts';
import type { Reply } from './reply.ts';
import type { Scene } from './scene.ts';

export interface ScriptParts {
  readonly cast: Cast;
  readonly defaultTemperature: number;
  readonly prefixes: RecentPrefixes;
}

/** Where neither the configuration nor the engine says, this much is taken to fit (tokens). */
const CONTEXT_TOKENS_DEFAULT = 4_096;
/** Something must be said to have a prompt; it is not part of what is stable. */
const GREETING = 'Good evening.';
/** English runs at about 1.4 tokens a word; the rest is for marks and a sentence that is dropped. */
const TOKENS_PER_WORD = 1.6;
const TOKENS_SPARE = 16;
/** A second roll looks further afield, or it would say the same again. */
const REROLL_HOTTER = 0.3;

export interface StablePrompt {
  readonly messages: readonly ChatMessage[];
  /** Of these, and of a few words of greeting. */
  readonly tokens: number;
}

/** The assemblers of the service: stable prefixes are counted once a tokenizer, and kept. */
export class Prompts {
  readonly #parts: ScriptParts;
  readonly #assemblers = new WeakMap<TokenCounter, PromptAssembler>();

  constructor(parts: ScriptParts) {
    this.#parts = parts;
  }

  script(request: DialogueRequest, scene: Scene, remembered: Remembered, signal: AbortSignal): Script {
    return new Script(request, scene, this.#parts, (counter) => this.#assembler(counter), remembered, signal);
  }

  /** What every prompt of this persona begins with, at its own tier. */
  async stable(
    persona: Persona,
    policy: TierPolicy,
    replica: Pick<Replica, 'counter' | 'contextTokens'>,
    signal: AbortSignal,
  ): Promise<StablePrompt> {
    const { cast } = this.#parts;
    const { messages, stableMessageCount, likelyTokens } = await this.#assembler(replica.counter).assemble(
      {
        world: cast.setting,
        persona,
        tier: persona.tier,
        context: { timelineId: 'main', facts: [], history: [], allowedActions: [] },
        history: [],
        summary: null,
        playerText: GREETING,
        trigger: null,
        maxPromptTokens: Math.min(policy.promptTokens, replica.contextTokens ?? CONTEXT_TOKENS_DEFAULT),
        personaTokens: policy.personaTokens,
        npcs: cast.npcs,
      },
      replica.counter,
      signal,
    );
    return { messages: messages.slice(0, stableMessageCount), tokens: likelyTokens };
  }

  #assembler(counter: TokenCounter): PromptAssembler {
    const known = this.#assemblers.get(counter);
    if (known !== undefined) return known;
    const made = createPromptAssembler();
    this.#assemblers.set(counter, made);
    return made;
  }
}

/** `lean`: without what helps the words but not the sense, for a line that would else come late. */
export type PromptLength = 'full' | 'lean';

export class Script {
  readonly #request: DialogueRequest;
  readonly #scene: Scene;
  readonly #parts: ScriptParts;
  readonly #assembler: (counter: TokenCounter) => PromptAssembler;
  readonly #remembered: Remembered;
  readonly #signal: AbortSignal;
  readonly #prompts = {
    full: new Map<TokenCounter, Promise<AssembledPrompt>>(),
    lean: new Map<TokenCounter, Promise<AssembledPrompt>>(),
  };

  constructor(
    request: DialogueRequest,
    scene: Scene,
    parts: ScriptParts,
    assembler: (counter: TokenCounter) => PromptAssembler,
    remembered: Remembered,
    signal: AbortSignal,
  ) {
    this.#request = request;
    this.#scene = scene;
    this.#parts = parts;
    this.#assembler = assembler;
    this.#remembered = remembered;
    this.#signal = signal;
  }

  get answerTokens(): number {
    const words = this.#scene.reply.limits.maxWords;
    return Math.min(this.#request.maxTokens, Math.ceil(words * TOKENS_PER_WORD) + TOKENS_SPARE);
  }

  /** The prompt for this model. Throws `context_length_exceeded`, and the signal's reason. */
  prompt(
    replica: Pick<Replica, 'counter' | 'contextTokens'>,
    length: PromptLength = 'full',
  ): Promise<AssembledPrompt> {
    const prompts = this.#prompts[length];
    const known = prompts.get(replica.counter);
    if (known !== undefined) return known;
    const made = this.#assemble(replica, length === 'lean');
    prompts.set(replica.counter, made);
    return made;
  }

  /** What one engine is asked. `roll` counts the tries after a sentence that the guard stopped. */
  generateRequest(
    replica: Replica,
    prompt: AssembledPrompt,
    reply: Reply,
    roll: number,
    adapter: AdapterAddress | null,
  ): GenerateRequest {
    const sampling = samplingOf(this.#request, this.#scene, this.#parts.defaultTemperature);
    return {
      requestId: this.#request.id,
      model: replica.model,
      ...(adapter === null ? {} : { adapter }),
      messages: prompt.messages,
      assistantPrefix: reply.assistantPrefix,
      maxTokens: this.answerTokens,
      ...sampling,
      temperature: roll === 0 ? sampling.temperature : Math.min(2, sampling.temperature + REROLL_HOTTER),
      stop: ['\n'],
      priority: this.#request.priority,
      scene: this.#scene.spoken(null, reply.committed),
    };
  }

  async #assemble(
    replica: Pick<Replica, 'counter' | 'contextTokens'>,
    isLean: boolean,
  ): Promise<AssembledPrompt> {
    const scene = this.#scene;
    const { cast } = this.#parts;
    const { history, summary } = await this.#remembered.load(this.#signal);
    const context = replica.contextTokens ?? CONTEXT_TOKENS_DEFAULT;
    const prompt = await this.#assembler(replica.counter).assemble(
      {
        world: cast.setting,
        persona: scene.persona,
        tier: scene.tier,
        context: scene.context,
        history,
        summary,
        playerText: scene.playerText,
        trigger: this.#request.trigger ?? null,
        isLean,
        maxPromptTokens: Math.min(scene.policy.promptTokens, context - this.answerTokens),
        personaTokens: scene.policy.personaTokens,
        npcs: cast.npcs,
      },
      replica.counter,
      this.#signal,
    );
    this.#parts.prefixes.note(prefixKeyOf(scene, null), prompt.messages.slice(0, prompt.stableMessageCount));
    return prompt;
  }
}

/** How the engine chooses its words: as the request says, else the persona, else the service. */
export function samplingOf(
  request: DialogueRequest,
  { persona }: Scene,
  defaultTemperature: number,
): Pick<GenerateRequest, 'temperature' | 'topP' | 'minP' | 'repetitionPenalty'> {
  const { temperature, top_p, min_p, repetition_penalty } = persona.model.sampling ?? {};
  return {
    temperature: request.temperature ?? temperature ?? defaultTemperature,
    ...(top_p === undefined ? {} : { topP: top_p }),
    ...(min_p === undefined ? {} : { minP: min_p }),
    ...(repetition_penalty === undefined ? {} : { repetitionPenalty: repetition_penalty }),
  };
}

/** What shares a stable prefix, and so belongs at one replica. KV of one adapter is of no use to another. */
export function prefixKeyOf(
  { persona, tier }: Pick<Scene, 'persona' | 'tier'>,
  adapter: string | null,
): string {
  return `${persona.id}@${persona.version}/${tier}${adapter === null ? '' : `/${adapter}`}`;
}
