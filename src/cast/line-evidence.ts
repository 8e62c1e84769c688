/**
 * Counts which lines players hear: a sink of turns that keeps short generated replies with how often, by how many
 * players and how often cut off. Bounded memory, written to the store in batches; a store that is down costs evidence.
 * Invariants: recording never throws; nothing of the player's words enters, and no line that came under a revealed
 * secret; what only one player has heard never leaves memory.
 */
import { evidenceId, type LearnedLineStore, type LineEvidence, mergeCounts } from '../core/learned-line.ts';
import type { Clock } from '../core/runtime.ts';
import type { Turn, TurnSink } from '../core/turn.ts';
import { DistinctSketch } from '../lib/distinct-sketch.ts';
import type { Cast } from './cast.ts';
import { revealedSecretIndices } from './facts.ts';
import { wordsOf } from './near-duplicates.ts';
import type { Persona } from './persona.ts';

export interface EvidenceLimits {
  /** Lines counted in memory; the one heard longest ago gives way. */
  readonly linesMax: number;
  /** Lines written to the store at once. */
  readonly batchMax: number;
}

/** About 12 MB when full. */
export const EVIDENCE_LIMITS: EvidenceLimits = { linesMax: 10_000, batchMax: 300 };

/** What a bark, a greeting or a short answer can be. */
const WORDS_MAX = 20;
const SENTENCES_MAX = 2;
const TEXT_LENGTH_MAX = 240;
/** So many of the player's words in a row are a quotation. */
const ECHO_WORDS = 4;
/** What one player alone has heard may hold what only that player knows. */
const PLAYERS_KEPT_MIN = 2;
const PLACE_LENGTH_MAX = 64;
/** A shorter id stands in other words by chance. */
const PLAYER_ID_LENGTH_MIN = 3;
const NAME_LENGTH_MAX = 80;

/** What makes two hearings the same line. */
type Spoken = Pick<LineEvidence, 'kind' | 'occasion' | 'locale' | 'text'>;

interface Counted {
  readonly id: string;
  readonly spoken: Spoken;
  /** Id of the first sentence alone: somebody who hung up may not have heard the second. */
  readonly startId: string;
  /** Grows only: the same player is the same bit, however often it is written. */
  readonly listeners: DistinctSketch;
  readonly firstAtMs: number;
  lastAtMs: number;
  voice: string;
  /** What was heard since it was last written. */
  news: News;
}

interface News {
  heard: number;
  interrupted: number;
  cached: number;
  clean: number;
  npcs: Readonly<Record<string, number>>;
  places: Readonly<Record<string, number>>;
}

export class LineEvidenceSink implements TurnSink {
  readonly #npcs: ReadonlyMap<string, Persona>;
  readonly #clock: Clock;
  readonly #limits: EvidenceLimits;
  /** By id; insertion order is age. */
  readonly #lines = new Map<string, Counted>();
  readonly #byStart = new Map<string, Set<string>>();
  readonly #vocabulary: ReadonlySet<string>;

  constructor(
    cast: Pick<Cast, 'npcs' | 'world' | 'lines'>,
    clock: Clock,
    limits: EvidenceLimits = EVIDENCE_LIMITS,
  ) {
    this.#npcs = cast.npcs;
    this.#clock = clock;
    this.#limits = limits;
    this.#vocabulary = vocabularyOf(cast);
  }

  /** How many lines are counted in memory. */
  get size(): number {
    return this.#lines.size;
  }

  record(turn: Turn): void {
    const { request, outcome } = turn;
    const persona = this.#npcs.get(request.npcId);
    // An operator who compares adapters is no player.
    if (persona === undefined || request.adapter !== undefined || request.modelVersion !== undefined) return;
    if (outcome === null) {
      if (turn.error === 'client_closed') this.#interrupt(turn, persona);
      return;
    }
    if (outcome.source.kind === 'written' || outcome.finishReason !== 'stop') return;
    if (revealedSecretIndices(persona, request.context).size > 0) return;
    const text = this.#ownWords(outcome.sentences, turn);
    if (text === null) return;
    const line = this.#touch(spokenOf(text, turn, persona), turn, persona);
    const { news } = line;
    news.heard += 1;
    if (outcome.source.kind === 'cache') news.cached += 1;
    if (turn.guardHits.length === 0) news.clean += 1;
    news.npcs = mergeCounts(news.npcs, { [persona.id]: 1 });
    const { location, playerId, listeners = [] } = request.context;
    if (location) news.places = mergeCounts(news.places, { [location.slice(0, PLACE_LENGTH_MAX)]: 1 });
    for (const ear of [playerId ?? request.conversationId ?? 'somebody', ...listeners])
      line.listeners.add(line.id, ear);
  }

  /** Writes what was counted since, a batch at most. Throws `store_unavailable`; then it is counted still and goes along later. */
  async flush(store: Pick<LearnedLineStore, 'note'>): Promise<number> {
    const due: { readonly line: Counted; readonly news: News }[] = [];
    for (const line of this.#lines.values()) {
      if (due.length === this.#limits.batchMax) break;
      const { news } = line;
      if (news.heard + news.interrupted === 0 || line.listeners.count() < PLAYERS_KEPT_MIN) continue;
      line.news = noNews();
      due.push({ line, news });
    }
    if (due.length === 0) return 0;
    try {
      await store.note(due.map(({ line, news }) => noteOf(line, news)));
    } catch (error) {
      for (const { line, news } of due) line.news = added(news, line.news);
      throw error;
    }
    return due.length;
  }

  #interrupt(turn: Turn, persona: Persona): void {
    const [first] = turn.heard ?? [];
    const text = first === undefined ? null : this.#ownWords([first], turn);
    if (text === null) return;
    for (const id of this.#byStart.get(evidenceId(spokenOf(text, turn, persona))) ?? []) {
      const line = this.#lines.get(id);
      if (line !== undefined) line.news.interrupted += 1;
    }
  }

