/** What a run of the gateway bench says: rows for the tables, and the bars of the design with their rounds beside them. */
import { CASES, type Figures, type Sizes } from './cases.ts';
import type { HangUps } from './hang-up.ts';
import type { Bar } from './result-file.ts';
import type { Absent } from './sides.ts';
import { median, round, spread } from './statistics.ts';

/** One case on one side in one round; the rounds of a case and side stand in their order. */
export interface Measured {
  readonly case: string;
  readonly side: string;
  readonly figures: Figures;
}

export interface Material {
  readonly measured: readonly Measured[];
  readonly hangUps: ReadonlyMap<string, HangUps>;
  readonly absent: ReadonlyMap<string, Absent>;
  readonly sideNames: readonly string[];
  readonly sizes: Sizes;
}

type Figure = (figures: Figures) => number;
type Row = Readonly<Record<string, string | number | null>>;

const OURS = 'greenroom';
const p99: Figure = (figures) => figures.p99Ms;
const rate: Figure = (figures) => figures.requestsPerSecond;

const figuresOf = ({ measured }: Material, name: string, side: string): readonly Figures[] =>
  measured.filter((each) => each.case === name && each.side === side).map(({ figures }) => figures);

/** For each round: a figure of this side less the direct one of the same round. */
function added(material: Material, name: string, side: string, figure: Figure): number[] {
  const direct = figuresOf(material, name, 'direct');
  return figuresOf(material, name, side).flatMap((figures, at) => {
    const base = direct[at];
    return base === undefined ? [] : [figure(figures) - figure(base)];
  });
}

export function rowsOf(material: Material): Row[] {
  const { sizes, sideNames, hangUps, absent } = material;
  const absentRow = (side: string) => ({ result: 'absent', ...absent.get(side) });
  const cases = CASES.flatMap(({ name, describe }) =>
    sideNames.map((side) => {
      const head = { case: `${name}: ${describe(sizes)}`, gateway: side };
      const isThere = figuresOf(material, name, side).length > 0;
      return { ...head, ...(isThere ? figuresRow(material, name, side) : absentRow(side)) };
    }),
  );
  const left = sideNames.map((side) => ({
    case: 'client leaves, streamed: clients hang up after some tokens; streams the mock saw stopped within a second',
    gateway: side,
    ...(hangUps.get(side) ?? absentRow(side)),
  }));
  return [...cases, ...left];
}

function figuresRow(material: Material, name: string, side: string): Row {
  const mine = figuresOf(material, name, side);
  const isRate = name.startsWith('most');
  const rounds = (figure: Figure) => mine.map(figure);
  const middle = (figure: Figure) => round(median(rounds(figure)), 2);
  const total = (figure: Figure) => mine.reduce((sum, figures) => sum + figure(figures), 0);
  const isAdded = side !== 'direct' && !isRate && added(material, name, side, p99).length > 0;
  return {
    requests: total((figures) => figures.requests),
    failed: total((figures) => figures.failed),
    ...(isRate ? spread('requestsPerSecond', rounds(rate), 0) : {}),
    ...spread(
      'cpuMsPerRequest',
      rounds((figures) => figures.cpuMsPerRequest),
      3,
    ),
    p50Ms: middle((figures) => figures.p50Ms),
    p99Ms: middle(p99),
    ...(isAdded
      ? {
          ...spread(
            'addedP50Ms',
            added(material, name, side, (figures) => figures.p50Ms),
            2,
          ),
          ...spread('addedP99Ms', added(material, name, side, p99), 2),
        }
      : {}),
    ...(name.startsWith('paced')
      ? {
          tokenP50Ms: middle((figures) => figures.tokenP50Ms),
          tokenP99Ms: middle((figures) => figures.tokenP99Ms),
        }
      : {}),
    ...(Number.isNaN(mine[0]?.latenessP99Ms)
      ? {}
      : { startLateP99Ms: middle((figures) => figures.latenessP99Ms) }),
  };
}

export function barsOf(material: Material): Bar[] {
  const { hangUps } = material;
  const [one, , paced, most] = CASES.map(({ name }) => name) as [string, string, string, string];
  const isThere = figuresOf(material, one, OURS).length > 0;
  const lost = material.measured
    .filter(({ side }) => side === OURS)
    .reduce((sum, { figures }) => sum + figures.failed, 0);
  const running = (side: string) => {
    const found = hangUps.get(side);
    return found === undefined ? null : found.left - found.stopped;
  };
  return [
    addedBar(material, one, 'added p99 at one client (ms)'),
    addedBar(material, paced, 'added TTFT p99 at 32 paced streams (ms)'),
    ratioBar(material, most, 'portkey', 5),
    ratioBar(material, most, 'bifrost', 1),
    {
      name: 'answers that failed, or lost, mixed or reordered a token',
      value: isThere ? lost : null,
      bound: '= 0',
      holds: isThere ? lost === 0 : null,
      note: 'every token of every answer is checked',
    },
    {
      name: 'streams still running at the engine a second after the client left',
      value: running(OURS),
      bound: '= 0',
      holds: running(OURS) === null ? null : running(OURS) === 0,
      note: beside(material, (side) => running(side)),
    },
  ];
}

/** What the rivals show where we show a bar's value. */
function beside(material: Material, value: (side: string) => number | null): string {
  return material.sideNames
    .filter((side) => side !== 'direct' && side !== OURS)
    .map((side) => `${side}: ${value(side) ?? 'absent'}`)
    .join(', ');
}

const ADDED_BOUND_MS = 1;

function addedBar(material: Material, name: string, title: string): Bar {
  const rounds = added(material, name, OURS, p99);
  const value = rounds.length === 0 ? null : round(median(rounds), 3);
  const rivals = beside(material, (side) => {
    const theirs = added(material, name, side, p99);
    return theirs.length === 0 ? null : round(median(theirs), 2);
  });
  return {
    name: title,
    value,
    bound: `< ${ADDED_BOUND_MS}`,
    holds: value === null ? null : value < ADDED_BOUND_MS,
    note: `rounds: ${listed(rounds)}; ${rivals}`,
  };
}

/** Our requests/s over a rival's, round by round. */
function ratioBar(material: Material, name: string, rival: string, bound: number): Bar {
  const theirs = figuresOf(material, name, rival).map(rate);
  const rounds = figuresOf(material, name, OURS).flatMap((figures, at) => {
    const other = theirs[at];
    return other === undefined ? [] : [rate(figures) / other];
  });
  const value = rounds.length === 0 ? null : round(median(rounds), 2);
  return {
    name: `requests/s against ${rival}`,
    value,
    bound: `>= ${bound}`,
    holds: value === null ? null : value >= bound,
    note: value === null ? `${rival} is absent` : `rounds: ${listed(rounds)}`,
  };
}

const listed = (values: readonly number[]) => values.map((each) => round(each, 2)).join(', ') || 'none';
