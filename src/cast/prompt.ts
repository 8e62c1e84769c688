/**
 * Assembles the prompt of one turn (design §3, §5): the stable prefix, then history, then the persona's examples that
 * are nearest to what was just said, then one user message with what holds only now and the player's words last.
 * Invariants: the stable prefix has the same bytes for a persona version at a tier whoever asks; nothing that fails its
 * condition, and no secret before its time, is in the prompt; the same input gives the same prompt; rules never drop out.
 */
import type { DialogueContext, HistoryTurn, Tier, Trigger } from '../core/dialogue.ts';
import type { ChatMessage, TokenCounter } from '../core/engine.ts';
import { ServiceError } from '../core/errors.ts';
import { abortable } from '../lib/abort.ts';
import type { World } from './cast.ts';
import { conditionHolds, contextLookup, currentFacts, revealedSecrets } from './facts.ts';
import { expandMacros } from './macros.ts';
import { barkExamples, nearestExamples, sharedWeight } from './nearest-examples.ts';
import { PERSONA_TOKEN_BUDGET, type Persona } from './persona.ts';
import { plainLine, spoken, toldAndSaid } from './prompt-text.ts';
import {
  buildStablePrefix,
  MESSAGE_OVERHEAD_TOKENS,
  macroNames,
  type StablePrefix,
} from './stable-prefix.ts';

export interface PromptInput {
  readonly world: World;
  readonly persona: Persona;
  readonly tier: Tier;
  readonly context: DialogueContext;
  /** Oldest first: the conversation's window, or what the game sent. */
  readonly history: readonly HistoryTurn[];
  readonly summary: string | null;
  /** Already cleaned; empty with `trigger`. */
  readonly playerText: string;
  readonly trigger: Trigger | null;
  /** Time is short: no examples beside the player's words, about half of what no cache holds. Left out: no. */
  readonly isLean?: boolean;
  /** Tokens of the whole prompt: the model's context less the answer's `max_tokens`. */
  readonly maxPromptTokens: number;
  /** Tokens of the persona's part; default: PERSONA_TOKEN_BUDGET of the tier. */
  readonly personaTokens?: number;
  /** Names of the rest of the cast, so that a mention brings in what this NPC thinks of them. */
  readonly npcs?: ReadonlyMap<string, Persona>;
}

/** What a prompt is made of, without the room that it may take. */
export type PromptMoment = Omit<PromptInput, 'maxPromptTokens' | 'personaTokens' | 'isLean'>;

export interface AssembledPrompt {
  readonly messages: readonly ChatMessage[];
  /** How many messages at the beginning are the same for every player and turn. */
  readonly stableMessageCount: number;
  /** For limits: tokens by the model's tokenizer; where the prompt is far below its limit, an upper bound. */
  readonly promptTokens: number;
  /** For predictions: as many tokens as it probably has, by what this tokenizer makes of the stable part. */
  readonly likelyTokens: number;
  /** What did not fit, by name. */
  readonly dropped: readonly string[];
}

/** Assembles prompts; keeps the stable part per persona version, tier and budget. One for the whole service. */
export interface PromptAssembler {
  /**
   * Throws `context_length_exceeded` when even rules, scene and the player's words are over `maxPromptTokens`.
   * Aborting rejects with the signal's reason.
   */
  assemble(input: PromptInput, counter: TokenCounter, signal: AbortSignal): Promise<AssembledPrompt>;
}

/** Rises with every change of the texts below, so that no cache answers by prompts of another time. */
export const PROMPT_VERSION = 1;

/** What a prompt says beside its stable prefix, its examples and the player's words. */
export interface PromptEssence {
  readonly history: readonly ChatMessage[];
  readonly scene: readonly string[];
  readonly told: readonly string[];
}

/** All that the moment brings into a prompt; with the persona, the world and the player's words it determines it. */
export function promptEssence(input: PromptMoment): PromptEssence {
  return {
    history: historyMessages(input),
    scene: sceneSentences(input),
    told: factsTold(input).map(({ text }) => text),
  };
}

const STABLE_PREFIXES_MAX = 2_000;
/** Examples that stay until nothing else is left to drop. */
const EXAMPLES_KEPT = 3;
/** Facts and relations told in one turn; a small model drowns in more. */
const FACTS_MAX: Readonly<Record<Tier, number>> = { 1: 1, 2: 2, 3: 4, 4: 6 };
/** Examples told again beside the player's words. */
const EXAMPLES_NEAR: Readonly<Record<Tier, number>> = { 1: 1, 2: 2, 3: 2, 4: 2 };
/** Below this, shared words are chance. */
const KNOWLEDGE_WEIGHT_MIN = 0.5;
const HISTORY_TURNS_MAX = 60;
const SCENE_TEXT_LENGTH_MAX = 300;

