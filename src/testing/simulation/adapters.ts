/**
 * Adapters of a simulation: which there are, who asks for them and when they are swapped, and engines that know which
 * weights stand behind a name. Each version has a word that only its weights say, so that a line can be heard for what it is.
 */
import { type AdapterRecord, adapterId } from '../../core/adapter.ts';
import type { SeededRandom } from '../../planning/seeded-random.ts';
import type { PlannedLine } from './traffic.ts';

export interface AdapterPlan {
  /** The registry as it is when the service starts. */
  readonly records: readonly AdapterRecord[];
  /** Ids that are published and stable by then. */
  readonly published: readonly string[];
  /** What an operator does while players talk (ms from the begin of play). */
  readonly orders: readonly { readonly atMs: number; readonly do: 'swap' | 'publish'; readonly id: string }[];
  /** By line number: what it asks for instead of the persona's own. */
  readonly wished: ReadonlyMap<number, string>;
}

/** How an engine treats adapters. */
export interface AdapterHabits {
  readonly slots: number;
  readonly loadMs: number;
  /** Chance that a load is refused. */
  readonly refuseChance: number;
  /** Chance that a load says that it was well, and the base answers under the name. */
  readonly lieChance: number;
}

export const SIMULATED_BASE = 'simulated-base';

/** Words that no sentence holds otherwise (speech.ts). */
const VOICES = ['thornvale', 'gallowmere', 'saltmarrow', 'hexbloom', 'drownlight'] as const;
const IDS = ['lich@1', 'lich@2', 'ghoul@1', 'ghoul@2', 'vampire@1'] as const;
const REFERENCES = ['lich', 'lich', 'lich', 'ghoul', 'ghoul', 'vampire', 'lich@1', 'nobody'] as const;

function recordOf(id: string, at: number): AdapterRecord {
  const [name = '', version = ''] = id.split('@');
  return {
    name,
    version,
    digest: `${at}`.padStart(8, 'c').padEnd(64, `${at}`),
    base: SIMULATED_BASE,
    baseDigest: null,
    architecture: 'llama',
    layers: 2,
    rank: 8,
    alpha: 8,
    targetModules: ['q_proj'],
    bytes: 1_000,
    ggufBytes: 1_000,
    licence: null,
    trainingRun: null,
    notes: null,
    source: 'simulated',
    addedBy: 'local',
    addedAtMs: 1_760_000_000_000,
  };
}

const RECORDS: readonly AdapterRecord[] = IDS.map(recordOf);

/** The word of these weights; null: the base has none. */
export function voiceOf(digest: string | null): string | null {
  const at = RECORDS.findIndex((record) => record.digest === digest);
  return VOICES[at] ?? null;
}

export function voicesIn(text: string): readonly string[] {
  return VOICES.filter((word) => text.includes(word));
}

export function digestOf(id: string): string | null {
  return RECORDS.find((record) => adapterId(record) === id)?.digest ?? null;
}

export function chooseAdapters(
  random: SeededRandom,
  lines: readonly PlannedLine[],
  playMs: number,
): AdapterPlan {
  const orders = [
    { atMs: random.next() * playMs, do: 'swap' as const, id: 'lich@2' },
    ...(random.chance(0.6)
      ? [{ atMs: random.next() * playMs, do: 'publish' as const, id: 'vampire@1' }]
      : []),
    ...(random.chance(0.4) ? [{ atMs: random.next() * playMs, do: 'swap' as const, id: 'ghoul@2' }] : []),
  ];
  const wishes = lines.map((line) => {
    // One request twice is one wish.
    const own = random.fork(line.idempotencyKey ?? `line ${line.number}`);
    return [line.number, own.chance(0.9) ? own.pick(REFERENCES) : null] as const;
  });
  return {
    records: RECORDS,
    published: ['lich@1', 'ghoul@1'],
    orders,
    wished: new Map(wishes.flatMap(([number, wish]) => (wish === null ? [] : [[number, wish]]))),
  };
}

export function chooseHabits(random: SeededRandom): AdapterHabits {
  return {
    slots: random.between(1, 3),
    loadMs: random.spread(1, 800),
    refuseChance: random.pick([0, 0, 0.3]),
    lieChance: random.pick([0, 0.2, 0.6]),
  };
}

/** What an engine of these habits answers to `/v1/load_lora_adapter` and its like (engines.md §3.6). */
export class SimulatedWeights {
  /** Engine name → what answers to it; a load that lied has no digest. */
  readonly #held = new Map<
    string,
    { readonly path: string; readonly digest: string | null; readonly load: number }
  >();
  #loads = 0;

  /** The process has ended. */
  clear(): void {
    this.#held.clear();
  }

  get(name: string): { readonly digest: string | null; readonly load: number } | null {
    return this.#held.get(name) ?? null;
  }

  load(name: string, path: string, isLie: boolean): void {
    this.#loads += 1;
    const digest = isLie ? null : (path.split('/').at(-1) ?? null);
    this.#held.set(name, { path, digest, load: this.#loads });
  }

  unload(name: string): boolean {
    return this.#held.delete(name);
  }

  /** As `/v1/models` tells of them. */
  cards(parent: string): readonly object[] {
    return [...this.#held].map(([id, { path }]) => ({ id, object: 'model', root: path, parent }));
  }
}
