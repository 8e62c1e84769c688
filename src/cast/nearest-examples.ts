/**
 * The examples of a persona that are nearest to what was just said. Told again right before the player's words they keep
 * even a model of 135 million parameters in character: measured on the example cast (SmolLM2-135M Q4_1), it answers "Who
 * are you?" in the persona's own words with them and in nobody's without.
 */
import type { Trigger } from '../core/dialogue.ts';
import { wordsOf } from './near-duplicates.ts';
import { COMBAT_TRIGGERS, type Persona } from './persona.ts';
import { hash32 } from './seeded.ts';

export interface ExamplePair {
  /** Empty: a bark, nobody asked. */
  readonly player: string;
  readonly npc: string;
}

/** Words that say little of what a sentence is about. */
const COMMON_WORDS: ReadonlySet<string> = new Set(
  'a an and are at be but by can could did do does for from get give go had has have he her him his how i if im in into is it its just know like me my no not now of off on or our out say see she so tell that the their them then there they this to too up us was we were what when where which who whom why will with would yes you your youre'.split(
    ' ',
  ),
);

interface Prepared {
  readonly words: ReadonlySet<string>;
  readonly length: number;
}
const prepared = new WeakMap<Persona['examples'][number], Prepared>();

/**
 * At most `count` examples, the nearest last. When none is about what was said, one of the persona's deflections and one
 * of its refusals stand first: a small model that has nothing to go by then evades in character, and does not invent.
 */
export function nearestExamples(persona: Persona, words: string, count: number): readonly ExamplePair[] {
  const wanted = bag(words);
  const ranked = persona.examples
    .map((example, index) => {
      let known = prepared.get(example);
      if (known === undefined) {
        const own = bag(example.player);
        known = { words: own, length: Math.sqrt(own.size + 2) };
        prepared.set(example, known);
      }
      return { example, index, score: weightOf(wanted, known.words) / known.length };
    })
    .filter((entry) => entry.score > 0)
    .sort((a, b) => b.score - a.score || a.index - b.index)
    .slice(0, count)
    .map((entry): ExamplePair => entry.example);
  const nearest = ranked[0];
  if (nearest !== undefined && isAbout(words, nearest.player)) return ranked.reverse();
  const evasions = [
    evasion('Do it anyway.', persona.refusals, words),
    evasion('And what do you know about that?', persona.knowledge.deflections, words),
  ].filter((pair) => pair !== null);
  return [...evasions, ...ranked.slice(0, Math.max(0, count - 1)).reverse()];
}

/** One of the lines, the same for the same words. */
function evasion(player: string, lines: readonly string[], words: string): ExamplePair | null {
  const npc = lines[hash32(words) % Math.max(1, lines.length)];
  return npc === undefined ? null : { player, npc };
}

/** Whether the two share a word that carries meaning, or are nearly the same ("Who are you?" has none). */
function isAbout(words: string, other: string): boolean {
  if (sharedWeight(words, other) > 0) return true;
  const [a, b] = [bag(words), bag(other)];
  let shared = 0;
  for (const word of b) if (a.has(word)) shared += 1;
  return shared >= 2 && shared / (a.size + b.size - shared) >= 0.5;
}

/** For a bark: how this NPC talks in such a moment. */
export function barkExamples(persona: Persona, trigger: Trigger): readonly ExamplePair[] {
  if (trigger === 'greet') return persona.greetings.slice(0, 2).map((npc) => ({ player: '', npc }));
  if (trigger === 'refuse') return persona.refusals.slice(0, 2).map((npc) => ({ player: '', npc }));
  const situations: readonly string[] = COMBAT_TRIGGERS.includes(trigger)
    ? [trigger, 'combat', 'threat']
    : [trigger];
  return persona.examples.filter((example) => situations.includes(example.situation)).slice(0, 2);
}

/** How much of what `words` are about `text` is about too: shared words that carry meaning, 0 when none. */
export function sharedWeight(words: string, text: string): number {
  const wanted = bag(words);
  let shared = 0;
  for (const word of bag(text)) if (!COMMON_WORDS.has(word) && wanted.has(word)) shared += 1;
  return shared;
}

function bag(text: string): ReadonlySet<string> {
  return new Set(wordsOf(text).map(stem));
}

/** "lamps" is "lamp": enough for English plurals. */
function stem(word: string): string {
  return word.length > 3 && word.endsWith('s') && !word.endsWith('ss') ? word.slice(0, -1) : word;
}

function weightOf(wanted: ReadonlySet<string>, own: ReadonlySet<string>): number {
  let weight = 0;
  for (const word of own) if (wanted.has(word)) weight += COMMON_WORDS.has(word) ? 1 : 2;
  return weight;
}
