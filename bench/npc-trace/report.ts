/**
 * What one run of the trace showed, as a table by tier. A line is good when its first sentence was there within its
 * tier's time; a written line that stood in for an engine, lines that were late and lines that failed are apart, by the
 * one rule of bench/npc/judge.ts. Pure.
 */
import { figuresOf, sourcesOf } from '../npc/figures.ts';
import { type JudgedLine, judge } from '../npc/judge.ts';
import type { SayEntry, SayOutcome, TraceHeader, TraceTier } from './trace.ts';

export interface ReportRow {
  readonly name: string;
  /** Lines that were due. */
  readonly lines: number;
  readonly failed: number;
  /** Nobody had to speak: of equal events another NPC did. */
  readonly unspoken: number;
  /** Milliseconds from when a line was due, of those that had one; NaN of none. */
  readonly ttftP50Ms: number;
  readonly ttftP95Ms: number;
  readonly ttfsP50Ms: number;
  readonly ttfsP95Ms: number;
  /** Lines a second that ended whole. */
  readonly linesPerSecond: number;
  readonly goodPerSecond: number;
  /** Of the judged lines, 0..1; NaN of none. */
  readonly goodShare: number;
  readonly stoodInShare: number;
  readonly costUsd: number;
  /** Of the prompt tokens that engines were given, 0..1; NaN where nobody says. */
  readonly cachedTokenShare: number;
  readonly engineShare: number;
  readonly cacheShare: number;
  readonly writtenShare: number;
}

export interface Report {
  /** Over which lines were due (ms). */
  readonly wallMs: number;
  readonly rows: readonly ReportRow[];
  /** How late the client itself began: of a busy client nothing else can be believed (ms). */
  readonly startLateP95Ms: number;
  /** Each reason for a failure with how often it came, the most usual first. */
  readonly failures: readonly (readonly [string, number])[];
}

const TIERS: readonly TraceTier[] = [1, 2, 3, 4];

/** `says`: the lines that were due in `wallMs` of wall time; one without an outcome counts as late. */
export function reportOf(
  header: Pick<TraceHeader, 'firstSentenceMs'>,
  says: readonly SayEntry[],
  outcomes: readonly SayOutcome[],
  wallMs: number,
): Report {
  const lines = judge(says, outcomes, header.firstSentenceMs);
  const groups: (readonly [string, readonly JudgedLine[]])[] = [
    ...TIERS.map((tier) => [`tier ${tier}`, lines.filter(({ say }) => say.tier === tier)] as const),
    ['barks', lines.filter(({ say }) => say.prompt === '')],
    ['talk', lines.filter(({ say }) => say.prompt !== '')],
    ['all', lines],
  ];
  const reasons = new Map<string, number>();
  for (const { failure } of outcomes)
    if (failure !== undefined) reasons.set(failure, (reasons.get(failure) ?? 0) + 1);
  return {
    wallMs,
    rows: groups.filter(([, group]) => group.length > 0).map(([name, group]) => rowOf(name, group, wallMs)),
    startLateP95Ms: figuresOf(lines).startLateP95Ms,
    failures: [...reasons].sort(([, one], [, other]) => other - one),
  };
}

function rowOf(name: string, lines: readonly JudgedLine[], wallMs: number): ReportRow {
  const figures = figuresOf(lines);
  const sources = sourcesOf(lines);
  const ends = (end: SayOutcome['end']) => lines.filter(({ outcome }) => outcome?.end === end).length;
  const seconds = wallMs / 1_000;
  return {
    name,
    lines: figures.asked,
    failed: figures.failed,
    unspoken: ends('unspoken'),
    ttftP50Ms: figures.ttftP50Ms,
    ttftP95Ms: figures.ttftP95Ms,
    ttfsP50Ms: figures.ttfsP50Ms,
    ttfsP95Ms: figures.ttfsP95Ms,
    linesPerSecond: ends('done') / seconds,
    goodPerSecond: figures.good / seconds,
    goodShare: figures.goodShare,
    stoodInShare: figures.stoodIn / figures.judged,
    costUsd: lines.reduce((sum, { outcome }) => sum + (outcome?.costUsd ?? 0), 0),
    cachedTokenShare: figures.cachedTokenShare,
    engineShare: sources.engine,
    cacheShare: sources.cache,
    writtenShare: sources.written + sources.stoodIn,
  };
}

type Cell = (row: ReportRow) => string;

const COLUMNS: readonly (readonly [string, Cell])[] = [
  ['', ({ name }) => name],
  ['lines', ({ lines }) => String(lines)],
  ['failed', ({ failed }) => String(failed)],
  ['unspoken', ({ unspoken }) => String(unspoken)],
  ['TTFT p50', ({ ttftP50Ms }) => ms(ttftP50Ms)],
  ['p95', ({ ttftP95Ms }) => ms(ttftP95Ms)],
  ['TTFS p50', ({ ttfsP50Ms }) => ms(ttfsP50Ms)],
  ['p95', ({ ttfsP95Ms }) => ms(ttfsP95Ms)],
  ['lines/s', ({ linesPerSecond }) => linesPerSecond.toFixed(2)],
  ['good/s', ({ goodPerSecond }) => goodPerSecond.toFixed(2)],
  ['good', ({ goodShare }) => percent(goodShare)],
  ['stood in', ({ stoodInShare }) => percent(stoodInShare)],
  ['cost $', ({ costUsd }) => costUsd.toFixed(4)],
  ['cached tokens', ({ cachedTokenShare }) => percent(cachedTokenShare)],
  ['engine', ({ engineShare }) => percent(engineShare)],
  ['cache', ({ cacheShare }) => percent(cacheShare)],
  ['written', ({ writtenShare }) => percent(writtenShare)],
];

/** The report as text for a terminal, in columns; ends with a line break. */
export function tableOf(report: Report): string {
  const cells = [
    COLUMNS.map(([name]) => name),
    ...report.rows.map((row) => COLUMNS.map(([, of]) => of(row))),
  ];
  const widths = COLUMNS.map((_column, index) => Math.max(...cells.map((row) => (row[index] ?? '').length)));
  const lines = cells.map((row) =>
    row
      .map((cell, index) => (index === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[index] ?? 0)))
      .join('  '),
  );
  const failures = report.failures.map(([reason, count]) => `${count} × ${reason}`);
  return `${[...lines, `the client began late by ${ms(report.startLateP95Ms)} ms at p95`, ...failures].join('\n')}\n`;
}

function ms(value: number): string {
  return Number.isNaN(value) ? '–' : value.toFixed(0);
}

function percent(share: number): string {
  return Number.isNaN(share) ? '–' : `${(100 * share).toFixed(0)} %`;
}
