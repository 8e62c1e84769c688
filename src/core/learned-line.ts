/**
 * Lines that an engine made, players heard often and well, and a designer took into the written pool: what is known of
 * a line (evidence), what was decided about it, and who keeps both.
 * Invariants: no player's id and no player's words are in evidence; a line is decided about once; an id is never reused.
 */
import { createHash } from 'node:crypto';
import { DistinctSketch } from '../lib/distinct-sketch.ts';
import type { Trigger } from './dialogue.ts';

/** What a line was said upon: a trigger of the game, or a player's words. */
export type LineOccasion = Trigger | 'answer';

/** How often a line was heard since `firstAtMs`. Sums over gateways by `mergeEvidence`. */
export interface LineEvidence {
  /** `evidenceId` of kind, occasion, locale and text. */
  readonly id: string;
  /** Monster type of those who said it. */
  readonly kind: string;
  readonly occasion: LineOccasion;
  /** BCP 47: the language of who said it. */
  readonly locale: string;
  /** As it was first heard; a player's name reads `{player}`. */
  readonly text: string;
  readonly heard: number;
  /** Hang-ups before the end. */
  readonly interrupted: number;
  /** Of `heard`: replayed from the dialogue cache. */
  readonly cached: number;
  /** Of `heard`: no rule of the guard was touched on the way. */
  readonly clean: number;
  /** A DistinctSketch of the listeners as text: counts them, names none. */
  readonly listeners: string;
  /** NPC ids with how often each said it, and places likewise; the most frequent ones. */
  readonly npcs: Readonly<Record<string, number>>;
  readonly places: Readonly<Record<string, number>>;
  /** The model and adapter that spoke it last: `smollm2@1 + lich@7`. */
  readonly voice: string;
  /** Epoch milliseconds. */
  readonly firstAtMs: number;
  readonly lastAtMs: number;
}

/** Names kept of NPCs and of places, each. */
export const EVIDENCE_NAMES_MAX = 8;

/** What two hearings of one line have in common: words without case and marks, so "Sit!" and "Sit." are one line. */
export function evidenceId(line: Pick<LineEvidence, 'kind' | 'occasion' | 'locale' | 'text'>): string {
  const words = line.text.toLowerCase().match(/[\p{L}\p{M}\p{N}{}]+/gu) ?? [];
  const key = JSON.stringify([line.kind, line.occasion, line.locale, words.join(' ')]);
  return createHash('sha256').update(key).digest('hex').slice(0, 32);
}

/** Both together. Commutative but for the text and the voice: those of the one heard first, and last. */
export function mergeEvidence(a: LineEvidence, b: LineEvidence): LineEvidence {
  const [first, last] = [a.firstAtMs <= b.firstAtMs ? a : b, a.lastAtMs > b.lastAtMs ? a : b];
  return {
    ...first,
    heard: a.heard + b.heard,
    interrupted: a.interrupted + b.interrupted,
    cached: a.cached + b.cached,
    clean: a.clean + b.clean,
    listeners: DistinctSketch.parse(a.listeners).merge(DistinctSketch.parse(b.listeners)).toString(),
    npcs: mergeCounts(a.npcs, b.npcs),
    places: mergeCounts(a.places, b.places),
    voice: last.voice,
    lastAtMs: last.lastAtMs,
  };
}

/** Sums by name; of more than EVIDENCE_NAMES_MAX the most frequent stay. */
export function mergeCounts(
  a: Readonly<Record<string, number>>,
  b: Readonly<Record<string, number>>,
): Readonly<Record<string, number>> {
  const sums = new Map(Object.entries(a));
  for (const [name, count] of Object.entries(b)) sums.set(name, (sums.get(name) ?? 0) + count);
  if (sums.size <= EVIDENCE_NAMES_MAX) return Object.fromEntries(sums);
  const byCount = [...sums].sort(([x, n], [y, m]) => m - n || (x < y ? -1 : 1));
  return Object.fromEntries(byCount.slice(0, EVIDENCE_NAMES_MAX));
}

/** A line as the designer wants it in the pool. */
export interface LineWish {
  /** One line of text, without markup. */
  readonly text: string;
  /** Persona id, monster type, or `common`. */
  readonly speaker: string;
  /** A trigger, or `fallback:<cause>`. */
  readonly trigger: string;
  /** Conditions on facts; all must hold. */
  readonly when: readonly string[];
  readonly mood: string | null;
  /** BCP 47. */
  readonly locale: string;
}

/** What the designer changes; what is left out stays as it was heard. */
export type LineChanges = { readonly [K in keyof LineWish]?: LineWish[K] | undefined };

/** A line of the pool that was learned. Never deleted, so that its id stays taken. */
export interface LearnedLine extends LineWish {
  /** `vampire.greet.learned-001`. */
  readonly id: string;
  readonly evidenceId: string;
  readonly status: 'approved' | 'retired';
  readonly approvedBy: string;
  readonly approvedAtMs: number;
  readonly retiredBy: string | null;
  readonly retiredAtMs: number | null;
  /** The words as they were heard, and how often, when it was approved. */
  readonly original: string;
  readonly heard: number;
  readonly players: number;
}

