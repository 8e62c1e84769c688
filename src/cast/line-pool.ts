/**
 * Chooses a written line (npc-domain §9): the end of every ladder, so it always has something to say and takes well
 * under a millisecond. Lines are indexed by speaker and trigger; a pick looks at one list for each pool it widens to.
 *
 * Rules: (1) trigger matches, all conditions true, not cooling down, not spent, not yet said in this reply; (2) most
 * satisfied conditions; (3) of those the one that all who hear it now heard longest ago, ties by weight with a seed from
 * (player, NPC, time bucket); (4) who commits the line records it in HeardLines for each of them; (5) none left: persona →
 * type → common, then the same again without cooldowns, then a grunt.
 */
import type { SpokenScene } from '../core/engine.ts';
import { type FactLookup, type FactValue, holds } from './conditions.ts';
import { gruntsOf } from './grunts.ts';
import { type HeardLines, listenerKeys } from './heard-lines.ts';
import { type Persona, RATINGS, type Rating } from './persona.ts';
import { seededUnit } from './seeded.ts';
import { COMMON_SPEAKER, type LineTrigger, type WrittenLine } from './written-lines.ts';

export interface LineQuery extends SpokenScene {
  /** Monster type; default: the persona's own. */
  readonly kind?: string;
}

export interface PickedLine {
  readonly id: string;
  /** Ready to be said: placeholders are filled. */
  readonly text: string;
  readonly estMs: number | null;
  /** Null for a grunt. */
  readonly line: WrittenLine | null;
}

/** What of a persona the pool needs. */
type Speaker = Pick<Persona, 'id' | 'monster_type' | 'pools' | 'rating'>;

/** Ties are drawn anew after this many milliseconds. */
const TIME_BUCKET_MS = 10_000;
/** A line for a special situation wins over all others, so without a pause it would be the only one ever heard. */
const SPECIFIC_COOLDOWN_MS = 45_000;
const PLAYER_NAME_LENGTH_MAX = 40;

export class LinePool {
  readonly #ofFiles: readonly WrittenLine[];
  readonly #idsOfFiles: ReadonlySet<string>;
  readonly #speakers: ReadonlyMap<string, Speaker>;
  readonly #playerName: string;
  #lists: ReadonlyMap<string, readonly WrittenLine[]>;
  #served: readonly WrittenLine[];

  /** `playerName` fills `{player}` while the game sends no fact `player.name`. Only approved lines enter. */
  constructor(
    lines: readonly WrittenLine[],
    speakers: ReadonlyMap<string, Speaker> = new Map(),
    playerName = 'stranger',
  ) {
    this.#ofFiles = lines.filter((line) => line.status === 'approved');
    this.#idsOfFiles = new Set(lines.map((line) => line.id));
    this.#served = this.#ofFiles;
    this.#lists = listsOf(this.#served);
    this.#speakers = speakers;
    this.#playerName = playerName;
  }

  /** The lines that may be served. */
  get served(): readonly WrittenLine[] {
    return this.#served;
  }

