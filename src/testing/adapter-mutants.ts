/** Deliberate bugs in the keeping of adapters: proof that the rules of a story can be broken, and that it is seen. */
import { KeptReplica } from '../adapters/kept-replica.ts';
import { Place } from '../adapters/place.ts';
import { Residency } from '../adapters/residency.ts';
import { Verifier } from '../adapters/verify.ts';

export interface AdapterMutant {
  readonly what: string;
  /** Part of the rule that must see it. */
  readonly rule: RegExp;
  /** Plants the bug until it is disposed. */
  readonly plant: () => Disposable;
}

/** Puts another method in the place of one, which is handed in. */
function instead<C extends object, K extends keyof C>(
  prototype: C,
  name: K,
  change: (own: C[K]) => C[K],
): () => Disposable {
  return () => {
    const own = prototype[name];
    prototype[name] = change(own);
    return {
      [Symbol.dispose]: () => {
        prototype[name] = own;
      },
    };
  };
}

export const ADAPTER_MUTANTS: readonly AdapterMutant[] = [
  {
    what: 'believes every engine that says it has loaded',
    rule: /wrong weights/,
    plant: instead(Verifier.prototype, 'verify', () => () => Promise.resolve()),
  },
  {
    what: 'does not count who speaks',
    rule: /unloaded while a line spoke/,
    plant: instead(
      Place.prototype,
      'lease',
      (own) =>
        function (this: Place, adapter, on) {
          const lease = own.call(this, adapter, on);
          lease?.[Symbol.dispose]();
          return lease;
        },
    ),
  },
  {
    what: 'thinks that every engine has one slot more',
    rule: /slot/,
    plant: instead(
      KeptReplica.prototype,
      'toPlan',
      (own) =>
        function (this: KeptReplica, nowMonoMs) {
          const plan = own.call(this, nowMonoMs);
          return { ...plan, slots: plan.slots + 1 };
        },
    ),
  },
  {
    what: 'moves the tag before the version is verified',
    rule: /never verified/,
    plant: instead(Residency.prototype, 'whenResident', () => () => Promise.resolve()),
  },
  {
    what: 'does not notice that a connection is lost',
    rule: /not connected/,
    plant: instead(Residency.prototype, 'replicaDown', () => () => {}),
  },
  {
    what: 'lets lines wait for ever',
    rule: /outlived its time/,
    plant: instead(
      Residency.prototype,
      'want',
      (own) =>
        function (this: Residency, adapter, replicas, wish, signal) {
          return own.call(this, adapter, replicas, { ...wish, waitMs: wish.waitMs * 50 }, signal);
        },
    ),
  },
  {
    what: 'keeps what is not published any more',
    rule: /stays in an engine|nobody keeps/,
    plant: instead(
      KeptReplica.prototype,
      'drain',
      (own) =>
        function (this: KeptReplica, place, reason) {
          if (reason !== 'not published') own.call(this, place, reason);
        },
    ),
  },
];
