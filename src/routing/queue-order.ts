/**
 * In which order those go that fair shares let go now: who is due, then by deadline class, then the shortest prefill, then
 * the earliest deadline, then who asked first. Short prefills first gives the most first sentences a second (shortest
 * job first); two bounds keep the long ones from starving. Pure, and a total order at any one time.
 *
 * Due are (1) those that were passed over PASSED_OVER_MAX times, in the order of asking, and (2) those that have waited
 * half of their time, by deadline. The first bound is exact: serving a due one passes over none that is due and asked
 * before it, so nobody is passed over more often by those that asked later.
 */

/** Two rounds of the sixteen places that an engine has by default: over a longer queue the order would be that of asking. */
export const PASSED_OVER_MAX = 32;
/** What is expected to be cached is not known better than this (tokens). */
export const PREFILL_STEP_TOKENS = 32;

/** One that waits, as the order sees it. */
export interface Waiting {
  /** The order of asking; no two are the same. */
  readonly order: number;
  /** Of `deadlineClassOf`. */
  readonly deadlineClass: number;
  /** Prefill in steps of PREFILL_STEP_TOKENS. */
  readonly prefillSteps: number;
  readonly deadlineMonoMs: number;
  /** From here on it has waited half of its time; infinite where there is no deadline. */
  readonly halfGoneMonoMs: number;
  /** How often one that asked later was served while fair shares would have let this one go. */
  passedOver: number;
}

/**
 * Deadlines of one class are those within a factor of two, by the time that the request had when it asked: 1 to 2 s is
 * one, 2 to 4 s the next. Less time is a lower class; no deadline is the last.
 */
export function deadlineClassOf(allowedMs: number): number {
  return allowedMs < 1 ? 0 : Math.floor(Math.log2(allowedMs)) + 1;
}

export function prefillStepsOf(prefillTokens: number): number {
  return Math.round(prefillTokens / PREFILL_STEP_TOKENS);
}

/** Negative when `one` goes before `other`; 0 only where the arrivals alone decide. */
export function compareWaiting(one: Waiting, other: Waiting, nowMonoMs: number): number {
  const duty = dutyOf(one, nowMonoMs);
  const byDuty = duty - dutyOf(other, nowMonoMs);
  if (byDuty !== 0) return byDuty;
  if (duty === PASSED_OVER) return one.order - other.order;
  if (duty === HALF_GONE) return compare(one.deadlineMonoMs, other.deadlineMonoMs);
  return (
    compare(one.deadlineClass, other.deadlineClass) ||
    one.prefillSteps - other.prefillSteps ||
    compare(one.deadlineMonoMs, other.deadlineMonoMs)
  );
}

/** Whether `one` goes before `other`, down to who asked first. */
export function goesBefore(one: Waiting, other: Waiting, nowMonoMs: number): boolean {
  const order = compareWaiting(one, other, nowMonoMs);
  return order === 0 ? one.order < other.order : order < 0;
}

const PASSED_OVER = 0;
const HALF_GONE = 1;
const NOT_DUE = 2;

function dutyOf({ passedOver, halfGoneMonoMs }: Waiting, nowMonoMs: number): number {
  if (passedOver >= PASSED_OVER_MAX) return PASSED_OVER;
  return nowMonoMs >= halfGoneMonoMs ? HALF_GONE : NOT_DUE;
}

/** Unlike a difference, also for two infinite ones. */
function compare(one: number, other: number): number {
  return one === other ? 0 : one < other ? -1 : 1;
}
