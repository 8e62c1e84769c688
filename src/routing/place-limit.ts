/**
 * How many lines without a first sentence an engine is given at once: as many as it brings to one in time. With more of
 * them each comes later, until all come too late and the engine works for nobody. Nobody says beforehand where that is (the
 * machine, the model, who else uses it), so it is found as TCP finds the width of a path: a little more while the limit
 * is used and all come early, a good part less when one comes late (Chiu and Jain 1989; Jacobson 1988). Pure.
 */

/** A line that takes less than this share of its time is early: one more would still come in time. */
const EARLY_SHARE = 0.5;
/** What as many early lines as there are places add to them. */
const GROWTH = 0.5;
/** What is left of those that ran when one came late. */
const CUT_TO = 0.7;

export class PlaceLimit {
  readonly #max: number;
  #limit: number;
  #nextTicket = 0;
  /** Lines that began before the last cut say nothing of what came of it. */
  #cutAtTicket = 0;

  /** Begins with `max` places, at least one. */
  constructor(max: number) {
    this.#max = max;
    this.#limit = max;
  }

  /** 1 to the most that the configuration allows. */
  get places(): number {
    return Math.min(this.#max, Math.max(1, Math.floor(this.#limit)));
  }

  /** For a line that begins, to be given back with what became of it. */
  ticket(): number {
    return this.#nextTicket++;
  }

  /** Its first sentence came after `share` (0..1) of the time it had from its place on; `opening` had none yet, itself included. */
  spoke(share: number, opening: number): void {
    if (share >= EARLY_SHARE || opening < this.places) return;
    this.#limit = Math.min(this.#max, this.#limit + GROWTH / this.#limit);
  }

  /** Its time was over before its first sentence. */
  late(ticket: number, opening: number): void {
    if (ticket < this.#cutAtTicket) return;
    this.#cutAtTicket = this.#nextTicket;
    this.#limit = Math.max(1, Math.min(this.#limit, opening) * CUT_TO);
  }
}
