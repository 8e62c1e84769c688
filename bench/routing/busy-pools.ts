/**
 * Pools as a busy evening has them: replicas that learned their pace, hold some places, a few of them taken out, pausing
 * or with adapters loaded. The decisions that are measured are then taken for real and end later, so the picture moves.
 */
import type { Engine } from '../../src/core/engine.ts';
import type { Clock, Random } from '../../src/core/runtime.ts';
import { breakerOptionsSchema, cooldownOptionsSchema, paceOptionsSchema } from '../../src/routing/options.ts';
import type { PickAsk } from '../../src/routing/pick.ts';
import { Pool } from '../../src/routing/pool.ts';
import { Replica } from '../../src/routing/replica.ts';

const PERSONAS = 60;
const ADAPTERS = 40;
const MAX_IN_FLIGHT = 16;

export interface Evening {
  readonly pools: ReadonlyMap<string, Pool>;
  readonly rungs: readonly string[];
  ask(): PickAsk;
  /** Takes a place at the replica for this ask; the oldest places are given back so that about `busyRatio` stay taken. */
  take(replica: Replica, ask: PickAsk): void;
}

/** `sizes`: replicas of each rung. `busyRatio` (0..1): share of all places that is taken. */
export function busyEvening(
  sizes: readonly number[],
  busyRatio: number,
  chance: () => number,
  clock: Clock,
): Evening {
  const random: Random = {
    next: chance,
    id: (prefix) => `${prefix}_1`,
    bytes: (size) => new Uint8Array(size),
  };
  const rungs = sizes.map((_, rung) => `rung-${rung}`);
  const pools = new Map(
    sizes.map((size, rung) => {
      const isPaid = rung === sizes.length - 1 && sizes.length > 1;
      const replicas = Array.from({ length: size }, (_none, index) =>
        busyReplica(`rung-${rung}-replica-${index}`, isPaid, chance, { clock, random }),
      );
      return [`rung-${rung}`, new Pool(`rung-${rung}`, replicas)] as const;
    }),
  );
  const placesMax = sizes.reduce((sum, size) => sum + size, 0) * MAX_IN_FLIGHT * busyRatio;
  const held: Disposable[] = [];
  const signal = new AbortController().signal;
  return {
    pools,
    rungs,
    ask: () => {
      // A few personas are met by everybody, most by few.
      const persona = Math.floor(chance() ** 2 * PERSONAS);
      const tier = 1 + Math.floor(chance() * 4);
      return {
        prefixKey: `persona-${persona}/${tier}`,
        adapter: tier >= 3 ? `persona-${persona % ADAPTERS}@3` : null,
        promptTokens: 200 + Math.floor(chance() * 1_300),
        priority: chance() < 0.8 ? 'interactive' : 'ambient',
        deadlineLeftMs: 2_000 + chance() * 6_000,
        mayPay: true,
      };
    },
    take: (replica, { priority, promptTokens }) => {
      const ask = {
        priority,
        player: `player-${Math.floor(chance() * 1_000)}`,
        source: `server-${Math.floor(chance() * 20)}`,
        promptTokens,
        maxTokens: 60,
        deadlineMonoMs: Number.POSITIVE_INFINITY,
      };
      replica.admission.acquire(ask, signal).then(
        (place) => {
          held.push(place);
          while (held.length > placesMax) held.shift()?.[Symbol.dispose]();
        },
        () => {},
      );
    },
  };
}

function busyReplica(
  name: string,
  isPaid: boolean,
  chance: () => number,
  parts: { readonly clock: Clock; readonly random: Random },
): Replica {
  const replica = new Replica(
    {
      engine: silentEngine(name),
      counter: { count: () => Promise.resolve(0) },
      model: 'llama-3.1-8b',
      modelVersion: '2026-05',
      contextTokens: 8_192,
      isPaid,
      origin: `http://${name}:8000`,
      admission: { engine: name, maxInFlight: MAX_IN_FLIGHT, maxPromptTokens: 32_768, maxQueued: 128 },
      breaker: breakerOptionsSchema.parse({ openMs: 600_000, openMaxMs: 600_000 }),
      cooldown: cooldownOptionsSchema.parse({}),
      pace: paceOptionsSchema.parse({ forgetAfterMs: 86_400_000 }),
    },
    parts,
  );
  replica.setReady(chance() >= 0.02);
  const prefillMs = 0.05 + chance() * 0.3;
  for (let line = 0; line < 80; line++) {
    const promptTokens = 200 + Math.floor(chance() * 1_300);
    const cachedTokens = Math.floor(promptTokens * chance() * 0.8);
    const firstTokenMs = 20 + (promptTokens - cachedTokens) * prefillMs * (0.8 + chance() * 0.4);
    replica.started()?.ended({
      kind: 'served',
      firstTokenMs,
      totalMs: firstTokenMs + 40 * (8 + chance() * 8),
      promptTokens,
      cachedTokens,
      completionTokens: 40,
    });
  }
  replica.residentAdapters = new Set(
    Array.from({ length: 8 }, () => `persona-${Math.floor(chance() * ADAPTERS)}@3`),
  );
  if (chance() < 0.03) replica.breaker.trip();
  if (chance() < 0.03) replica.started()?.ended({ kind: 'throttled', retryAfterMs: 600_000 });
  return replica;
}

function silentEngine(name: string): Engine {
  return {
    name,
    kind: 'silent',
    isWritten: false,
    capabilities: { continuesAssistant: true, structuredOutput: 'none', honoursPriority: false },
    // Routing never asks it.
    generate: () => {
      throw new Error(`${name} was asked to speak in a benchmark of routing`);
    },
  };
}
