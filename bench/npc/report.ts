/**
 * Rows and bars of the NPC comparison from its windows. Pure; what a row states of several rounds is their median with the
 * least and the greatest beside it, and shares are of all lines of all rounds.
 */
import type { Bar } from '../load/result-file.ts';
import { median, round, spread } from '../load/statistics.ts';
import type { TraceTier } from '../npc-trace/trace.ts';
import { type Capacity, capacityOfWindows, goodPerSecond } from './capacity.ts';
import { figuresOf, sourcesOf } from './figures.ts';
import type { JudgedLine } from './judge.ts';
import type { AbsentSide, Side, SideKey } from './side.ts';
import type { Window } from './window.ts';

export type Row = Readonly<Record<string, string | number | null>>;

/** Parts of a run. Speeds of `rounds` are multiples of the best rival's capacity, or those that were asked for. */
export const PARTS = { search: 'search', rounds: 'rounds', repeats: 'repeats' } as const;

export interface Material {
  readonly sides: readonly Side[];
  readonly absent: readonly AbsentSide[];
  readonly windows: readonly Window[];
  /** The speed of the best rival's capacity; null when it was not searched. */
  readonly baseSpeed: number | null;
  /** Windows of traces made with another share of repeats. */
  readonly repeats: readonly { readonly repeats: number; readonly window: Window }[];
}

const RIVALS: readonly SideKey[] = ['a', 'b', 'c', 'f'];
const OURS: SideKey = 'e';
const TIERS: readonly TraceTier[] = [1, 2, 3, 4];
const GOODPUT_BOUND = 3;

export function rowsOf(material: Material): Row[] {
  return [
    ...capacityRows(material),
    ...speedsOf(material).flatMap((speed) => loadRows(material, speed)),
    ...speedsOf(material).flatMap((speed) => sourceRows(material, speed)),
    ...tierRows(material),
    ...barkRows(material),
    ...repeatRows(material),
  ];
}

export function barsOf(material: Material): Bar[] {
  const capacities = new Map(material.sides.map(({ key }) => [key, capacityOf(material, key)]));
  const rivals = RIVALS.flatMap((key) => {
    const capacity = capacities.get(key) ?? null;
    return capacity === null ? [] : [{ key, capacity }];
  });
  const best = rivals.toSorted(
    (one, other) => median(other.capacity.goodPerSecond) - median(one.capacity.goodPerSecond),
  )[0];
  return [
    goodputBar(material, capacities.get(OURS) ?? null, best),
    answeredBar(material),
    failuresBar(material),
  ];
}

function goodputBar(
  material: Material,
  ours: Capacity | null,
  best: { readonly key: SideKey; readonly capacity: Capacity } | undefined,
): Bar {
  const name = 'good lines/s of Greenroom at its capacity, against the best rival at its own';
  const bound = `>= ${GOODPUT_BOUND}`;
  if (best === undefined || ours === null)
    return { name, value: null, bound, holds: null, note: 'a side is absent, or held no speed' };
  const rate = ({ goodPerSecond: each }: Capacity) => median(each);
  const value = round(rate(ours) / rate(best.capacity), 2);
  const told = (capacity: Capacity) =>
    `${round(rate(capacity), 2)} good lines/s of ${round(capacity.askedPerSecond, 2)} asked (${capacity.goodPerSecond.length} windows)`;
  const talk = median(ours.goodTalkPerSecond) / median(best.capacity.goodTalkPerSecond);
  const note = `Greenroom ${told(ours)}; ${nameOf(material, best.key)} ${told(best.capacity)}; without barks ${round(talk, 2)}`;
  return { name, value, bound, holds: value >= GOODPUT_BOUND, note };
}

function answeredBar(material: Material): Bar {
  const name = 'in time at twice the best rival’s capacity, any source (%)';
  const bound = '= 100';
  const speed = material.baseSpeed === null ? null : material.baseSpeed * 2;
  const ours = speed === null ? [] : linesAt(material, OURS, speed);
  if (ours.length === 0) return { name, value: null, bound, holds: null, note: 'not measured' };
  const { inTimeShare, stoodIn, late, failed, judged } = figuresOf(ours);
  const others = material.sides.flatMap(({ key, name: side }) => {
    const lines = speed === null || key === OURS ? [] : linesAt(material, key, speed);
    return lines.length === 0 ? [] : [`${side} ${percent(figuresOf(lines).inTimeShare)}`];
  });
  const value = percent(inTimeShare);
  const note = `${stoodIn} of ${judged} lines were written stand-ins with a cause, ${late} late, ${failed} failed; ${others.join(', ')}`;
  return { name, value, bound, holds: inTimeShare === 1, note };
}