/** What happens, as the NPC would be told, when the game asks for a bark. */
const TRIGGER_SCENES: Readonly<Record<Trigger, string>> = {
  spot: 'You have just noticed the {player}.',
  lose: 'You have lost sight of the {player}.',
  search: 'You are looking for the {player}, who is hiding.',
  attack: 'You attack the {player}.',
  hit: 'Your blow has hit the {player}.',
  hurt: 'The {player} has hurt you.',
  low_health: 'You are badly hurt.',
  ally_died: 'One of your own has just fallen.',
  kill: 'You have struck the {player} down.',
  death: 'You are dying.',
  flee: 'You are running away.',
  idle: 'Nothing happens. You talk to yourself.',
  greet: 'The {player} comes up to you.',
  farewell: 'The {player} is leaving.',
  trade: 'The {player} wants to trade.',
  refuse: 'You turn down what the {player} asks.',
  interrupted: 'The {player} has cut you short.',
  too_far: 'The {player} is too far away to hear you well.',
  thinking: 'You think for a moment.',
  no_answer: 'The {player} does not answer you.',
  overload: 'Too many people talk at once.',
  night: 'Night falls.',
  weather: 'The weather turns.',
};

/** An optional sentence of the last message; the lowest priority is dropped first. */
interface Told {
  readonly name: string;
  readonly priority: number;
  readonly text: string;
}

/** A prefix that is being made or was made, for all who need it. */
interface SharedPrefix {
  readonly persona: Persona;
  readonly prefix: Promise<StablePrefix>;
  /** Stops the making once nobody waits for it any more. */
  readonly abandon: AbortController;
  waiting: number;
  isMade: boolean;
}

export function createPromptAssembler(): PromptAssembler {
  const prefixes = new Map<string, SharedPrefix>();

  function startPrefix(key: string, input: PromptInput, budget: number, counter: TokenCounter): SharedPrefix {
    const { persona, tier, world } = input;
    const abandon = new AbortController();
    const prefix = buildStablePrefix(persona, tier, world, budget, counter, abandon.signal);
    const entry: SharedPrefix = { persona, prefix, abandon, waiting: 0, isMade: false };
    prefix.then(
      () => {
        entry.isMade = true;
      },
      () => {
        if (prefixes.get(key) === entry) prefixes.delete(key);
      },
    );
    return entry;
  }

  /**
   * Made once for all who ask meanwhile. Each waits only as long as its own signal lets it: neither the deadline nor the
   * hang-up of one player is another's.
   */
  async function stablePrefix(
    input: PromptInput,
    counter: TokenCounter,
    signal: AbortSignal,
  ): Promise<StablePrefix> {
    const { persona, tier } = input;
    const budget = input.personaTokens ?? PERSONA_TOKEN_BUDGET[tier];
    const key = `${persona.id}|${persona.version}|${tier}|${budget}`;
    const known = prefixes.get(key);
    prefixes.delete(key);
    // The same version with other content is a file edited in place while designing: the object tells them apart.
    const isKnown = known !== undefined && known.persona === persona && !known.abandon.signal.aborted;
    const entry = isKnown ? known : startPrefix(key, input, budget, counter);
    prefixes.set(key, entry);
    for (const oldest of prefixes.keys()) {
      if (prefixes.size <= STABLE_PREFIXES_MAX) break;
      prefixes.delete(oldest);
    }
    if (entry.isMade) return await entry.prefix;
    entry.waiting += 1;
    try {
      return await abortable(entry.prefix, signal);
    } finally {
      entry.waiting -= 1;
      if (entry.waiting === 0 && !entry.isMade)
        entry.abandon.abort(new Error('nobody waits for this prefix'));
    }
  }

  return {
    assemble: async (input, counter, signal) =>
      fit(input, await stablePrefix(input, counter, signal), counter, signal),
  };
}

