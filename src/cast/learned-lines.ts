/**
 * Which lines that players heard may be offered to the designer, and which line may be served at all. Pure.
 * Invariants: what holds a canary of any secret in the cast is neither offered nor approved, revealed or not; what was
 * decided about once is not offered again, nor what says nearly the same.
 */
import type {
  LearnedLine,
  LineCandidate,
  LineDecision,
  LineEvidence,
  LineRefusals,
  LineThresholds,
  LineWish,
} from '../core/learned-line.ts';
import { DistinctSketch } from '../lib/distinct-sketch.ts';
import { occursIn, squeeze } from '../lib/text/fold.ts';
import type { Cast } from './cast.ts';
import { type LintFinding, lintLine } from './lint.ts';
import { wordsOf } from './near-duplicates.ts';
import { NearIndex } from './near-index.ts';
import type { Persona } from './persona.ts';
import { COMMON_SPEAKER, parseLinesJson, type WrittenLine } from './written-lines.ts';

/** About a millisecond of work. */
const LINES_A_BREATH = 10;
/** Tested as if for this trigger while the designer has not chosen one: it has the limits of talk. */
const TALK = 'idle';
/** Kept in the tags of a line: our tables have no column for it, and a localiser looks there. */
const LOCALE_TAG = 'locale:';

/** The prefix of a learned line's id; `number` comes from the store. */
export function learnedIdPrefix(speaker: string, trigger: string): string {
  return `${speaker}.${trigger.replace(':', '.')}.learned-`;
}

/** The highest number of this prefix among lines of files: a store that was lost must not give an id again. */
export function numbersTaken(lines: readonly WrittenLine[], prefix: string): number {
  let highest = 0;
  for (const { id } of lines) {
    if (!id.startsWith(prefix)) continue;
    const number = Number(id.slice(prefix.length));
    if (Number.isSafeInteger(number)) highest = Math.max(highest, number);
  }
  return highest;
}

/** The wish as a line of the pool, or what is wrong with it: field, value, and what was expected. */
export function lineOfWish(
  id: string,
  wish: LineWish,
): { readonly line: WrittenLine } | { readonly problem: string } {
  const row = {
    id,
    speaker: wish.speaker,
    trigger: wish.trigger,
    text: wish.text,
    when: [...wish.when],
    mood: wish.mood ?? '',
    tags: [`${LOCALE_TAG}${wish.locale}`],
    status: 'approved',
    source: 'generated_approved',
  };
  const { lines, problems } = parseLinesJson([row], 'the line');
  const [problem] = problems;
  if (problem !== undefined) {
    const field = problem.field.replace(/^\[0\](?:, )?/, '');
    return { problem: `${field} is ${JSON.stringify(problem.value)}; expected ${problem.expected}` };
  }
  const [line] = lines;
  return line === undefined ? { problem: 'nothing was given' } : { line: { ...line, origin: 'learned' } };
}

/** The learned lines that serve, as the pool takes them. One that its own cast does not take any more is left out. */
export function poolLines(learned: readonly LearnedLine[]): readonly WrittenLine[] {
  return learned.flatMap((each) => {
    if (each.status !== 'approved') return [];
    const made = lineOfWish(each.id, each);
    return 'line' in made ? [made.line] : [];
  });
}

/** The language of a learned line; null: written by hand, in the language of who says it. */
export function localeOf(line: WrittenLine): string | null {
  return line.tags.find((tag) => tag.startsWith(LOCALE_TAG))?.slice(LOCALE_TAG.length) ?? null;
}

/** What no line may say, made once a cast. */
export class LineRules {
  readonly #cast: Cast;
  readonly #canaries: readonly {
    readonly npcId: string;
    readonly phrase: string;
    readonly letters: string;
  }[];

  constructor(cast: Cast) {
    this.#cast = cast;
    this.#canaries = [...cast.npcs.values()].flatMap((persona) =>
      persona.secrets.flatMap((secret) =>
        secret.canaries
          .map((phrase) => ({ npcId: persona.id, phrase, letters: squeeze(phrase).letters }))
          .filter(({ letters }) => letters !== ''),
      ),
    );
  }

  /** The first reason why this line may not be served, with a sentence for the designer; null when it may. */
  fault(line: WrittenLine): { readonly rule: string; readonly message: string } | null {
    const heard = squeeze(line.text);
    const canary = this.#canaries.find(({ letters }) => occursIn(heard, letters, 0));
    if (canary !== undefined)
      return {
        rule: 'secret',
        message: `the text says "${canary.phrase}", which guards a secret of ${canary.npcId}; no written line may say it`,
      };
    const speakers = this.#speakersOf(line.speaker);
    for (const persona of speakers) {
      const phrase = [...persona.forbidden.phrases, ...persona.voice.words_avoid].find((each) => {
        const { letters } = squeeze(each);
        return letters !== '' && occursIn(heard, letters, 0);
      });
      if (phrase !== undefined)
        return { rule: 'forbidden', message: `the text says "${phrase}", which ${persona.id} never says` };
    }
    const findings: LintFinding[] = [];
    lintLine(line, { cast: this.#cast, allLines: [], problems: [] }, findings);
    const [finding] = findings;
    if (finding !== undefined) return { rule: finding.rule, message: finding.message };
    // A persona's own limit is tighter than its pool's.
    const [only] = speakers;
    const words = wordsOf(line.text).length;
    if (speakers.length === 1 && only !== undefined && words > only.style.max_words)
      return { rule: 'too-long', message: `${words} words; ${only.id} says at most ${only.style.max_words}` };
    return null;
  }

  /** Everyone who may say a line of this speaker. */
  #speakersOf(speaker: string): readonly Persona[] {
    const own = this.#cast.npcs.get(speaker);
    if (own !== undefined) return [own];
    return [...this.#cast.npcs.values()].filter(
      (persona) =>
        speaker === COMMON_SPEAKER ||
        persona.monster_type === speaker ||
        Object.values(persona.pools).includes(speaker),
    );
  }
}

