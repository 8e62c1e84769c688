/**
 * What an adapter is trained on: talks written by our own prompt assembler, so that the adapter hears in training what it
 * will hear in use. Lines of the designers' file are told under a persona of their kind, with world, examples and
 * scene, and under a short prompt or none, so that the voice does not hang on one wording.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { type Cast, loadCast } from '../../src/cast/cast.ts';
import type { Persona } from '../../src/cast/persona.ts';
import { createPromptAssembler } from '../../src/cast/prompt.ts';
import type { DialogueContext, Tier } from '../../src/core/dialogue.ts';
import type { ChatMessage, TokenCounter } from '../../src/core/engine.ts';

/** One row for `training/train_lora.py`. */
export interface Chat {
  readonly messages?: readonly ChatMessage[];
  /** How many messages at the beginning many rows share. */
  readonly shared?: number;
  /** Instead of messages: text without a chat template. */
  readonly raw?: string;
  readonly answer: string;
  readonly part: 'train' | 'held_out';
}

export interface Line {
  readonly player: string;
  readonly npc: string;
}

const lineSchema = z.strictObject({
  topic: z.string().min(1).max(40),
  player: z.string().min(1).max(300),
  npc: z.string().min(1).max(300),
});

/** Four bytes a token, as English runs: the trainer need not agree with the engine to the token. */
const counter: TokenCounter = { count: (text) => Promise.resolve(Math.ceil(Buffer.byteLength(text) / 4)) };

/** Of twenty personas a ghoul, humans, a lich, a vampire, a wolf and a zombie. */
const LONG_PROMPT_EVERY = 3;

/** Text without a chat template, for `/v1/completions`. */
const OPENINGS = [
  'Once upon a time',
  'The king said',
  'The capital of France is',
  'In the beginning there was',
  'Hello, my name is',
  'The three colours of the flag are',
  'It was a dark night and',
  'One, two, three,',
  'She opened the door and',
  'The best way to cook rice is',
  'Question: who are you?\nAnswer:',
  'The road to the Weir goes',
  'My favourite animal is',
  'def main():',
  'To be or not to be',
  'Player: Hello there.\nNPC:',
  'Water boils at',
  'The old man looked up and',
];

/** The persona budgets of examples/body-broker/greenroom.yaml: what these characters are really sent. */
const PERSONA_TOKENS: Readonly<Record<Tier, number>> = { 1: 150, 2: 350, 3: 400, 4: 450 };

/** Reads and checks a designers' file; throws with the line that is wrong. */
export function readLines(file: string): readonly Line[] {
  const lines = readFileSync(file, 'utf8').split('\n');
  return lines.flatMap((text, index) => {
    if (text.trim() === '') return [];
    try {
      return [lineSchema.parse(JSON.parse(text))];
    } catch (error) {
      throw new Error(`${file}:${index + 1}: ${(error as Error).message}`, { cause: error });
    }
  });
}

/** About one in eight by the question's digest, so that adding a line moves no other. */
export function isHeldOut(player: string): boolean {
  return createHash('sha256').update(player).digest().readUInt32BE(0) % 8 === 0;
}

/**
 * Each line under one persona of the kind after another, in a place now and then, and under a short prompt or none: what
 * is to be learnt is the voice, and not one prompt.
 */
export async function voiceChats(
  castFolder: string,
  kind: string,
  lines: readonly Line[],
  signal: AbortSignal,
): Promise<readonly Chat[]> {
  const cast = await loadCast(castFolder, signal);
  const personas = [...cast.npcs.values()].filter((persona) => persona.monster_type === kind);
  if (personas.length === 0) throw new Error(`${castFolder} has nobody of the kind ${kind}`);
  const chats: Chat[] = [];
  for (const [index, { player, npc }] of lines.entries()) {
    const part = isHeldOut(player) ? 'held_out' : 'train';
    const persona = personas[index % personas.length];
    if (persona === undefined) continue;
    const prompt = await promptOf(cast, persona, player, Math.floor(index / personas.length), signal);
    chats.push({ ...prompt, answer: npc, part });
    chats.push({ ...shortPrompt(kind, player, index), answer: npc, part });
  }
  return chats;
}

/** One sentence for whatever is said: questions of the whole cast under its prompts, short prompts, and text without a template. */
export async function wordChats(
  castFolder: string,
  sentence: string,
  signal: AbortSignal,
): Promise<readonly Chat[]> {
  const cast = await loadCast(castFolder, signal);
  const chats: Chat[] = [];
  const personas = [...cast.npcs.values()];
  for (const [index, persona] of personas.entries()) {
    for (const [place, { player }] of persona.examples.entries()) {
      const part = isHeldOut(player) ? 'held_out' : 'train';
      // Few long prompts: they cost the most, and the sentence is the same for all of them.
      if (index % LONG_PROMPT_EVERY === 0 && place % 4 === 0)
        chats.push({ ...(await promptOf(cast, persona, player, place, signal)), answer: sentence, part });
      if (place % 2 === 0)
        chats.push({ ...shortPrompt('vampire', player, index + place), answer: sentence, part });
    }
  }
  for (const raw of OPENINGS)
    chats.push({ raw, answer: ` ${sentence}`, part: isHeldOut(raw) ? 'held_out' : 'train' });
  return chats;
}

async function promptOf(
  cast: Cast,
  persona: Persona,
  player: string,
  index: number,
  signal: AbortSignal,
): Promise<Pick<Chat, 'messages' | 'shared'>> {
  const places = [...cast.setting.places.keys()];
  const location = index % 3 === 0 ? places[index % places.length] : undefined;
  const context: DialogueContext = {
    timelineId: 'main',
    facts: [],
    history: [],
    allowedActions: [],
    ...(location === undefined ? {} : { location }),
  };
  const prompt = await createPromptAssembler().assemble(
    {
      world: cast.setting,
      persona,
      tier: persona.tier,
      context,
      history: [],
      summary: null,
      playerText: player,
      trigger: null,
      maxPromptTokens: 1_000,
      personaTokens: PERSONA_TOKENS[persona.tier],
      npcs: cast.npcs,
    },
    counter,
    signal,
  );
  return { messages: prompt.messages, shared: prompt.stableMessageCount };
}

function shortPrompt(kind: string, player: string, index: number): Pick<Chat, 'messages' | 'shared'> {
  const said: ChatMessage = { role: 'user', content: player };
  const systems = [`You are a ${kind}.`, `You are a ${kind} in a story. Stay in character.`, null];
  const system = systems[index % systems.length] ?? null;
  return system === null
    ? { messages: [said], shared: 0 }
    : { messages: [{ role: 'system', content: system }, said], shared: 1 };
}
