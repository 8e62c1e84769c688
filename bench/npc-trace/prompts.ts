/**
 * The chat messages of each entry, made as the service makes them for its own engines: the same cleaning, the same
 * assembler, the budgets of examples/body-broker. So every server that is judged by the trace is asked the same words.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { dialogueSchema, requestOf } from '../../src/api/wire.ts';
import { type Cast, loadCast } from '../../src/cast/cast.ts';
import { HeardLines } from '../../src/cast/heard-lines.ts';
import { nearestExamples } from '../../src/cast/nearest-examples.ts';
import type { Persona } from '../../src/cast/persona.ts';
import { createPromptAssembler } from '../../src/cast/prompt.ts';
import { plainLine } from '../../src/cast/prompt-text.ts';
import { hash32 } from '../../src/cast/seeded.ts';
import { type Config, configSchema } from '../../src/config/schema.ts';
import type { TokenCounter } from '../../src/core/engine.ts';
import { setScene } from '../../src/dialogue/scene.ts';
import { realRuntime } from '../../src/runtime.ts';
import { bodyOf } from './say-body.ts';
import type { SayEntry, TraceMessage, TracePrefix } from './trace.ts';

const GAME = join(import.meta.dirname, '..', '..', 'examples', 'body-broker');
/** As src/dialogue/script.ts reckons the answer's tokens from its words. */
const TOKENS_PER_WORD = 1.6;
const TOKENS_SPARE = 16;

/** An entry without what this file adds. */
export type Unwritten = Omit<SayEntry, 'tier' | 'prefix' | 'messages' | 'maxTokens'>;

export class PromptWriter {
  readonly cast: Cast;
  readonly #config: Pick<Config, 'tiers' | 'limits'>;
  readonly #counter: TokenCounter;
  readonly #assembler = createPromptAssembler();
  readonly #prefixes = new Map<string, TracePrefix>();

  private constructor(cast: Cast, config: Pick<Config, 'tiers' | 'limits'>, counter: TokenCounter) {
    this.cast = cast;
    this.#config = config;
    this.#counter = counter;
  }

  /** Reads the first game. Throws `cast_invalid`. */
  static async open(counter: TokenCounter, signal: AbortSignal): Promise<PromptWriter> {
    const config = configSchema.parse(parse(readFileSync(join(GAME, 'greenroom.yaml'), 'utf8')));
    return new PromptWriter(await loadCast(join(GAME, 'cast'), signal), config, counter);
  }

  /** Those that entries have named so far, by id. */
  get prefixes(): readonly TracePrefix[] {
    return [...this.#prefixes.values()].toSorted((one, other) => (one.id < other.id ? -1 : 1));
  }

  async write(entry: Unwritten, signal: AbortSignal): Promise<SayEntry> {
    const body = dialogueSchema.parse(bodyOf(entry));
    const request = requestOf(body, {
      id: entry.id,
      mayRaiseTier: false,
      source: 'local',
      receivedMonoMs: 0,
    });
    const { tiers, limits } = this.#config;
    const heard = new HeardLines(realRuntime.clock);
    const scene = setScene(request, {
      cast: this.cast,
      tiers,
      heard,
      playerCharsMax: limits.playerCharsMax,
    });
    const { persona, tier, policy, context } = scene;
    const prompt = await this.#assembler.assemble(
      {
        world: this.cast.setting,
        persona,
        tier,
        context,
        history: context.history,
        summary: null,
        playerText: scene.playerText,
        trigger: request.trigger ?? null,
        maxPromptTokens: policy.promptTokens,
        personaTokens: policy.personaTokens,
        npcs: this.cast.npcs,
      },
      this.#counter,
      signal,
    );
    const { id, kind, atMs, playerId, npcId, ...rest } = entry;
    return {
      kind,
      id,
      atMs,
      playerId,
      npcId,
      tier,
      ...rest,
      prefix: this.#prefixOf(persona, tier, prompt.messages.slice(0, prompt.stableMessageCount)),
      messages: prompt.messages.slice(prompt.stableMessageCount),
      maxTokens: Math.ceil(scene.reply.limits.maxWords * TOKENS_PER_WORD) + TOKENS_SPARE,
    };
  }

  /** Where a prompt is over its limit the prefix loses examples from its end; each length is a prefix of its own. */
  #prefixOf(persona: Persona, tier: SayEntry['tier'], messages: readonly TraceMessage[]): string {
    const id = `${persona.id}/${tier}/${messages.length}`;
    if (!this.#prefixes.has(id)) this.#prefixes.set(id, { id, npcId: persona.id, tier, messages });
    return id;
  }
}

/** What the NPC is taken to have answered, for the history of the next turn: the same for every server. */
export function answerOf(persona: Persona, words: string): string {
  const { examples, knowledge, refusals } = persona;
  const nearest = nearestExamples(persona, words, 1).at(-1)?.npc;
  const isAbout = examples.some(({ npc }) => npc === nearest);
  const lines = [...knowledge.deflections, ...refusals, ...examples.map(({ npc }) => npc)];
  const any = lines[hash32(`${persona.id}|${words}`) % lines.length];
  return plainLine((isAbout ? nearest : any) ?? 'Hm.');
}