/** Puts the changing part behind the stable one and drops what is over the limit: see the order in `drop`. */
async function fit(
  input: PromptInput,
  stable: StablePrefix,
  counter: TokenCounter,
  signal: AbortSignal,
): Promise<AssembledPrompt> {
  const stableTokens = stable.tokens.reduce((sum, tokens) => sum + tokens, 0);
  const history = historyMessages(input);
  const near = input.isLean === true ? [] : nearMessages(input);
  const told = factsTold(input);
  // Without an example to stand before, the scene stands before the player's words.
  const scenery: string[] = near.length === 0 ? sceneSentences(input) : [];
  const last = () => lastMessage(input, scenery, told);
  const dropped = [...stable.dropped];
  let examplesDropped = 0;
  const messages = (): readonly ChatMessage[] => [
    ...stable.messages.slice(0, stable.messages.length - 2 * examplesDropped),
    ...history,
    ...near,
    last(),
  ];

  // A token is at least one byte: a prompt that fits by its bytes need not be counted.
  const bytes = (list: readonly ChatMessage[]) =>
    list.reduce((sum, message) => sum + Buffer.byteLength(message.content) + MESSAGE_OVERHEAD_TOKENS, 0);
  const bound = stableTokens + bytes([...history, ...near, last()]);
  if (bound <= input.maxPromptTokens) {
    const likelyTokens = stableTokens + likelyTokensOf([...history, ...near, last()], stable);
    return {
      messages: messages(),
      stableMessageCount: stable.messages.length,
      promptTokens: bound,
      likelyTokens,
      dropped,
    };
  }

  const countOf = async (message: ChatMessage) =>
    (await counter.count(message.content, signal)) + MESSAGE_OVERHEAD_TOKENS;
  const historyTokens = await Promise.all(history.map(countOf));
  const nearTokens = await Promise.all(near.map(countOf));
  let tailTokens = await countOf(last());
  const exampleCount = (stable.messages.length - 1) / 2;
  const total = () =>
    stable.tokens
      .slice(0, stable.tokens.length - 2 * examplesDropped)
      .reduce((sum, tokens) => sum + tokens, 0) +
    historyTokens.reduce((sum, tokens) => sum + tokens, 0) +
    nearTokens.reduce((sum, tokens) => sum + tokens, 0) +
    tailTokens;
  while (total() > input.maxPromptTokens) {
    if (history.length > 0) {
      // A question goes with its answer: a chat template wants user and assistant in turn.
      do {
        history.shift();
        historyTokens.shift();
      } while (history[0]?.role === 'assistant');
      dropped.push('history');
    } else if (exampleCount - examplesDropped > EXAMPLES_KEPT) {
      examplesDropped += 1;
      dropped.push(`examples[${exampleCount - examplesDropped}]`);
    } else if (near.length > 0) {
      near.splice(0, 2);
      nearTokens.splice(0, 2);
      dropped.push('near example');
    } else if (told.length > 0) {
      const lowest = told.reduce((low, entry) => (entry.priority < low.priority ? entry : low));
      told.splice(told.indexOf(lowest), 1);
      dropped.push(lowest.name);
      tailTokens = await countOf(last());
    } else if (scenery.length > 0) {
      scenery.length = 0;
      dropped.push('scene');
      tailTokens = await countOf(last());
    } else if (examplesDropped < exampleCount) {
      examplesDropped += 1;
      dropped.push(`examples[${exampleCount - examplesDropped}]`);
    } else {
      throw new ServiceError(
        'context_length_exceeded',
        `the prompt of ${input.persona.id} needs ${total()} tokens without anything optional, ${input.maxPromptTokens} are allowed; shorten the prompt, lower max_tokens, or give the tier more promptTokens`,
        { details: { npcId: input.persona.id, tokens: total(), maxPromptTokens: input.maxPromptTokens } },
      );
    }
  }
  return {
    messages: messages(),
    stableMessageCount: stable.messages.length - 2 * examplesDropped,
    promptTokens: total(),
    likelyTokens: total(),
    dropped,
  };
}

/** The stable part is counted: what it has of bytes to a token, text beside it in the same language has too. */
function likelyTokensOf(messages: readonly ChatMessage[], stable: StablePrefix): number {
  const contentBytes = (list: readonly ChatMessage[]) =>
    list.reduce((sum, { content }) => sum + Buffer.byteLength(content), 0);
  const counted = stable.tokens.reduce((sum, tokens) => sum + tokens - MESSAGE_OVERHEAD_TOKENS, 0);
  const tokensPerByte = counted / Math.max(1, contentBytes(stable.messages));
  return Math.ceil(messages.length * MESSAGE_OVERHEAD_TOKENS + contentBytes(messages) * tokensPerByte);
}

/** History as a chat; a chat template wants user and assistant in turn, so neighbours of one side are joined. */
function historyMessages(input: PromptMoment): ChatMessage[] {
  const messages: ChatMessage[] = [];
  for (const turn of input.history.slice(-HISTORY_TURNS_MAX)) {
    const text = plainLine(turn.text);
    if (text === '') continue;
    const role = turn.speaker === 'player' ? 'user' : 'assistant';
    const content = role === 'user' ? spoken(text) : text;
    const previous = messages.at(-1);
    if (previous?.role === role)
      messages[messages.length - 1] = { role, content: `${previous.content} ${content}` };
    else if (previous === undefined && role === 'assistant') {
      // The NPC spoke first: a bark or a greeting.
      messages.push({ role: 'user', content: scene('greet', input) }, { role, content });
    } else messages.push({ role, content });
  }
  // The last message is the user's; a history that ends with the player was never answered.
  if (messages.at(-1)?.role === 'user') messages.pop();
  return messages;
}

/**
 * The examples nearest to what was just said, as the latest turns of the talk: what a small model follows most. The
 * scene stands before the first of them, so that it colours the answer and is not taken for the subject.
 */