function failuresBar(material: Material): Bar {
  const lines = material.windows.filter(({ side }) => side === OURS).flatMap((window) => window.lines);
  const failed = lines.filter(({ verdict }) => verdict === 'failed');
  const first = failed[0]?.outcome?.failure;
  return {
    name: 'lines that failed at Greenroom',
    value: lines.length === 0 ? null : failed.length,
    bound: '= 0',
    holds: lines.length === 0 ? null : failed.length === 0,
    note: `of ${lines.length} in all windows${first === undefined ? '' : `; the first: ${first.slice(0, 120)}`}`,
  };
}

function capacityRows(material: Material): Row[] {
  const name = 'capacity: the greatest load of which 90 % of the lines are good';
  const found = material.sides.map((side): Row => {
    const capacity = capacityOf(material, side.key);
    const tried = windowsOf(material, side.key).length;
    if (capacity === null) return { case: name, side: titleOf(side), heldSpeed: null, windows: tried };
    return {
      case: name,
      side: titleOf(side),
      heldSpeed: round(capacity.speed, 2),
      askedPerSecond: round(capacity.askedPerSecond, 2),
      ...spread('goodPerSecond', capacity.goodPerSecond, 2),
      ...spread('goodWithoutBarksPerSecond', capacity.goodTalkPerSecond, 2),
      goodPercent: percent(capacity.goodShare),
      windows: tried,
    };
  });
  const missing = material.absent.map(
    ({ key, name: side, reason, install }): Row => ({
      case: name,
      side: `${key} ${side}`,
      result: 'absent',
      reason,
      ...(install === undefined ? {} : { install }),
    }),
  );
  return [...found, ...missing];
}

function loadRows(material: Material, speed: number): Row[] {
  return material.sides.flatMap((side): Row[] => {
    const windows = roundsAt(material, side.key, speed);
    if (windows.length === 0) return [];
    const all = figuresOf(windows.flatMap(({ lines }) => lines));
    const each = windows.map(({ lines }) => figuresOf(lines));
    return [
      {
        case: loadName(material, speed),
        side: titleOf(side),
        lines: all.asked,
        ...spread('goodPerSecond', windows.map(goodPerSecond), 2),
        ...spread(
          'goodPercent',
          each.map(({ goodShare }) => 100 * goodShare),
          1,
        ),
        inTimePercent: percent(all.inTimeShare),
        stoodInPercent: percent(all.stoodIn / all.judged),
        failed: all.failed,
        ttftP50Ms: whole(all.ttftP50Ms),
        ttftP95Ms: whole(all.ttftP95Ms),
        ttfsP50Ms: whole(all.ttfsP50Ms),
        ttfsP95Ms: whole(all.ttfsP95Ms),
        cachedTokenPercent: percent(all.cachedTokenShare),
        promptTokensP50: whole(all.promptTokensP50),
        completionTokensP50: whole(all.completionTokensP50),
        startLateP95Ms: whole(all.startLateP95Ms),
      },
    ];
  });
}

function sourceRows(material: Material, speed: number): Row[] {
  return material.sides
    .filter(({ door }) => door === 'dialogue')
    .flatMap((side): Row[] => {
      const lines = linesAt(material, side.key, speed);
      if (lines.length === 0) return [];
      const shares = sourcesOf(lines);
      return [
        {
          case: 'where the answers of Greenroom came from (% of the lines that were spoken)',
          load: loadName(material, speed),
          side: titleOf(side),
          engine: percent(shares.engine),
          cache: percent(shares.cache),
          written: percent(shares.written),
          writtenWithCause: percent(shares.stoodIn),
        },
      ];
    });
}

/** The load at which rows are split: twice the best rival's capacity, where the sides differ most. */
function splitSpeed(material: Material): number | null {
  const speeds = speedsOf(material);
  const doubled = material.baseSpeed === null ? undefined : material.baseSpeed * 2;
  return speeds.find((speed) => speed === doubled) ?? speeds[0] ?? null;
}

