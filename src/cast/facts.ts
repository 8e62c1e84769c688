/**
 * What an NPC may know now: world facts and secrets, filtered by audience, condition, game time and what is being talked
 * about. A fact that fails its condition influences nothing: it is neither rendered nor counted.
 */
import { RE2JS } from 're2js';
import type { DialogueContext } from '../core/dialogue.ts';
import { type Condition, type FactLookup, type FactValue, holds, parseCondition } from './conditions.ts';
import { isLater } from './memory.ts';
import type { Persona, WorldFact } from './persona.ts';

/** Turns of history searched for the keys of a fact when it names no depth of its own. */
const SCAN_DEPTH_DEFAULT = 4;
/** Characters of talk searched. */
const SCAN_LENGTH_MAX = 4_000;

type Matcher = (text: string, lowered: string) => boolean;

interface PreparedFact {
  readonly fact: WorldFact;
  readonly when: Condition | null;
  readonly keys: readonly Matcher[];
  readonly secondaryKeys: readonly Matcher[];
  readonly excludeKeys: readonly Matcher[];
}

const preparedFacts = new WeakMap<WorldFact, PreparedFact>();
const preparedConditions = new WeakMap<object, Condition>();

/** What the game says of the moment, by key: its facts, and `mood`, `location`, `game_time`, `npc`. */
export function contextLookup(npcId: string, context: DialogueContext): FactLookup {
  const facts = new Map<string, FactValue>([['npc', npcId]]);
  if (context.mood !== undefined) facts.set('mood', context.mood);
  if (context.location !== undefined) facts.set('location', context.location);
  if (context.gameTime !== undefined) facts.set('game_time', context.gameTime);
  for (const fact of context.facts) facts.set(fact.key, fact.value);
  return (key) => facts.get(key);
}

/** Whether an entry's own condition holds; `owner` is what its parsed form is kept for. */
export function conditionHolds(owner: object, text: string | undefined, lookup: FactLookup): boolean {
  if (text === undefined) return true;
  let condition = preparedConditions.get(owner);
  if (condition === undefined) {
    condition = parseCondition(text);
    preparedConditions.set(owner, condition);
  }
  return holds(condition, lookup);
}

/** Facts that belong to the stable prefix: always known to this persona, whoever asks, wherever and whenever. */
export function stableFacts(persona: Persona, shared: readonly WorldFact[]): readonly WorldFact[] {
  return [...persona.world_facts, ...shared.filter((fact) => isInAudience(fact, persona, null))]
    .filter((fact) => isStable(fact, persona))
    .sort((a, b) => a.order - b.order);
}

/** Facts for this turn, beyond the stable ones, in the order they are told; `recentTalk` is newest first. */
export function currentFacts(
  persona: Persona,
  shared: readonly WorldFact[],
  context: DialogueContext,
  recentTalk: readonly string[],
): readonly WorldFact[] {
  const lookup = contextLookup(persona.id, context);
  return [...persona.world_facts, ...shared]
    .filter(
      (fact) =>
        !isStable(fact, persona) &&
        fact.enabled &&
        isInAudience(fact, persona, context.location ?? null) &&
        isKnownYet(fact, context.gameTime ?? null) &&
        conditionHolds(fact, fact.when, lookup) &&
        (fact.mode === 'always' || isMentioned(fact, recentTalk)),
    )
    .sort((a, b) => a.order - b.order);
}

/** Texts of the secrets whose condition holds now. A secret without a condition is never told. */
export function revealedSecrets(persona: Persona, context: DialogueContext): readonly string[] {
  const lookup = contextLookup(persona.id, context);
  return persona.secrets
    .filter(
      (secret) => secret.reveal_when !== undefined && conditionHolds(secret, secret.reveal_when, lookup),
    )
    .map((secret) => secret.text);
}

/** Indices, in the persona's order, of the secrets whose condition holds now. */
export function revealedSecretIndices(persona: Persona, context: DialogueContext): ReadonlySet<number> {
  const lookup = contextLookup(persona.id, context);
  const revealed = new Set<number>();
  persona.secrets.forEach((secret, index) => {
    if (secret.reveal_when !== undefined && conditionHolds(secret, secret.reveal_when, lookup))
      revealed.add(index);
  });
  return revealed;
}

/** Phrases that must not be said now: the canaries of every secret that is still one. */
export function activeCanaries(persona: Persona, context: DialogueContext): readonly string[] {
  const lookup = contextLookup(persona.id, context);
  return persona.secrets
    .filter(
      (secret) => secret.reveal_when === undefined || !conditionHolds(secret, secret.reveal_when, lookup),
    )
    .flatMap((secret) => secret.canaries);
}

