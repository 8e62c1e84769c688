/** A replica as tests of routing need it: ready and free, with defaults, and changed in what a case is about. */
import type { Random } from '../core/runtime.ts';
import { breakerOptionsSchema, cooldownOptionsSchema, paceOptionsSchema } from '../routing/options.ts';
import { Replica, type ReplicaSettings, type ReplicaSnapshot } from '../routing/replica.ts';
import { ManualClock } from './manual-clock.ts';
import { ScriptedEngine } from './scripted-engine.ts';

/** Chance that never surprises: always the middle. */
export const steadyRandom: Random = {
  next: () => 0.5,
  id: (prefix) => `${prefix}_1`,
  bytes: (length) => new Uint8Array(length),
};

export function aReplica(
  name: string,
  changes: Partial<ReplicaSettings> = {},
  clock = new ManualClock(),
): Replica {
  const replica = new Replica(
    {
      engine: new ScriptedEngine(() => [{ say: 'Hm.' }], name),
      counter: { count: (text) => Promise.resolve(Math.ceil(text.length / 3)) },
      model: 'small',
      modelVersion: null,
      contextTokens: null,
      isPaid: false,
      origin: null,
      admission: { engine: name, maxInFlight: 4, maxPromptTokens: null, maxQueued: 8 },
      breaker: breakerOptionsSchema.parse({}),
      cooldown: cooldownOptionsSchema.parse({}),
      pace: paceOptionsSchema.parse({}),
      ...changes,
    },
    { clock, random: steadyRandom },
  );
  replica.setReady(true);
  return replica;
}

export function aSnapshot(name: string, changes: Partial<ReplicaSnapshot> = {}): ReplicaSnapshot {
  return { ...aReplica(name).snapshot(), ...changes };
}