function tierRows(material: Material): Row[] {
  const speed = splitSpeed(material);
  if (speed === null) return [];
  return material.sides.flatMap((side): Row[] => {
    const lines = linesAt(material, side.key, speed);
    if (lines.length === 0) return [];
    const cells = TIERS.flatMap((tier) => {
      const { judged, goodShare, ttfsP95Ms } = figuresOf(lines.filter(({ say }) => say.tier === tier));
      return judged === 0
        ? []
        : [
            [`tier${tier}GoodPercent`, percent(goodShare)],
            [`tier${tier}TtfsP95Ms`, whole(ttfsP95Ms)],
          ];
    });
    return [
      {
        case: `by tier, ${loadName(material, speed)}`,
        side: titleOf(side),
        ...(Object.fromEntries(cells) as Row),
      },
    ];
  });
}

function barkRows(material: Material): Row[] {
  const speed = splitSpeed(material);
  if (speed === null) return [];
  const isBark = ({ say }: JudgedLine) => say.trigger !== undefined;
  return material.sides.flatMap((side): Row[] => {
    const lines = linesAt(material, side.key, speed);
    if (lines.length === 0) return [];
    const talk = figuresOf(lines.filter((line) => !isBark(line)));
    const barks = figuresOf(lines.filter(isBark));
    return [
      {
        case: `with and without barks, ${loadName(material, speed)}`,
        side: titleOf(side),
        lines: talk.judged + barks.judged,
        goodPercent: percent(figuresOf(lines).goodShare),
        linesWithoutBarks: talk.judged,
        goodPercentWithoutBarks: percent(talk.goodShare),
        barks: barks.judged,
        goodPercentOfBarks: percent(barks.goodShare),
      },
    ];
  });
}

function repeatRows(material: Material): Row[] {
  return material.repeats
    .toSorted((one, other) => one.repeats - other.repeats)
    .map(({ repeats, window }): Row => {
      const side = material.sides.find(({ key }) => key === window.side);
      const { asked, goodShare, inTimeShare, ttfsP50Ms, ttfsP95Ms } = figuresOf(window.lines);
      return {
        case: 'share of repeated questions in the trace, one window each at twice the best rival’s capacity',
        repeats,
        side: side === undefined ? window.side : titleOf(side),
        lines: asked,
        goodPerSecond: round(goodPerSecond(window), 2),
        goodPercent: percent(goodShare),
        inTimePercent: percent(inTimeShare),
        ttfsP50Ms: whole(ttfsP50Ms),
        ttfsP95Ms: whole(ttfsP95Ms),
        cachePercent: side?.door === 'dialogue' ? percent(sourcesOf(window.lines).cache) : null,
      };
    });
}

function windowsOf({ windows }: Material, key: SideKey): Window[] {
  return windows.filter(({ side }) => side === key);
}

function capacityOf(material: Material, key: SideKey): Capacity | null {
  return capacityOfWindows(windowsOf(material, key));
}

function roundsAt(material: Material, key: SideKey, at: number): Window[] {
  return windowsOf(material, key).filter(({ part, speed }) => part === PARTS.rounds && speed === at);
}

function linesAt(material: Material, key: SideKey, at: number): JudgedLine[] {
  return roundsAt(material, key, at).flatMap(({ lines }) => lines);
}

/** Of the rounds, ascending. */
function speedsOf({ windows }: Material): number[] {
  const speeds = windows.filter(({ part }) => part === PARTS.rounds).map(({ speed }) => speed);
  return [...new Set(speeds)].toSorted((one, other) => one - other);
}

function loadName({ baseSpeed }: Material, speed: number): string {
  if (baseSpeed === null) return `${round(speed, 2)} times the trace’s own pace`;
  return `${round(speed / baseSpeed, 2)} times the best rival’s capacity`;
}

function titleOf({ key, name }: Side): string {
  return `${key} ${name}`;
}

function nameOf({ sides }: Material, key: SideKey): string {
  return sides.find((side) => side.key === key)?.name ?? key;
}

/** Null where there is no figure. */
function percent(share: number): number | null {
  return Number.isNaN(share) ? null : round(100 * share, 1);
}

function whole(value: number): number | null {
  return Number.isNaN(value) ? null : Math.round(value);
}
