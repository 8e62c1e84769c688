/**
 * The smallest number for which something holds: up by doubling from a guess, then between by halves. Trials are dear, so
 * a good guess matters, and each number is tried once. It takes for granted that more never makes it worse.
 */
export interface Trial<Result> {
  readonly count: number;
  readonly holds: boolean;
  /** It does not hold, and more would not make it. Left out: more may. */
  readonly isHopeless?: boolean;
  readonly result: Result;
}

/**
 * Resolves to the smallest count in 1..`countMax` that holds, or, when none does, to the trial of `countMax` or the first
 * that is hopeless. `attempt`
 * rejects with the signal's reason when the caller has given up.
 */
export async function smallestThatHolds<Result>(
  guess: number,
  countMax: number,
  attempt: (count: number) => Promise<Omit<Trial<Result>, 'count'>>,
): Promise<Trial<Result>> {
  const tryIt = async (count: number): Promise<Trial<Result>> => ({ count, ...(await attempt(count)) });
  let trial = await tryIt(Math.min(countMax, Math.max(1, Math.round(guess))));
  let below = 0;
  let best = trial;
  if (trial.holds) {
    // A guess is often half right: look a little below it first.
    while (best.count > 1) {
      trial = await tryIt(Math.max(1, Math.floor(best.count * 0.75)));
      if (!trial.holds) {
        below = trial.count;
        break;
      }
      best = trial;
    }
  } else {
    while (!trial.holds) {
      below = trial.count;
      if (trial.count >= countMax || trial.isHopeless === true) return trial;
      trial = await tryIt(Math.min(countMax, Math.max(trial.count + 1, Math.ceil(trial.count * 1.5))));
    }
    best = trial;
  }
  while (best.count - below > 1) {
    trial = await tryIt(Math.floor((below + best.count) / 2));
    if (trial.holds) best = trial;
    else below = trial.count;
  }
  return best;
}