function isStable(fact: WorldFact, persona: Persona): boolean {
  return (
    fact.enabled &&
    fact.mode === 'always' &&
    fact.when === undefined &&
    fact.known_from === undefined &&
    isInAudience(fact, persona, null)
  );
}

/** `location` null: whether the persona may know it anywhere. */
function isInAudience(fact: WorldFact, persona: Persona, location: string | null): boolean {
  if (fact.audience.length === 0) return true;
  return fact.audience.some((entry) => {
    const colon = entry.indexOf(':');
    const group = colon < 0 ? '' : entry.slice(0, colon).trim();
    const name = entry.slice(colon + 1).trim();
    return (
      ((group === '' || group === 'npc') && name === persona.id) ||
      ((group === '' || group === 'type') && name === persona.monster_type) ||
      ((group === '' || group === 'faction') && persona.tags.includes(name)) ||
      ((group === '' || group === 'place') && location !== null && name === location)
    );
  });
}

/** A fact with a time is unknown while the game does not say what time it is. */
function isKnownYet(fact: WorldFact, gameTime: string | null): boolean {
  if (fact.known_from === undefined) return true;
  return gameTime !== null && !isLater(fact.known_from, gameTime);
}

function isMentioned(fact: WorldFact, recentTalk: readonly string[]): boolean {
  const depth = fact.scan_depth ?? SCAN_DEPTH_DEFAULT;
  const text = recentTalk
    .slice(0, depth + 1)
    .join('\n')
    .slice(0, SCAN_LENGTH_MAX);
  const lowered = text.toLowerCase();
  const { keys, secondaryKeys, excludeKeys } = prepared(fact);
  const matches = (matcher: Matcher) => matcher(text, lowered);
  return (
    keys.some(matches) &&
    (secondaryKeys.length === 0 || secondaryKeys.some(matches)) &&
    !excludeKeys.some(matches)
  );
}

function prepared(fact: WorldFact): PreparedFact {
  const known = preparedFacts.get(fact);
  if (known !== undefined) return known;
  const matcher = (key: string) => keyMatcher(key, fact);
  const made: PreparedFact = {
    fact,
    when: null,
    keys: fact.keys.map(matcher),
    secondaryKeys: fact.secondary_keys.map(matcher),
    excludeKeys: fact.exclude_keys.map(matcher),
  };
  preparedFacts.set(fact, made);
  return made;
}

/** Patterns run on RE2, which is linear in the text (https://github.com/google/re2/wiki/WhyRE2); a bad one never matches. */
function keyMatcher(key: string, fact: WorldFact): Matcher {
  if (fact.use_regex) {
    const pattern = compilePattern(key, fact.case_sensitive);
    return pattern === null ? () => false : (text) => pattern.matcher(text).find();
  }
  const wanted = (fact.case_sensitive ? key : key.toLowerCase()).trim();
  if (wanted === '') return () => false;
  return (text, lowered) => containsWord(fact.case_sensitive ? text : lowered, wanted);
}

/** Compiles `/pattern/flags` or a bare pattern; null when RE2 cannot read it. */
export function compilePattern(key: string, isCaseSensitive: boolean): RE2JS | null {
  const slashed = /^\/(.*)\/([a-z]*)$/s.exec(key);
  const source = slashed?.[1] ?? key;
  const flags = slashed?.[2] ?? '';
  const ignoresCase = slashed === null ? !isCaseSensitive : flags.includes('i');
  try {
    return RE2JS.compile(
      source,
      (ignoresCase ? RE2JS.CASE_INSENSITIVE : 0) |
        (flags.includes('s') ? RE2JS.DOTALL : 0) |
        (flags.includes('m') ? RE2JS.MULTILINE : 0),
    );
  } catch {
    return null;
  }
}

const LETTER = /[\p{L}\p{N}]/u;

/** Whether `word` begins where a word begins; an ending may follow ("lamp" is in "lamps"), another beginning not. */
function containsWord(text: string, word: string): boolean {
  for (let at = text.indexOf(word); at >= 0; at = text.indexOf(word, at + 1)) {
    const before = at === 0 ? '' : text.charAt(at - 1);
    const rest = text.slice(at + word.length, at + word.length + 4);
    if (!LETTER.test(before) && /^(?:s|es|'s|’s)?(?![\p{L}\p{N}])/u.test(rest)) return true;
  }
  return false;
}
