/**
 * The key of the dialogue cache: one digest of all that can change an answer, made here and nowhere else. It is made of
 * effects, not of causes: of the game's facts only what they let this NPC say, believe or reveal. A fact that reaches
 * neither prompt nor guard changes no answer and no key; one that does changes both. Whose words the player's are is not
 * in it: what is said to one player may be said to another, because nothing of a player that the NPC may know is left out.
 */
import { createHash } from 'node:crypto';

export interface KeyInput {
  readonly npcId: string;
  /** Digest of the persona's whole content, whatever its version says: files are edited in place while designing. */
  readonly persona: string;
  /** Digest of the world it lives in: setting, places, facts. */
  readonly world: string;
  /** Of the texts that prompts are made of. */
  readonly promptVersion: number;
  readonly tier: number;
  /** What the tier allows a prompt and a reply, as JSON. */
  readonly limits: string;
  /** `model@version` of all that may answer on the first rung. */
  readonly models: readonly string[];
  /** The adapter that should speak, with its generation and content; null: the base. */
  readonly adapter: string | null;
  readonly locale: string;
  readonly mood: string | null;
  readonly trigger: string | null;
  /** Sentences of the scene: place, mood, what was said long ago. */
  readonly scene: readonly string[];
  /** Facts, revealed secrets, goals and relations as this NPC would be told them now. */
  readonly told: readonly string[];
  /** Indices of the secrets that may be said. */
  readonly revealedSecrets: readonly number[];
  readonly history: readonly { readonly role: string; readonly content: string }[];
  readonly actions: readonly unknown[];
  /** Temperature and the other settings of the sampler, as JSON. */
  readonly sampling: string;
  readonly maxTokens: number;
  /** Cleaned, not yet normalised. */
  readonly playerText: string;
}

export interface RecallKey {
  /** `<npc>:<64 hex digits>`: the NPC in clear, so that what it said can be forgotten. */
  readonly key: string;
  /** The same without the player's words: what two lines must share before their words may be compared by meaning. */
  readonly gate: string;
}

export function recallKey(input: KeyInput): RecallKey {
  const { playerText, ...rest } = input;
  // Fields in a fixed order, so that the same input gives the same digest in every process.
  const fields = Object.entries(rest).sort(([one], [other]) => (one < other ? -1 : 1));
  const gate = digestOf(fields);
  return {
    key: `${input.npcId}:${digestOf([gate, normalWords(playerText)])}`,
    gate: `${input.npcId}:${gate}`,
  };
}

export function digestOf(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex');
}

/**
 * What is the same said twice: case, width of characters, spaces and a closing full stop or exclamation mark. A question
 * mark asks, a comma can turn the meaning about; both stay.
 */
export function normalWords(text: string): string {
  return text
    .normalize('NFKC')
    .toLowerCase()
    .replaceAll('’', "'")
    .replace(/\s+/gu, ' ')
    .trim()
    .replace(/[\s.!…]+$/u, '');
}