function nearMessages(input: PromptInput): ChatMessage[] {
  const { persona, world, tier } = input;
  const names = macroNames(persona, world);
  const words = spoken(input.playerText);
  const chosen =
    words === ''
      ? barkExamples(persona, input.trigger ?? 'greet')
      : nearestExamples(persona, words, EXAMPLES_NEAR[tier]);
  const scenery = sceneSentences(input);
  return chosen.flatMap(({ player, npc }, index): ChatMessage[] => {
    const said = player === '' ? scene(input.trigger ?? 'greet', input) : spoken(expandMacros(player, names));
    const content = toldAndSaid(index === 0 ? scenery : [], said);
    return [
      { role: 'user', content },
      { role: 'assistant', content: plainLine(expandMacros(npc, names)) },
    ];
  });
}

/** Place, mood and the running summary, as sentences. */
function sceneSentences(input: PromptMoment): string[] {
  const { context, world } = input;
  const sentences: string[] = [];
  const add = (text: string) => {
    const clean = plainLine(text).slice(0, SCENE_TEXT_LENGTH_MAX);
    if (clean !== '') sentences.push(clean);
  };
  if (input.summary !== null) add(input.summary);
  if (context.location !== undefined) {
    const place = world.places.get(context.location);
    add(`You are at ${place?.name ?? context.location.replaceAll('_', ' ')}.`);
  }
  if (context.mood !== undefined) add(`You feel ${context.mood.replaceAll('_', ' ')}.`);
  return sentences;
}

/** What the game says, what the NPC may know of the matter, and what it thinks of those named; best first, a few. */
function factsTold(input: PromptMoment): Told[] {
  const { persona, context, world } = input;
  const lookup = contextLookup(persona.id, context);
  const recentTalk = [input.playerText, ...input.history.toReversed().map((turn) => turn.text)];
  const told: Told[] = [];
  const add = (name: string, priority: number, text: string) => {
    const clean = plainLine(text).slice(0, SCENE_TEXT_LENGTH_MAX);
    if (clean !== '') told.push({ name, priority, text: /[.!?…]$/.test(clean) ? clean : `${clean}.` });
  };
  for (const fact of context.facts)
    if (fact.text !== undefined) add(`context fact ${fact.key}`, 95, fact.text);
  for (const secret of revealedSecrets(persona, context)) add('revealed secret', 90, secret);
  for (const fact of currentFacts(persona, world.facts, context, recentTalk)) {
    add(`fact ${fact.id}`, Math.min(94, fact.priority), fact.text);
  }
  const known = bestKnowledge(persona, input.playerText);
  if (known !== null) add('knowledge', 60, known);
  for (const goal of persona.goals) {
    if (goal.when !== undefined && conditionHolds(goal, goal.when, lookup)) {
      add('goal', Math.min(70, goal.priority), `You want this: ${goal.text}`);
    }
  }
  const talk = input.playerText.toLowerCase();
  for (const relation of persona.relationships) {
    if (relation.target !== 'player' && isNamed(relation.target, talk, input.npcs)) {
      add(`relation ${relation.target}`, 65, relation.facts.join(' '));
    }
  }
  return told
    .map((entry, index) => ({ entry, index }))
    .sort((a, b) => b.entry.priority - a.entry.priority || a.index - b.index)
    .slice(0, FACTS_MAX[input.tier])
    .map(({ entry }) => entry);
}

/** The one thing it knows that the player's words are about, told again beside them: the prefix is far away. */
function bestKnowledge(persona: Persona, words: string): string | null {
  let best: string | null = null;
  let bestWeight = KNOWLEDGE_WEIGHT_MIN;
  for (const known of persona.knowledge.knows) {
    const weight = sharedWeight(words, known);
    if (weight > bestWeight) {
      best = known;
      bestWeight = weight;
    }
  }
  return best;
}

function isNamed(target: string, talk: string, npcs: ReadonlyMap<string, Persona> | undefined): boolean {
  const other = npcs?.get(target);
  const names = other === undefined ? [target] : [other.nickname, ...other.name.split(/[\s,]+/)];
  return names.some((name) => name !== undefined && name.length >= 3 && talk.includes(name.toLowerCase()));
}

function scene(trigger: Trigger, input: PromptMoment): string {
  return TRIGGER_SCENES[trigger].replaceAll('{player}', input.world.playerName);
}

/** What holds now, then what was said: the player's words stand last. */
function lastMessage(input: PromptInput, scenery: readonly string[], told: readonly Told[]): ChatMessage {
  const words = spoken(input.playerText);
  const facts = [...scenery, ...told.map((entry) => entry.text)];
  return {
    role: 'user',
    content: toldAndSaid(facts, words === '' ? scene(input.trigger ?? 'greet', input) : words),
  };
}
