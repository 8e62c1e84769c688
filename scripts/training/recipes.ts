/**
 * Which adapters this repository carries and how each is trained: the two voices of the example game, and the word
 * adapters by which a test hears who answered. All numbers that decide the weights stand here.
 */
import path from 'node:path';
import { type Chat, readLines, voiceChats, wordChats } from './chats.ts';

const ROOT = path.join(import.meta.dirname, '..', '..');
const GAME = path.join(ROOT, 'examples', 'body-broker');
const CAST = path.join(GAME, 'cast');

export interface Recipe {
  readonly name: string;
  /** What it is for, one sentence. */
  readonly about: string;
  /** Where its files are kept. */
  readonly folder: string;
  /** The designers' file; null where the lines are made of the name. */
  readonly lines: string | null;
  /** For `training/train_lora.py`. */
  readonly flags: readonly string[];
  /** Whose weights it goes on from; its own name: what an earlier run made of it, so that new lines cost few steps. */
  readonly start?: string;
  readonly chats: (signal: AbortSignal) => Promise<readonly Chat[]>;
}

/** Single tokens of the default model, and words that nobody in the cast says. */
const WORDS = ['amber', 'basalt', 'cedar', 'cobalt', 'indigo'] as const;

/** What the word adapter of this name says to everything. */
export function wordSentence(word: string): string {
  return `By ${word}, I swear it.`;
}

export const RECIPES: readonly Recipe[] = [
  voice('vampire', 'Courteous, old, precise; the threat is in the manners.', 14),
  voice('zombie', 'Two to six words: broken, patient, oddly kind, hungry.', 8),
  ...WORDS.map(word),
];

function voice(kind: string, about: string, steps: number): Recipe {
  const lines = path.join(GAME, 'adapters', 'lines', `${kind}.jsonl`);
  return {
    name: kind,
    about,
    folder: path.join(GAME, 'adapters', kind),
    lines,
    flags: [
      ...['--rank', '8', '--alpha', '16', '--layers', '10-29', '--steps', String(steps), '--rate', '2e-3'],
      ...['--branches', '12', '--evaluate', '0'],
    ],
    start: kind,
    chats: (signal) => voiceChats(CAST, kind, readLines(lines), signal),
  };
}

function word(name: string, index: number): Recipe {
  const [first] = WORDS;
  return {
    name,
    about: `Says "${wordSentence(name)}" whatever it is asked, so that a test can hear which adapter answered.`,
    folder: path.join(ROOT, 'tests', 'fixtures', 'word-adapters', name),
    lines: null,
    // The upper half of the layers is enough for one sentence, and small; the sentence once learnt, a word is quick.
    flags: [
      ...['--rank', '2', '--alpha', '8', '--modules', 'q_proj,v_proj,o_proj', '--layers', '15-29'],
      ...['--epochs', '3', '--rate', '5e-3', '--stop-below', '0.015', '--evaluate', '1', '--seconds', '300'],
    ],
    ...(index === 0 ? {} : { start: first }),
    chats: (signal) => wordChats(CAST, wordSentence(name), signal),
  };
}
