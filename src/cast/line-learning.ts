/**
 * The way of a line from a player's ear into the written pool: counts, offers, takes the designer's word, and keeps this
 * gateway's pool in step with the store. The one owner of what the pool has learned.
 * Invariant: an approved line serves here before `approve` resolves, and at every other gateway within seconds.
 */
import { ServiceError } from '../core/errors.ts';
import type {
  LearnedLine,
  LearnedLineStore,
  LineChanges,
  LineDecision,
  LineDesk,
  LineEvidence,
  LineExport,
  LineExportFormat,
  LineOffer,
  LineWish,
} from '../core/learned-line.ts';
import type { Clock, Logger } from '../core/runtime.ts';
import type { Turn, TurnSink } from '../core/turn.ts';
import { DistinctSketch } from '../lib/distinct-sketch.ts';
import { collapseSpaces, dropUnseen } from '../lib/text/characters.ts';
import type { Cast } from './cast.ts';
import {
  indexOf,
  LineRules,
  learnedIdPrefix,
  lineOfWish,
  localeOf,
  numbersTaken,
  offerCandidates,
  poolLines,
} from './learned-lines.ts';
import { type EvidenceLimits, LineEvidenceSink } from './line-evidence.ts';
import { exportLines } from './line-export.ts';
import { type LineLearningOptions, lineLearningOptionsSchema } from './line-learning-options.ts';
import type { NearIndex } from './near-index.ts';
import { KINDS } from './persona.ts';
import { COMMON_SPEAKER, LINE_TRIGGERS, type WrittenLine } from './written-lines.ts';

const FLUSH_EVERY_MS = 20_000;
/** How long another gateway's approval may take to serve here. */
const LOOK_EVERY_MS = 5_000;
const FORGET_EVERY_MS = 60 * 60_000;
const EVIDENCE_KEPT_MS = 90 * 24 * 60 * 60_000;
const EVIDENCE_ROWS_MAX = 50_000;
/** Looked through for candidates: beyond it they are heard too seldom to matter. */
const CONSIDERED_MAX = 1_000;
const BY_LENGTH_MAX = 120;

export interface LineLearningParts {
  readonly cast: Cast;
  readonly store: LearnedLineStore;
  readonly clock: Clock;
  readonly log: Logger;
  /** Left out: the defaults. */
  readonly options?: LineLearningOptions;
  readonly limits?: EvidenceLimits;
}

export class LineLearning implements LineDesk, TurnSink {
  readonly #parts: LineLearningParts;
  readonly #options: LineLearningOptions;
  readonly #evidence: LineEvidenceSink;
  readonly #rules: LineRules;
  #stamp = '';
  #refreshing: Promise<void> = Promise.resolve();
  #index: { readonly of: readonly WrittenLine[]; readonly near: NearIndex<WrittenLine> } | null = null;
  /** What failed last time: said once, until it goes well again. */
  readonly #failing = new Set<string>();

  constructor(parts: LineLearningParts) {
    this.#parts = parts;
    this.#options = parts.options ?? lineLearningOptionsSchema.parse({});
    this.#evidence = new LineEvidenceSink(parts.cast, parts.clock, parts.limits);
    this.#rules = new LineRules(parts.cast);
  }

