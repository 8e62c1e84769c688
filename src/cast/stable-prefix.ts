/**
 * The part of a prompt that never changes for a persona version: service rules, world, persona, always-facts, then the
 * persona's examples as a talk. Every byte depends on (persona, tier, world, budget) alone, so that an engine's
 * prefix cache computes it once for all players. Pieces enter by importance until the tier's budget is full, and are
 * written in one fixed order.
 */
import type { Tier } from '../core/dialogue.ts';
import type { ChatMessage, TokenCounter } from '../core/engine.ts';
import type { World } from './cast.ts';
import { stableFacts } from './facts.ts';
import { expandMacros, type MacroNames } from './macros.ts';
import type { Persona } from './persona.ts';
import { plainLine, spoken } from './prompt-text.ts';

export interface StablePrefix {
  readonly messages: readonly ChatMessage[];
  /** Tokens of each message, template overhead included. */
  readonly tokens: readonly number[];
  /** Pieces that did not fit, by name. */
  readonly dropped: readonly string[];
}

/** Tokens that a chat template puts around one message (ChatML: 5; Llama 3: 6; Gemma: 6), with a little room. */
export const MESSAGE_OVERHEAD_TOKENS = 7;

/** Examples that are taken before anything else of the persona but its first sentence. */
const EXAMPLES_FIRST: Readonly<Record<Tier, number>> = { 1: 3, 2: 5, 3: 6, 4: 6 };
const SENTENCES: Readonly<Record<Tier, string>> = {
  1: 'one short sentence',
  2: 'one or two short sentences',
  3: 'one or two short sentences',
  4: 'one to three short sentences',
};

interface Piece {
  readonly name: string;
  /** Place in the written prompt. */
  readonly order: number;
  readonly text: string;
}

/** Builds the stable part within `personaTokensMax` for the persona's pieces and examples together. */
export async function buildStablePrefix(
  persona: Persona,
  tier: Tier,
  world: World,
  personaTokensMax: number,
  counter: TokenCounter,
  signal: AbortSignal,
): Promise<StablePrefix> {
  const names = macroNames(persona, world);
  const read = (text: string) => plainLine(expandMacros(text, names));
  const head = [rules(tier), plainLine(world.text)].filter((text) => text !== '').join('\n');
  const pieces = personaPieces(persona, tier, world, read);
  const examples = persona.examples.map((example): readonly [ChatMessage, ChatMessage] => [
    { role: 'user', content: spoken(read(example.player)) },
    { role: 'assistant', content: read(example.npc) },
  ]);

  // Counted together first, so that an engine which is asked over HTTP answers in one round.
  const pieceTokens = await Promise.all(pieces.map((piece) => counter.count(piece.text, signal)));
  const exampleTokens = await Promise.all(
    examples.map(async ([player, npc]) => [
      (await counter.count(player.content, signal)) + MESSAGE_OVERHEAD_TOKENS,
      (await counter.count(npc.content, signal)) + MESSAGE_OVERHEAD_TOKENS,
    ]),
  );
  let tokensLeft = personaTokensMax;
  const dropped: string[] = [];
  const takenPieces: Piece[] = [];
  let examplesTaken = 0;
  const takeExamples = (count: number) => {
    while (examplesTaken < Math.min(count, examples.length)) {
      const cost = (exampleTokens[examplesTaken] ?? []).reduce((sum, tokens) => sum + tokens, 0);
      if (cost > tokensLeft) return;
      tokensLeft -= cost;
      examplesTaken += 1;
    }
  };
  for (const [index, piece] of pieces.entries()) {
    const cost = (pieceTokens[index] ?? 0) + 1;
    if (index === 0 || cost <= tokensLeft) {
      takenPieces.push(piece);
      tokensLeft -= cost;
    } else dropped.push(piece.name);
    if (index === 0) takeExamples(EXAMPLES_FIRST[tier]);
  }
  takeExamples(examples.length);
  for (let index = examplesTaken; index < examples.length; index++) dropped.push(`examples[${index}]`);

  const body = takenPieces.toSorted((a, b) => a.order - b.order).map((piece) => piece.text);
  const system = `${head}\n${body.join('\n')}`;
  const messages: ChatMessage[] = [{ role: 'system', content: system }];
  const tokens = [(await counter.count(system, signal)) + MESSAGE_OVERHEAD_TOKENS];
  for (let index = 0; index < examplesTaken; index++) {
    messages.push(...(examples[index] ?? []));
    tokens.push(...(exampleTokens[index] ?? []));
  }
  return { messages, tokens, dropped };
}

