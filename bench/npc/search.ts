/**
 * How a side's capacity is found: the greatest speed of the trace at which enough of its lines are in time. Speeds grow and
 * shrink by a factor until one holds and one does not, then the middle between them (by ratio) is tried. Pure: what was
 * seen goes in, the next speed to try comes out.
 */

export interface Probe {
  /** Times the trace's own pace. */
  readonly speed: number;
  /** Whether enough lines were in time. */
  readonly holds: boolean;
}

export interface SearchLimits {
  readonly firstSpeed: number;
  /** By how much the speed grows while nothing breaks, and shrinks while nothing holds; above 1. */
  readonly factor: number;
  /** The search ends when the least speed that broke is at most this many times the greatest that held; above 1. */
  readonly resolution: number;
  readonly leastSpeed: number;
  readonly mostSpeed: number;
  readonly probesMax: number;
}

/** The speed to try next; null when the answer is as good as `limits` ask for. */
export function nextSpeed(probes: readonly Probe[], limits: SearchLimits): number | null {
  if (probes.length >= limits.probesMax) return null;
  if (probes.length === 0) return within(limits.firstSpeed, limits);
  const held = capacityOf(probes);
  const broke = Math.min(
    ...probes.filter(({ speed, holds }) => !holds && speed > (held ?? 0)).map(({ speed }) => speed),
  );
  if (held === null) return broke <= limits.leastSpeed ? null : within(broke / limits.factor, limits);
  if (broke === Number.POSITIVE_INFINITY)
    return held >= limits.mostSpeed ? null : within(held * limits.factor, limits);
  return broke / held <= limits.resolution ? null : Math.sqrt(held * broke);
}

/** The greatest speed that held; null when none did. */
export function capacityOf(probes: readonly Probe[]): number | null {
  const held = probes.filter(({ holds }) => holds).map(({ speed }) => speed);
  return held.length === 0 ? null : Math.max(...held);
}

function within(speed: number, { leastSpeed, mostSpeed }: SearchLimits): number {
  return Math.min(mostSpeed, Math.max(leastSpeed, speed));
}
