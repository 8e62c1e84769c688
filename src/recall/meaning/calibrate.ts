/**
 * The threshold, chosen from the labelled set by rule, with the errors it makes. `node bench/meaning.ts --write` puts the
 * result into calibrated.ts; a test computes it again, so that set, measure and threshold cannot drift apart unseen.
 */
import { createHash } from 'node:crypto';
import { likeness } from './compare.ts';
import { type Counts, countAt, leastThreshold, measureScenes } from './error-rate.ts';
import { frameOf } from './frame.ts';
import { parseLabelled } from './labelled.ts';

/** False accepts that the upper end of the calibration's 95 % interval may reach. */
export const FALSE_ACCEPT_MAX = 0.01;
export const THRESHOLDS: readonly number[] = Array.from({ length: 20 }, (_, at) => (at + 1) / 20);

export interface Calibration {
  readonly setSha256: string;
  readonly threshold: number;
  readonly calibration: Counts;
  readonly heldOut: Counts;
}

/** Likeness of two texts, 0 to 1; 0 also where one of them cannot be read. */
export function meaningLikeness(a: string, b: string): number {
  const [first, second] = [frameOf(a), frameOf(b)];
  return first === null || second === null ? 0 : likeness(first, second);
}

/** Throws when no threshold is strict enough, or the set is not as its header says. */
export function calibrate(labelledText: string): Calibration {
  const { scenes } = parseLabelled(labelledText);
  const of = (part: string) =>
    measureScenes(
      scenes.filter((scene) => scene.part === part),
      meaningLikeness,
    );
  const calibration = of('calibration');
  const threshold = leastThreshold(calibration, THRESHOLDS, FALSE_ACCEPT_MAX);
  if (threshold === null)
    throw new Error(`no threshold keeps false accepts within ${FALSE_ACCEPT_MAX}; the measure is too loose`);
  return {
    setSha256: createHash('sha256').update(labelledText).digest('hex'),
    threshold,
    calibration: countAt(calibration, threshold),
    heldOut: countAt(of('held-out'), threshold),
  };
}