export interface LineDecision {
  readonly evidenceId: string;
  readonly verdict: 'approved' | 'rejected';
  readonly by: string;
  readonly atMs: number;
  readonly kind: string;
  readonly occasion: LineOccasion;
  /** The words as they were heard. */
  readonly text: string;
  /** What was approved; null: rejected. */
  readonly line: LearnedLine | null;
}

export type LineVerdict =
  | {
      readonly verdict: 'approved';
      /** Before the number: `vampire.greet.learned-`. */
      readonly idPrefix: string;
      /** No number up to this one is given: such an id stands in the cast's files. */
      readonly numbersTaken: number;
      readonly wish: LineWish;
      readonly players: number;
    }
  | { readonly verdict: 'rejected' };

export interface LearnedLineStore {
  /** Adds what was heard since the last note. At most a few hundred at once; each counts once also among gateways. */
  note(evidence: readonly LineEvidence[]): Promise<void>;
  /** Evidence that nobody has decided about, the most heard first, at most `limit`. */
  undecided(ask: { readonly heardMin: number; readonly limit: number }): Promise<readonly LineEvidence[]>;
  evidence(id: string): Promise<LineEvidence | null>;
  /** How many lines there is evidence of. */
  count(): Promise<number>;
  /** Decides unless it was decided. `isFirst` false: the decision is another's, who came before. */
  decide(
    evidence: LineEvidence,
    verdict: LineVerdict,
    by: string,
    atMs: number,
  ): Promise<{ readonly isFirst: boolean; readonly decision: LineDecision }>;
  /** What was decided about a line; null: nothing yet. */
  decision(evidenceId: string): Promise<LineDecision | null>;
  /** All decisions, the latest first. */
  decisions(): Promise<readonly LineDecision[]>;
  /** Takes an approved line out of the pool. Null: there is no line of this id; one that was retired stays as it is. */
  retire(lineId: string, by: string, atMs: number): Promise<LearnedLine | null>;
  /** Changes whenever a decision is added or changed, at any gateway. */
  stamp(): Promise<string>;
  /** Forgets some evidence not heard since, and beyond `countMax` what was heard longest ago; 0: no more to forget. Decisions stay. */
  forget(ask: { readonly lastBeforeMs: number; readonly countMax: number }): Promise<number>;
}

/** A line that may be offered, with why. */
export interface LineCandidate {
  readonly evidence: LineEvidence;
  /** Distinct listeners, estimated. */
  readonly players: number;
  /** Hang-ups over all hearings, 0..1. */
  readonly interruptedShare: number;
  /** Who would say it: the NPC when only one did, else the kind. */
  readonly speaker: string;
  /** The game's trigger; null for an answer, where the designer must choose one. */
  readonly trigger: string | null;
  /** Other candidates that say nearly the same, which vanish when this one is approved. */
  readonly variants: readonly string[];
}

/** What must be true of a line before it is offered. */
export interface LineThresholds {
  readonly heardMin: number;
  readonly playersMin: number;
  /** 0..1 */
  readonly interruptedShareMax: number;
}

/** Why lines with enough hearings were not offered: by reason, how many. */
export type LineRefusals = Readonly<Record<string, number>>;

export interface LineOffer {
  readonly candidates: readonly LineCandidate[];
  readonly refused: LineRefusals;
  /** How many lines there is evidence of, offered or not. */
  readonly known: number;
  readonly thresholds: LineThresholds;
}

export const LINE_EXPORT_FORMATS = ['csv', 'yarn', 'unreal'] as const;
export type LineExportFormat = (typeof LINE_EXPORT_FORMATS)[number];

export interface LineExport {
  readonly fileName: string;
  readonly contentType: string;
  readonly text: string;
  readonly count: number;
}

/** What the doors need: offer, decide, list, export. Every method throws `store_unavailable` when the store is away. */
export interface LineDesk {
  offer(ask: { readonly speaker?: string; readonly limit: number }): Promise<LineOffer>;
  /**
   * Takes a candidate into the pool, where it serves at once. What `changes` leaves out is as it was heard. Throws
   * `unknown_line`, `line_decided` (with who), and `bad_request` for a line that may not be served, with why.
   */
  approve(evidenceId: string, changes: LineChanges, by: string): Promise<LearnedLine>;
  /** Never offers it again. Throws as `approve`. */
  reject(evidenceId: string, by: string): Promise<LineDecision>;
  /** Takes a learned line out of the pool. Throws `unknown_line`. */
  retire(lineId: string, by: string): Promise<LearnedLine>;
  /** Learned lines, the latest first, retired ones too. */
  learned(): Promise<readonly LearnedLine[]>;
  /** `scope` all: with the lines of the cast's files. Only what is served. */
  export(
    format: LineExportFormat,
    ask: { readonly scope: 'learned' | 'all'; readonly locale?: string },
  ): Promise<LineExport>;
  /** What a form may offer: speakers of the cast and triggers. */
  choices(): { readonly speakers: readonly string[]; readonly triggers: readonly string[] };
}