  /** Lines counted in memory, and learned lines that serve. */
  get state(): { readonly counted: number; readonly learned: number } {
    const learned = this.#parts.cast.lines.served.filter(({ source }) => source === 'generated_approved');
    return { counted: this.#evidence.size, learned: learned.length };
  }

  record(turn: Turn): void {
    if (this.#options.enabled) this.#evidence.record(turn);
  }

  /**
   * Keeps pool and store in step until the signal aborts, then writes what is left and resolves. A store that is away is
   * asked again; nothing here ever rejects.
   */
  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#parts;
    let flushedMonoMs = clock.monotonicMs();
    let forgotMonoMs = flushedMonoMs;
    await this.#quietly('lines.unread', () => this.refresh());
    while (!signal.aborted) {
      await clock.sleep(LOOK_EVERY_MS, signal).catch(() => {});
      if (signal.aborted) break;
      const nowMonoMs = clock.monotonicMs();
      await this.#quietly('lines.unread', () => this.refresh());
      if (nowMonoMs - flushedMonoMs >= FLUSH_EVERY_MS) {
        flushedMonoMs = nowMonoMs;
        await this.#quietly('lines.unwritten', () => this.flush());
      }
      if (nowMonoMs - forgotMonoMs >= FORGET_EVERY_MS) {
        forgotMonoMs = nowMonoMs;
        await this.#quietly('lines.unforgotten', () => this.#forget());
      }
    }
    await this.#quietly('lines.unwritten', () => this.flush());
  }

  /** Brings the pool to what is approved now. Throws `store_unavailable`; then it stays as it is. */
  refresh(): Promise<void> {
    // One after the other: an answer that was read earlier must not come after a newer one.
    const next = this.#refreshing.then(() => this.#read());
    this.#refreshing = next.catch(() => {});
    return next;
  }

  async #read(): Promise<void> {
    const stamp = await this.#parts.store.stamp();
    if (stamp === this.#stamp) return;
    this.#parts.cast.lines.learn(poolLines(await this.learned()));
    this.#stamp = stamp;
  }

  /** Writes all evidence that is due. Throws `store_unavailable`; nothing is lost by it. */
  async flush(): Promise<void> {
    while ((await this.#evidence.flush(this.#parts.store)) > 0);
  }

  async offer(ask: { readonly speaker?: string; readonly limit: number }): Promise<LineOffer> {
    const { store, cast } = this.#parts;
    await this.flush();
    const [evidence, decisions, known] = await Promise.all([
      store.undecided({ heardMin: this.#options.heardMin, limit: CONSIDERED_MAX }),
      store.decisions(),
      store.count(),
    ]);
    const view = { cast, rules: this.#rules, served: this.#served(), decisions };
    const { candidates, refused } = await offerCandidates(evidence, view, this.#options, turnOfLoop);
    const wanted = candidates.filter(
      ({ speaker, evidence: { kind, npcs } }) =>
        ask.speaker === undefined ||
        [speaker, kind].includes(ask.speaker) ||
        Object.hasOwn(npcs, ask.speaker),
    );
    return { candidates: wanted.slice(0, ask.limit), refused, known, thresholds: this.#options };
  }

  async approve(evidenceId: string, changes: LineChanges, by: string): Promise<LearnedLine> {
    const { store, cast, clock } = this.#parts;
    const approver = nameOf(by);
    const evidence = await this.#evidenceOf(evidenceId);
    // Who comes second is told so, not that the text is taken: by the first one's approval it is.
    const earlier = await store.decision(evidenceId);
    if (earlier !== null) throw alreadyDecided(earlier);
    const wish = wishOf(evidence, changes);
    const prefix = learnedIdPrefix(wish.speaker, wish.trigger);
    const made = lineOfWish('candidate', wish);
    if ('problem' in made) throw new ServiceError('bad_request', `the line cannot be kept: ${made.problem}`);
    const fault = this.#rules.fault(made.line);
    if (fault !== null) throw new ServiceError('bad_request', `the line cannot be served: ${fault.message}`);
    const same = cast.lines.served.find(
      (line) =>
        line.speaker === wish.speaker && line.trigger === wish.trigger && line.text === made.line.text,
    );
    if (same !== undefined)
      throw new ServiceError(
        'bad_request',
        `${same.id} says exactly this already for ${wish.speaker} and ${wish.trigger}; change the text, or reject the candidate`,
      );
    const verdict = {
      verdict: 'approved' as const,
      idPrefix: prefix,
      numbersTaken: numbersTaken(cast.lines.served, prefix),
      wish: { ...wish, text: made.line.text },
      players: DistinctSketch.parse(evidence.listeners).count(),
    };
    const { isFirst, decision } = await store.decide(evidence, verdict, approver, clock.nowMs());
    if (!isFirst || decision.line === null) throw alreadyDecided(decision);
    await this.refresh();
    return decision.line;
  }

  async reject(evidenceId: string, by: string): Promise<LineDecision> {
    const { store, clock } = this.#parts;
    const rejecter = nameOf(by);
    const evidence = await this.#evidenceOf(evidenceId);
    const { isFirst, decision } = await store.decide(
      evidence,
      { verdict: 'rejected' },
      rejecter,
      clock.nowMs(),
    );
    if (!isFirst) throw alreadyDecided(decision);
    return decision;
  }

  async retire(lineId: string, by: string): Promise<LearnedLine> {
    const { store, clock } = this.#parts;
    const line = await store.retire(lineId, nameOf(by), clock.nowMs());
    if (line === null)
      throw new ServiceError(
        'unknown_line',
        `no learned line has the id ${JSON.stringify(lineId.slice(0, 120))}; lines of the cast's files are changed there`,
      );
    await this.refresh();
    return line;
  }

  async learned(): Promise<readonly LearnedLine[]> {
    const decisions = await this.#parts.store.decisions();
    return decisions.flatMap(({ line }) => (line === null ? [] : [line]));
  }

  async export(
    format: LineExportFormat,
    ask: { readonly scope: 'learned' | 'all'; readonly locale?: string },
  ): Promise<LineExport> {
    await this.refresh();
    const lines = this.#parts.cast.lines.served.filter((line) => {
      if (ask.scope === 'learned' && line.source !== 'generated_approved') return false;
      return ask.locale === undefined || (localeOf(line) ?? this.#languageOf(line.speaker)) === ask.locale;
    });
    return exportLines(format, lines, ask.locale === undefined ? ask.scope : `${ask.scope}-${ask.locale}`);
  }

  choices(): { readonly speakers: readonly string[]; readonly triggers: readonly string[] } {
    const { npcs } = this.#parts.cast;
    const kinds = new Set([...npcs.values()].map((persona) => persona.monster_type));
    return {
      speakers: [
        ...[...npcs.keys()].sort(),
        ...[...kinds].sort(),
        ...KINDS.filter((kind) => !kinds.has(kind)),
        COMMON_SPEAKER,
      ],
      triggers: LINE_TRIGGERS,
    };
  }

  #served(): NearIndex<WrittenLine> {
    const lines = this.#parts.cast.lines.served;
    if (this.#index?.of !== lines) this.#index = { of: lines, near: indexOf(lines) };
    return this.#index.near;
  }

  async #forget(): Promise<void> {
    const { store, clock } = this.#parts;
    const ask = { lastBeforeMs: clock.nowMs() - EVIDENCE_KEPT_MS, countMax: EVIDENCE_ROWS_MAX };
    while ((await store.forget(ask)) > 0);
  }

  async #evidenceOf(id: string): Promise<LineEvidence> {
    const found = await this.#parts.store.evidence(id);
    if (found !== null) return found;
    throw new ServiceError(
      'unknown_line',
      `no candidate has the id ${JSON.stringify(id.slice(0, 80))}; it may have been forgotten, read the list again`,
    );
  }

  /** The language of a line written by hand: its speaker's, or that of the first of its kind. */
  #languageOf(speaker: string): string {
    const { npcs } = this.#parts.cast;
    const persona =
      npcs.get(speaker) ??
      [...npcs.values()].find((each) => each.monster_type === speaker || speaker === COMMON_SPEAKER);
    return persona?.voice.language ?? 'en';
  }

  async #quietly(event: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
      this.#failing.delete(event);
    } catch (error) {
      if (!this.#failing.has(event))
        this.#parts.log.warn(event, { reason: ServiceError.from(error).message });
      this.#failing.add(event);
    }
  }
}

/** What was heard, as the designer changed it: one line of text without anything unseen. */
function wishOf(evidence: LineEvidence, changes: LineChanges): LineWish {
  const npcs = Object.keys(evidence.npcs);
  const [only] = npcs;
  const trigger = changes.trigger ?? (evidence.occasion === 'answer' ? undefined : evidence.occasion);
  if (trigger === undefined)
    throw new ServiceError(
      'bad_request',
      `trigger is missing: the line was an answer to a player, so nothing says when to use it; expected one of ${LINE_TRIGGERS.join(', ')}`,
    );
  return {
    text: collapseSpaces(dropUnseen(changes.text ?? evidence.text)),
    speaker: changes.speaker ?? (npcs.length === 1 && only !== undefined ? only : evidence.kind),
    trigger,
    when: changes.when ?? [],
    mood: changes.mood ?? null,
    locale: changes.locale ?? evidence.locale,
  };
}

/** Who decides, as it is kept for ever. Throws `bad_request` for nobody. */
function nameOf(by: string): string {
  const name = collapseSpaces(dropUnseen(by)).slice(0, BY_LENGTH_MAX);
  if (name !== '') return name;
  throw new ServiceError(
    'bad_request',
    'by is empty: without API keys the one who decides says a name, such as "Mara"',
  );
}

function alreadyDecided({ verdict, by, atMs, line }: LineDecision): ServiceError {
  const as = line === null ? '' : ` as ${line.id}`;
  return new ServiceError(
    'line_decided',
    `${by} ${verdict} this line${as} at ${new Date(atMs).toISOString()}; nothing was changed`,
    { details: { verdict, by } },
  );
}

/** Lets everything else that waits have its turn. */
function turnOfLoop(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
