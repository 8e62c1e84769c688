/**
 * Replicas of one version of one model, under one name: what a rung of a tier names. Any of them gives the same line, so
 * which one is chosen is only a matter of time and cost (pick.ts).
 */
import type { Cause } from '../core/dialogue.ts';
import { invariant } from '../lib/invariant.ts';
import { mildest, type PickAsk, pickReplica } from './pick.ts';
import type { Replica, ReplicaSnapshot } from './replica.ts';

export class Pool {
  readonly name: string;
  /** Null when the replicas have names of their own for it, as clouds and local servers do. */
  readonly model: string | null;
  readonly modelVersion: string | null;
  readonly replicas: readonly Replica[];
  /** Brought up to date for each decision, so that a decision allocates nothing per replica. */
  readonly #snapshots: readonly ReplicaSnapshot[];
  readonly #members: ReadonlySet<Replica>;
  /** All replicas live by one clock; it is read once for a decision. */
  readonly #clock: Pick<Replica, 'monotonicMs'>;

  constructor(name: string, replicas: readonly Replica[]) {
    const [first] = replicas;
    invariant(first !== undefined, `pool ${name} without replicas`);
    this.name = name;
    this.replicas = replicas;
    this.#members = new Set(replicas);
    this.#clock = first;
    this.model = replicas.every(({ model }) => model === first.model) ? first.model : null;
    this.modelVersion = replicas.every(({ modelVersion }) => modelVersion === first.modelVersion)
      ? first.modelVersion
      : null;
    this.#snapshots = replicas.map((replica) => replica.snapshot());
  }

  has(replica: Replica): boolean {
    return this.#members.has(replica);
  }

  /** Whether every replica costs money. */
  get isPaid(): boolean {
    return this.replicas.every(({ isPaid }) => isPaid);
  }

  /** Tokens of prompt and answer that its smallest replica takes; null when none says. */
  get contextTokens(): number | null {
    const known = this.replicas.flatMap(({ contextTokens }) => contextTokens ?? []);
    return known.length === 0 ? null : Math.min(...known);
  }

  /** Why no replica may be used now; null when one may. */
  unusable(): Cause | null {
    let cause: Cause | null = null;
    const nowMonoMs = this.#clock.monotonicMs();
    for (const replica of this.replicas) {
      const reason = replica.unusable(nowMonoMs);
      if (reason === null) return null;
      cause = mildest(cause, reason);
    }
    return cause;
  }

  /** The replica that should take this request now, or why none can: then the ladder goes down at once. */
  pick(ask: PickAsk): Replica | Cause {
    const nowMonoMs = this.#clock.monotonicMs();
    for (let index = 0; index < this.replicas.length; index++) {
      const snapshot = this.#snapshots[index];
      if (snapshot !== undefined) this.replicas[index]?.refresh(snapshot, nowMonoMs);
    }
    const picked = pickReplica(this.#snapshots, ask);
    if (typeof picked !== 'number') return picked;
    const replica = this.replicas[picked];
    invariant(replica !== undefined, `pool ${this.name} has no replica ${picked}`);
    return replica;
  }
}
