/**
 * Who is next: a bounded queue by priority (lower is earlier, as in vLLM), within one by what it will cost, then first come
 * first served, with a bound on starvation: what was passed over `overtakesMax` times goes next whatever its priority.
 */

interface Entry<T> {
  readonly value: T;
  readonly priority: number;
  overtaken: number;
}

export class WaitingQueue<T> {
  readonly #entries: Entry<T>[] = [];
  readonly #limit: number;
  readonly #overtakesMax: number;

  constructor(options: { limit: number; overtakesMax: number }) {
    this.#limit = options.limit;
    this.#overtakesMax = options.overtakesMax;
  }

  get size(): number {
    return this.#entries.length;
  }

  get isFull(): boolean {
    return this.#entries.length >= this.#limit;
  }

  /** False when the queue is full; then nothing was added. */
  push(value: T, priority: number): boolean {
    if (this.isFull) return false;
    this.#entries.push({ value, priority, overtaken: 0 });
    return true;
  }

  /** Takes the next one, or undefined when empty. `costOf` is asked of those of the lowest priority alone. */
  take(costOf: (value: T) => number = () => 0): T | undefined {
    const least = Math.min(...this.#entries.map((entry) => entry.priority));
    const rivals = this.#entries.filter((entry) => entry.priority === least);
    const costs = new Map<Entry<T>, number>();
    if (rivals.length > 1) for (const entry of rivals) costs.set(entry, costOf(entry.value));
    let best = 0;
    for (let index = 0; index < this.#entries.length; index++) {
      const entry = this.#entries[index];
      const leader = this.#entries[best];
      if (entry === undefined || leader === undefined) break;
      if (entry.overtaken >= this.#overtakesMax) {
        best = index;
        break;
      }
      if (
        entry.priority < leader.priority ||
        (entry.priority === leader.priority && (costs.get(entry) ?? 0) < (costs.get(leader) ?? 0))
      )
        best = index;
    }
    for (let index = 0; index < best; index++) {
      const passed = this.#entries[index];
      if (passed !== undefined) passed.overtaken += 1;
    }
    return this.#entries.splice(best, 1)[0]?.value;
  }

  /** Takes a value out wherever it stands; false when it is not here. */
  remove(value: T): boolean {
    const index = this.#entries.findIndex((entry) => entry.value === value);
    if (index < 0) return false;
    this.#entries.splice(index, 1);
    return true;
  }

  /** What waits, oldest first. */
  values(): T[] {
    return this.#entries.map((entry) => entry.value);
  }

  /** Empties the queue and gives what was in it, oldest first. */
  drain(): T[] {
    return this.#entries.splice(0).map((entry) => entry.value);
  }
}