  /**
   * Replaces all lines that were learned while the service runs; picks that follow know them. A line of a file with the
   * same id wins, also one that is retired there: it was exported, and edited since.
   */
  learn(lines: readonly WrittenLine[]): void {
    const learned = lines.filter((line) => line.status === 'approved' && !this.#idsOfFiles.has(line.id));
    this.#served = [...this.#ofFiles, ...learned];
    this.#lists = listsOf(this.#served);
  }

  /** The line to say now. Never fails and never returns an empty text; does not record it as heard. */
  pick(query: LineQuery, heard: HeardLines): PickedLine {
    const speaker = this.#speakers.get(query.npcId);
    const kind = query.kind ?? speaker?.monster_type ?? '';
    const choice = new Choice(query, heard, speaker?.rating.max_class ?? null, this.#playerName);
    const triggers = triggersOf(query);
    for (const strict of [true, false]) {
      for (const trigger of triggers) {
        for (const name of poolNames(query.npcId, speaker, kind, trigger)) {
          const list = this.#lists.get(listKey(name, trigger));
          const line = list === undefined ? null : choice.best(list, strict);
          if (line !== null) {
            return { id: line.id, text: choice.spoken(line), estMs: line.estMs, line };
          }
        }
      }
    }
    return grunt(kind, choice);
  }

  /** A short sound while the real answer is on its way ("Hm."); null when the cast has none for this NPC. */
  filler(query: LineQuery, heard: HeardLines): PickedLine | null {
    const picked = this.pick({ ...query, trigger: 'thinking', cause: null }, heard);
    return picked.line === null ? null : picked;
  }
}

/** One pick's view of the scene, made once however many lists are looked at. */
class Choice {
  readonly seed: string;
  readonly #query: LineQuery;
  readonly #heard: HeardLines;
  readonly #listeners: readonly string[];
  readonly #nowMs: number;
  readonly #committed: ReadonlySet<string>;
  readonly #ratingMax: number;
  readonly #playerName: string;
  #facts: FactLookup | null = null;

  constructor(query: LineQuery, heard: HeardLines, ratingMax: Rating | null, playerName: string) {
    this.#query = query;
    this.#heard = heard;
    this.#listeners = listenerKeys(query.playerId, query.listeners ?? [], query.npcId);
    this.#nowMs = heard.nowMs();
    this.#committed = new Set(query.committed.map(sameness));
    this.#ratingMax = ratingMax === null ? RATINGS.length : RATINGS.indexOf(ratingMax);
    const given = query.facts.find((fact) => fact.key === 'player.name')?.value;
    this.#playerName = spokenName(given) ?? playerName;
    this.seed = `${this.#listeners[0]}|${query.npcId}|${Math.floor(this.#nowMs / TIME_BUCKET_MS)}`;
  }

  spoken(line: WrittenLine): string {
    return line.text.includes('{player}') ? line.text.replaceAll('{player}', this.#playerName) : line.text;
  }

  wasSaid(text: string): boolean {
    return this.#committed.size > 0 && this.#committed.has(sameness(text));
  }

  /** The best line of one list, or null when none may be said. Without `strict`, cooldowns are ignored. */
  best(list: readonly WrittenLine[], strict: boolean): WrittenLine | null {
    let bestScore = -1;
    let bestHeardMs = Number.POSITIVE_INFINITY;
    let tied: WrittenLine[] = [];
    for (const line of list) {
      const score = this.#score(line);
      if (score < bestScore || score < 0) continue;
      const heardMs = this.#heard.lastHeardByAnyMs(this.#listeners, line.id) ?? Number.NEGATIVE_INFINITY;
      if (!this.#isFree(line, heardMs, strict)) continue;
      if (score > bestScore || heardMs < bestHeardMs) {
        bestScore = score;
        bestHeardMs = heardMs;
        tied = [line];
      } else if (heardMs === bestHeardMs) {
        tied.push(line);
      }
    }
    return this.#draw(tied);
  }

  /** How many conditions the line satisfies, the mood being one; -1 when it may not be said in this scene. */
  #score(line: WrittenLine): number {
    if (line.rating !== null && RATINGS.indexOf(line.rating) > this.#ratingMax) return -1;
    let score = line.specificity;
    if (line.mood !== null && this.#query.mood !== null) {
      if (line.mood.toLowerCase() !== this.#query.mood.toLowerCase()) return -1;
      score += 1;
    }
    if (line.when.length > 0) {
      this.#facts ??= factLookup(this.#query);
      for (const condition of line.when) if (!holds(condition, this.#facts)) return -1;
    }
    return this.wasSaid(this.spoken(line)) ? -1 : score;
  }

  #isFree(line: WrittenLine, heardMs: number, strict: boolean): boolean {
    if (line.once === 'world' && this.#heard.wasHeardByAnyone(line.id)) return false;
    if (heardMs === Number.NEGATIVE_INFINITY) return true;
    if (line.once !== null) return false;
    const cooldownMs =
      line.cooldownS === null ? (line.specificity > 0 ? SPECIFIC_COOLDOWN_MS : 0) : line.cooldownS * 1000;
    return !strict || this.#nowMs - heardMs >= cooldownMs;
  }

  #draw(tied: readonly WrittenLine[]): WrittenLine | null {
    if (tied.length <= 1) return tied[0] ?? null;
    const total = tied.reduce((sum, line) => sum + line.weight, 0);
    let rest = seededUnit(`${this.seed}|${tied[0]?.trigger}`) * total;
    for (const line of tied) {
      rest -= line.weight;
      if (rest < 0) return line;
    }
    return tied.at(-1) ?? null;
  }
}

function listsOf(lines: readonly WrittenLine[]): ReadonlyMap<string, readonly WrittenLine[]> {
  return Map.groupBy(lines, (line) => listKey(line.speaker, line.trigger));
}

function listKey(speaker: string, trigger: LineTrigger): string {
  return `${speaker}|${trigger}`;
}

/** What to look for, in order: the game's trigger, else the cause; a cause also catches a trigger without lines. */
function triggersOf(query: LineQuery): readonly LineTrigger[] {
  const triggers: LineTrigger[] = [];
  if (query.trigger !== null) triggers.push(query.trigger);
  if (query.cause !== null) triggers.push(`fallback:${query.cause}`);
  if (triggers.length === 0) triggers.push('fallback:disabled');
  return triggers;
}

function poolNames(
  npcId: string,
  speaker: Speaker | undefined,
  kind: string,
  trigger: LineTrigger,
): ReadonlySet<string> {
  const pools = speaker?.pools;
  const borrowed = trigger.startsWith('fallback:')
    ? pools?.fallback
    : trigger === 'thinking'
      ? pools?.filler
      : pools?.barks;
  return new Set(
    borrowed === undefined ? [npcId, kind, COMMON_SPEAKER] : [npcId, borrowed, kind, COMMON_SPEAKER],
  );
}

/** Game facts, and the scene's own: `mood`, `tier`, `npc`. A fact of the game wins. */
function factLookup(query: LineQuery): FactLookup {
  const facts = new Map<string, FactValue>([
    ['tier', query.tier],
    ['npc', query.npcId],
  ]);
  if (query.mood !== null) facts.set('mood', query.mood);
  for (const fact of query.facts) facts.set(fact.key, fact.value);
  return (key) => facts.get(key);
}

/** A player's name as it may be spoken: letters, digits, spaces, hyphens and apostrophes only; null if none remain. */
function spokenName(value: FactValue | undefined): string | null {
  if (typeof value !== 'string') return null;
  const name = value
    .slice(0, 4 * PLAYER_NAME_LENGTH_MAX)
    .replace(/[^\p{L}\p{M}\p{N} '’-]/gu, '')
    .replace(/\s+/g, ' ')
    .trim()
    .slice(0, PLAYER_NAME_LENGTH_MAX);
  return name === '' ? null : name;
}

/** Two texts that a player would call the same: letters and digits only, without case. */
function sameness(text: string): string {
  return text
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, ' ')
    .trim();
}

function grunt(kind: string, choice: Choice): PickedLine {
  const grunts = gruntsOf(kind);
  const start = Math.floor(seededUnit(`${choice.seed}|grunt`) * grunts.length);
  for (let step = 0; step < grunts.length; step++) {
    const index = (start + step) % grunts.length;
    const text = grunts[index] ?? 'Hm.';
    if (!choice.wasSaid(text) || step === grunts.length - 1) {
      return {
        id: `grunt.${kind === '' ? COMMON_SPEAKER : kind}.${index + 1}`,
        text,
        estMs: null,
        line: null,
      };
    }
  }
  return { id: `grunt.${COMMON_SPEAKER}.0`, text: 'Hm.', estMs: null, line: null };
}