/** What `{{char}}` and `{{user}}` become; the player's own name stays out, or no two players would share a prefix. */
export function macroNames(persona: Persona, world: World): MacroNames {
  return {
    char: persona.nickname ?? persona.name,
    user: `the ${world.playerName}`,
    seed: `${persona.id}@${persona.version}`,
  };
}

/** The same for everyone at a tier: engines share it between personas. Few, concrete and positive: models are small. */
function rules(tier: Tier): string {
  return `You are a character in a story. Say only what the character says aloud, in ${SENTENCES[tier]}. Stay in character. The last line of each message is said to the character, and may be a lie.`;
}

/** Pieces by importance; the first is always taken. Secrets and forbidden topics are never among them. */
function personaPieces(
  persona: Persona,
  tier: Tier,
  world: World,
  read: (text: string) => string,
): readonly Piece[] {
  const { identity, voice, personality, knowledge } = persona;
  const pieces: Piece[] = [];
  const add = (name: string, order: number, text: string) => {
    const clean = read(text);
    if (clean !== '') pieces.push({ name, order, text: clean });
  };
  const sentence = (before: string, parts: readonly string[], joint: string) =>
    parts.length === 0 ? '' : `${before}${parts.map(withoutStop).join(joint)}.`;

  const pronouns = persona.pronouns === undefined ? '' : ` (${persona.pronouns})`;
  add('summary', 0, `You are ${persona.name}${pronouns}. ${persona.summary}`);
  if (tier >= 2) {
    add('voice', 10, sentence('Voice: ', [voice.register, voice.rhythm].filter(isText), '; '));
    add('role', 1, identity.role === undefined ? '' : `Role: ${withoutStop(identity.role)}.`);
    add('traits', 20, sentence('Nature: ', personality.traits, '; '));
  }
  for (const fact of stableFacts(persona, world.facts)) add(`fact ${fact.id}`, 60, withStop(fact.text));
  if (tier >= 2) {
    const wanted = persona.goals.filter((goal) => goal.when === undefined);
    const goals = wanted.toSorted((a, b) => b.priority - a.priority).slice(0, tier === 2 ? 1 : 3);
    add(
      'goals',
      30,
      sentence(
        'Wants: ',
        goals.map((goal) => goal.text.replace(/[.;]+$/, '')),
        '; ',
      ),
    );
    const toPlayer = persona.relationships.find((relation) => relation.target === 'player');
    add('relation to player', 50, (toPlayer?.facts ?? []).map(withStop).join(' '));
    add('knowledge', 40, knowledge.knows.map(withStop).join(' '));
  }
  if (tier >= 3) {
    add('tics', 11, sentence('Habits of speech: ', voice.tics, '; '));
    add('time', 3, knowledge.time_point === undefined ? '' : `Now: ${withoutStop(knowledge.time_point)}.`);
    add('flaws', 21, sentence('Flaws: ', personality.flaws, '; '));
    add('fears', 22, sentence('Fears: ', personality.fears, '; '));
    add('background', 2, identity.background ?? '');
    add('unknown', 41, sentence('Does not know: ', knowledge.unknown, '; '));
    add('appearance', 4, identity.appearance ?? '');
  }
  return pieces;
}

function isText(value: string | undefined): value is string {
  return value !== undefined && value !== '';
}

function withoutStop(text: string): string {
  return text.trim().replace(/[.;,\s]+$/, '');
}

function withStop(text: string): string {
  const trimmed = text.trim();
  return /[.!?…]["'”’]?$/.test(trimmed) ? trimmed : `${trimmed}.`;
}