export interface OfferView {
  readonly cast: Cast;
  readonly rules: LineRules;
  /** Every served line. */
  readonly served: NearIndex<WrittenLine>;
  readonly decisions: readonly LineDecision[];
}

/** Made anew only when the pool changes: it takes some milliseconds for thousands of lines. */
export function indexOf(lines: readonly WrittenLine[]): NearIndex<WrittenLine> {
  const index = new NearIndex<WrittenLine>();
  for (const line of lines) index.add(line.text, line);
  return index;
}

/**
 * Candidates, best first: many players and few hang-ups; and why the others are not. `breathe` is awaited every few
 * lines, so that players who talk meanwhile are not kept waiting.
 */
export async function offerCandidates(
  evidence: readonly LineEvidence[],
  view: OfferView,
  thresholds: LineThresholds,
  breathe: () => Promise<void>,
): Promise<{ readonly candidates: readonly LineCandidate[]; readonly refused: LineRefusals }> {
  const refused: Record<string, number> = {};
  const ranked = evidence
    .map((one) => candidateOf(one, view.cast))
    .sort((a, b) => worth(b) - worth(a) || (a.evidence.id < b.evidence.id ? -1 : 1));
  const decided = new NearIndex<LineDecision>();
  for (const decision of view.decisions) decided.add(decision.text, decision);
  const offered = new NearIndex<string[]>();
  const candidates: LineCandidate[] = [];
  for (const [at, candidate] of ranked.entries()) {
    if (at % LINES_A_BREATH === LINES_A_BREATH - 1) await breathe();
    const { text, kind } = candidate.evidence;
    const reason =
      refusalOf(candidate, view.rules, thresholds) ??
      (decided.find(text, (decision) => decision.kind === kind) === null ? null : 'decided_before') ??
      (isServed(candidate, view) ? 'near_duplicate' : null);
    if (reason !== null) {
      refused[reason] = (refused[reason] ?? 0) + 1;
      continue;
    }
    const better = offered.find(text);
    if (better !== null) {
      better.push(text);
      continue;
    }
    const variants: string[] = [];
    offered.add(text, variants);
    candidates.push({ ...candidate, variants });
  }
  return { candidates, refused };
}

function candidateOf(evidence: LineEvidence, cast: Cast): LineCandidate {
  const npcs = Object.keys(evidence.npcs);
  const [only] = npcs;
  return {
    evidence,
    players: DistinctSketch.parse(evidence.listeners).count(),
    interruptedShare: evidence.interrupted / Math.max(1, evidence.heard + evidence.interrupted),
    speaker: npcs.length === 1 && only !== undefined && cast.npcs.has(only) ? only : evidence.kind,
    trigger: evidence.occasion === 'answer' ? null : evidence.occasion,
    variants: [],
  };
}

function refusalOf(
  { evidence, players, interruptedShare, speaker, trigger }: LineCandidate,
  rules: LineRules,
  thresholds: LineThresholds,
): string | null {
  if (evidence.heard < thresholds.heardMin) return 'too_few_hearings';
  if (players < thresholds.playersMin) return 'too_few_players';
  if (interruptedShare > thresholds.interruptedShareMax) return 'interrupted';
  // A line that the guard had to mend now and then is not one to keep for ever.
  if (evidence.clean * 2 < evidence.heard) return 'guarded';
  const wish = {
    text: evidence.text,
    speaker,
    trigger: trigger ?? TALK,
    when: [],
    mood: null,
    locale: evidence.locale,
  };
  const made = lineOfWish('candidate', wish);
  if ('problem' in made) return 'malformed';
  return rules.fault(made.line)?.rule ?? null;
}

function worth({ players, interruptedShare }: LineCandidate): number {
  return players * (1 - interruptedShare) ** 2;
}

/** Whether one of those who said it, or their kind, may say nearly the same already. */
function isServed({ evidence }: LineCandidate, { cast, served }: OfferView): boolean {
  const speakers = new Set<string>([COMMON_SPEAKER, evidence.kind]);
  for (const npcId of Object.keys(evidence.npcs)) {
    speakers.add(npcId);
    for (const pool of Object.values(cast.npcs.get(npcId)?.pools ?? {})) if (pool) speakers.add(pool);
  }
  return served.find(evidence.text, (line) => speakers.has(line.speaker)) !== null;
}