  /** The line, begun when it is new, as the one heard last. */
  #touch(spoken: Spoken, turn: Turn, persona: Persona): Counted {
    const id = evidenceId(spoken);
    const known = this.#lines.get(id);
    const line = known ?? this.#begun(id, spoken, turn, persona);
    line.lastAtMs = this.#clock.nowMs();
    const { model, adapter } = turn.outcome?.source ?? { model: null, adapter: null };
    line.voice = [model, adapter].filter((name) => name !== null).join(' + ');
    this.#lines.delete(id);
    this.#lines.set(id, line);
    if (known === undefined) this.#index(line);
    return line;
  }

  #begun(id: string, spoken: Spoken, turn: Turn, persona: Persona): Counted {
    const [first = ''] = turn.outcome?.sentences ?? [];
    const startText = this.#ownWords([first], turn) ?? spoken.text;
    const nowMs = this.#clock.nowMs();
    return {
      id,
      spoken,
      startId: evidenceId(spokenOf(startText, turn, persona)),
      listeners: new DistinctSketch(),
      firstAtMs: nowMs,
      lastAtMs: nowMs,
      voice: '',
      news: noNews(),
    };
  }

  #index(line: Counted): void {
    const starts = this.#byStart.get(line.startId) ?? new Set();
    starts.add(line.id);
    this.#byStart.set(line.startId, starts);
    for (const oldest of this.#lines.values()) {
      if (this.#lines.size <= this.#limits.linesMax) return;
      this.#lines.delete(oldest.id);
      const others = this.#byStart.get(oldest.startId);
      others?.delete(oldest.id);
      if (others?.size === 0) this.#byStart.delete(oldest.startId);
    }
  }

  /** The reply as a line anybody may hear, `{player}` for the player's name; null when it is too long or the player's. */
  #ownWords(sentences: readonly string[], { request }: Turn): string | null {
    if (sentences.length === 0 || sentences.length > SENTENCES_MAX) return null;
    const said = sentences.join(' ').replace(/\s+/gu, ' ').trim();
    if (said.length > TEXT_LENGTH_MAX || /[{}]/.test(said)) return null;
    const { context, prompt } = request;
    const name = context.facts.find((fact) => fact.key === 'player.name')?.value;
    const text = typeof name === 'string' ? withoutName(said, name) : said;
    const words = wordsOf(text.replaceAll('{player}', ' '));
    if (words.length === 0 || words.length > WORDS_MAX) return null;
    const spoken = ` ${words.join(' ')} `;
    const { playerId = '' } = context;
    if (playerId.length >= PLAYER_ID_LENGTH_MIN && spoken.includes(` ${wordsOf(playerId).join(' ')} `))
      return null;
    const told = [
      prompt,
      ...context.history.filter((turn) => turn.speaker === 'player').map((turn) => turn.text),
    ];
    return told.some((line) => this.#isQuoted(wordsOf(line), words, spoken)) ? null : text;
  }

  /** Four words in a row, or one that only the player brought up: a name, a number. */
  #isQuoted(told: readonly string[], words: readonly string[], spoken: string): boolean {
    const own = new Set(told);
    if (words.some((word) => own.has(word) && !this.#vocabulary.has(word))) return true;
    for (let at = 0; at + ECHO_WORDS <= told.length; at += 1)
      if (spoken.includes(` ${told.slice(at, at + ECHO_WORDS).join(' ')} `)) return true;
    return false;
  }
}

function spokenOf(text: string, { kind, request }: Turn, persona: Persona): Spoken {
  return { kind, occasion: request.trigger ?? 'answer', locale: persona.voice.language, text };
}

function noteOf({ id, spoken, listeners, firstAtMs, lastAtMs, voice }: Counted, news: News): LineEvidence {
  return { id, ...spoken, ...news, listeners: listeners.toString(), voice, firstAtMs, lastAtMs };
}

function noNews(): News {
  return { heard: 0, interrupted: 0, cached: 0, clean: 0, npcs: {}, places: {} };
}

function added(a: News, b: News): News {
  return {
    heard: a.heard + b.heard,
    interrupted: a.interrupted + b.interrupted,
    cached: a.cached + b.cached,
    clean: a.clean + b.clean,
    npcs: mergeCounts(a.npcs, b.npcs),
    places: mergeCounts(a.places, b.places),
  };
}

/** The name as a whole word, whatever its case, becomes the placeholder that the pool fills again. */
function withoutName(text: string, name: string): string {
  const plain = name.trim().toWellFormed();
  if (plain.length > NAME_LENGTH_MAX || !/\p{L}/u.test(plain)) return text;
  const escaped = plain.replace(/[.*+?^${}()|[\]\\/]/g, String.raw`\$&`);
  return text.replace(new RegExp(`(?<![\\p{L}\\p{N}])${escaped}(?![\\p{L}\\p{N}])`, 'giu'), '{player}');
}

/** Every word that stands in the cast's own files. */
function vocabularyOf({ npcs, world, lines }: Pick<Cast, 'npcs' | 'world' | 'lines'>): ReadonlySet<string> {
  const words = new Set(wordsOf(world));
  for (const persona of npcs.values()) for (const word of wordsOf(JSON.stringify(persona))) words.add(word);
  for (const line of lines.served) for (const word of wordsOf(line.text)) words.add(word);
  return words;
}
