/**
 * What windows say of the capacity of each side: its lines of the search and of the rounds are pooled by speed, and the
 * greatest speed at which nine tenths of them were good is what it holds. A speed that the search took for held and the
 * rounds did not is not held. Pure.
 */
import { figuresOf } from './figures.ts';
import { HOLD_SHARE } from './judge.ts';
import type { Window } from './window.ts';

/** Good lines a second of one window. */
export function goodPerSecond({ lines, wallMs }: Window): number {
  return lines.filter(({ verdict }) => verdict === 'good').length / (wallMs / 1_000);
}

function goodTalkPerSecond(window: Window): number {
  return goodPerSecond({ ...window, lines: window.lines.filter(({ say }) => say.trigger === undefined) });
}

export interface Capacity {
  readonly speed: number;
  /** Lines a second that were asked at it. */
  readonly askedPerSecond: number;
  readonly goodShare: number;
  /** Of each window at this speed, in their order. */
  readonly goodPerSecond: readonly number[];
  /** The same without barks. */
  readonly goodTalkPerSecond: readonly number[];
}

/** Null: no speed held. `windows` are those of one side. */
export function capacityOfWindows(windows: readonly Window[]): Capacity | null {
  const bySpeed = Map.groupBy(windows, ({ speed }) => speed);
  const held = [...bySpeed].flatMap(([speed, group]) => {
    const whole = group.filter(({ isCut }) => !isCut);
    const lines = group.flatMap((window) => window.lines);
    const { goodShare } = figuresOf(lines);
    if (whole.length === 0 || !(goodShare >= HOLD_SHARE)) return [];
    const seconds = whole.reduce((sum, { wallMs }) => sum + wallMs / 1_000, 0);
    const asked = whole.reduce((sum, window) => sum + window.lines.length, 0);
    return [
      {
        speed,
        askedPerSecond: asked / seconds,
        goodShare,
        goodPerSecond: whole.map(goodPerSecond),
        goodTalkPerSecond: whole.map(goodTalkPerSecond),
      },
    ];
  });
  return held.toSorted((one, other) => other.speed - one.speed)[0] ?? null;
}
