/** A seed, written out: which engines there are, what befalls them and when, how hard players press. Pure. */
import type { Cast } from '../../cast/cast.ts';
import { type Config, configSchema } from '../../config/schema.ts';
import { DRIVERS, type EngineKind } from '../../engines/index.ts';
import { SeededRandom } from '../../planning/seeded-random.ts';
import { type AdapterPlan, chooseAdapters, chooseHabits, SIMULATED_BASE } from './adapters.ts';
import { CROWDS_SHARE, withCrowds } from './crowds.ts';
import { ECHOES_SHARE, withEchoes } from './echoes.ts';
import type { EngineTraits } from './engine.ts';
import { chooseOdds, chooseStoreTrouble, MOODS, type Mood, type StoreTrouble } from './faults.ts';
import { planTraffic, type TrafficPlan } from './traffic.ts';
import { anthropicWire, ollamaWire, openAiWire, type Wire } from './wires.ts';

/** Something that befalls an engine or the machine as a whole. Times are from the begin of play (ms). */
export type Blow =
  | {
      readonly kind: 'crash';
      readonly engine: string;
      readonly atMs: number;
      readonly downMs: number;
      readonly loadingMs: number;
    }
  | { readonly kind: 'wedge'; readonly engine: string; readonly atMs: number; readonly forMs: number }
  | { readonly kind: 'date-jump'; readonly atMs: number; readonly byMs: number }
  /** The operator switches paid engines off, and on again. */
  | { readonly kind: 'spending-off'; readonly atMs: number; readonly forMs: number };

export interface Scenario {
  readonly seed: number;
  readonly mood: Mood;
  readonly playMs: number;
  readonly latencyMs: number;
  readonly cutChance: number;
  readonly latenessMaxMs: number;
  readonly engines: readonly (EngineTraits & { readonly baseUrl: string })[];
  readonly blows: readonly Blow[];
  readonly storeTrouble: StoreTrouble;
  readonly traffic: TrafficPlan;
  /** Null: nobody asks for an adapter. */
  readonly adapters: AdapterPlan | null;
  /** Players begin before the engines are warm. */
  readonly isImpatient: boolean;
  /** When the service is told to stop; null: after everybody has heard the answer. */
  readonly stopAtMs: number | null;
  readonly config: Config;
}

const WIRES: Readonly<Record<string, Wire>> = {
  vllm: openAiWire,
  sglang: openAiWire,
  'llama-server': openAiWire,
  'tensorrt-llm': openAiWire,
  tgi: openAiWire,
  'openai-compatible': openAiWire,
  openai: openAiWire,
  deepseek: openAiWire,
  ollama: ollamaWire,
  anthropic: anthropicWire,
};
/** Share of seeds in which lines ask for adapters. */
const ADAPTERS_SHARE = 0.4;
const NAMES = ['swift', 'broad', 'cloud', 'spare'] as const;

export interface ScenarioOptions {
  readonly seed: number;
  readonly cast: Cast;
  /** Kinds of engine that the configuration knows. */
  readonly kinds: readonly string[];
  /** Times the usual length, for soaks. */
  readonly length: number;
}

export function chooseScenario({ seed, cast, kinds, length }: ScenarioOptions): Scenario {
  const random = new SeededRandom(`scenario ${seed}`);
  const mood = MOODS[
    ['calm', 'uneven', 'cruel', 'dead'].indexOf(
      random.weighted({ calm: 0.2, uneven: 0.35, cruel: 0.35, dead: 0.1 }),
    )
  ] as Mood;
  const playMs = random.spread(4_000, 40_000) * length;
  const names = NAMES.slice(0, random.between(1, NAMES.length));
  const isPooled = names.length > 1 && random.chance(0.4);
  // A stream of its own: seeds that failed once are the stories that they were, but for this.
  const byAdapters = new SeededRandom(`adapters ${seed}`);
  const hasAdapters = byAdapters.chance(ADAPTERS_SHARE);
  const engines = names.map((name, at) => {
    const chosen = chooseEngine(name, kinds, mood, random.fork(name));
    const takesThem = hasAdapters && (at === 0 || (isPooled && at === 1));
    const traits = takesThem ? takingAdapters(chosen, byAdapters.fork(name)) : chosen;
    // Replicas of a pool serve one model.
    return isPooled && at < 2 ? { ...traits, model: 'pooled-model' } : traits;
  });
  const scenario: Scenario = {
    seed,
    mood,
    playMs,
    latencyMs: random.spread(0.1, 40),
    cutChance: random.pick([0, 0.2, 0.9]),
    latenessMaxMs: random.pick([0, 0.5, 4]),
    engines,
    blows: chooseBlows(random.fork('blows'), mood, names, playMs),
    storeTrouble: chooseStoreTrouble(random.fork('store'), mood, playMs),
    traffic: planTraffic({
      cast,
      playMs,
      lines: Math.round(random.between(12, 40) * length),
      hangUpShare: random.pick([0, 0.1, 0.3, 0.7]),
      burstShare: random.pick([0, 0.3, 0.9]),
      random: random.fork('traffic'),
    }),
    isImpatient: random.chance(0.2),
    stopAtMs: random.chance(0.25) ? random.next() * playMs : null,
    adapters: null,
    config: chooseConfig(engines, isPooled, random.fork('config')),
  };
  const byCrowds = new SeededRandom(`crowds ${seed}`);
  const hasCrowds = byCrowds.chance(CROWDS_SHARE);
  const byEchoes = new SeededRandom(`echoes ${seed}`);
  const hasEchoes = byEchoes.chance(ECHOES_SHARE);
  const crowded = (plain: TrafficPlan) => {
    const traffic = hasEchoes ? withEchoes(plain, { cast, playMs, random: byEchoes }) : plain;
    return hasCrowds ? withCrowds(traffic, { cast, playMs, random: byCrowds }) : traffic;
  };
  if (!hasAdapters) return { ...scenario, traffic: crowded(scenario.traffic) };
  const { traffic } = scenario;
  const adapters = chooseAdapters(byAdapters, traffic.lines, playMs);
  const lines = traffic.lines.map((line) => ({ ...line, adapter: adapters.wished.get(line.number) ?? null }));
  return { ...scenario, adapters, traffic: crowded({ ...traffic, lines }) };
}

/** The same engine, as vLLM with adapters. */
function takingAdapters(engine: Scenario['engines'][number], random: SeededRandom) {
  const { isPaid } = DRIVERS.vllm;
  // Slow ones spend the whole play proving their adapters.
  const decodeMsPerToken = engine.decodeMsPerToken / 4;
  const adapters = chooseHabits(random);
  return { ...engine, kind: 'vllm', wire: openAiWire, isPaid, decodeMsPerToken, adapters };
}

function chooseEngine(
  name: string,
  kinds: readonly string[],
  mood: Mood,
  random: SeededRandom,
): Scenario['engines'][number] {
  const kind = random.pick(kinds.filter((each) => each in WIRES));
  return {
    name,
    kind,
    wire: WIRES[kind] ?? openAiWire,
    model: `${name}-model`,
    isPaid: DRIVERS[kind as EngineKind].isPaid,
    slots: random.between(1, 8),
    prefillMsPerToken: random.spread(0.01, 0.8),
    decodeMsPerToken: random.spread(1, 50),
    cancelLagMs: random.spread(1, 300),
    odds: chooseOdds(random, mood),
    adapters: null,
    baseUrl: `http://${name}.test:8000`,
  };
}

function chooseBlows(
  random: SeededRandom,
  mood: Mood,
  engines: readonly string[],
  playMs: number,
): readonly Blow[] {
  const blows: Blow[] = [];
  if (random.chance(0.4))
    blows.push({
      kind: 'spending-off',
      atMs: random.next() * playMs,
      forMs: random.spread(1_000, 20_000),
    });
  if (mood === 'calm') return blows;
  for (const engine of engines) {
    if (random.chance(0.35))
      blows.push({
        kind: 'crash',
        engine,
        atMs: random.next() * playMs,
        downMs: random.spread(50, 10_000),
        loadingMs: random.spread(10, 5_000),
      });
    if (random.chance(0.2))
      blows.push({
        kind: 'wedge',
        engine,
        atMs: random.next() * playMs,
        forMs: random.spread(500, 30_000),
      });
  }
  if (random.chance(0.3))
    blows.push({
      kind: 'date-jump',
      atMs: random.next() * playMs,
      byMs: random.pick([-86_400_000, -1_000, 1_500, 3_600_000, 400 * 86_400_000]),
    });
  return blows;
}

function chooseConfig(engines: Scenario['engines'], isPooled: boolean, random: SeededRandom): Config {
  const names = engines.map(({ name }) => name);
  const pools = isPooled ? ['pooled', ...names.slice(2)] : names;
  const hurry = random.fork('first sentence');
  const firstSentenceMs = hurry.chance(0.3) ? Math.round(hurry.spread(50, 3_000)) : null;
  const rungs = () => (random.chance(0.7) ? pools : pools.toReversed());
  const cap = () => (random.chance(0.3) ? { dailyUsd: random.spread(0.001, 0.1) } : {});
  return configSchema.parse({
    engines: Object.fromEntries(
      engines.map(({ name, kind, model, baseUrl, adapters }) => [
        name,
        {
          kind,
          model,
          baseUrl,
          maxInFlight: random.pick([1, 2, 4, 16]),
          maxQueued: random.pick([0, 2, 16, 128]),
          connectTimeoutMs: random.pick([200, 1_000, 5_000]),
          ...(adapters === null ? {} : { base: SIMULATED_BASE, adapterSlots: adapters.slots }),
          ...(random.chance(0.2) ? { maxPromptTokens: random.pick([600, 2_000]) } : {}),
        },
      ]),
    ),
    ...(isPooled ? { pools: { pooled: { engines: names.slice(0, 2) } } } : {}),
    tiers: Object.fromEntries([1, 2, 3, 4].map((tier) => [tier, { rungs: rungs(), firstSentenceMs }])),
    routing: {
      hedging: random.chance(0.4)
        ? { enabled: true, percentile: random.pick([0.5, 0.9]), maxShare: 1, paid: random.chance(0.5) }
        : {},
      breaker: random.chance(0.5) ? { minimumOutcomes: 2, consecutiveFailures: 2, openMs: 500 } : {},
      canary: random.chance(0.5) ? { idleMs: 2_000, stallMs: 1_000, timeoutMs: 1_000 } : {},
      budgets: random.chance(0.5) ? { floorMs: 50, gapMs: 300 } : {},
    },
    spending: {
      ...cap(),
      tiers: { 4: { dailyUsd: random.spread(0.001, 1) } },
      // A cloud has a price; a machine of one's own may have one all the same.
      prices: engines.map(({ model }) => ({
        model,
        effectiveFrom: '2020-01-01',
        inputUsd: random.spread(0.1, 20),
        cachedInputUsd: 0.05,
        outputUsd: random.spread(0.2, 100),
      })),
    },
    drainMs: random.pick([0, 500, 10_000]),
  });
}

/** Kinds of engine that the simulator speaks and this version's configuration knows. */
export function simulatedKinds(): readonly string[] {
  return Object.keys(WIRES).filter(
    (kind) =>
      kind in DRIVERS &&
      configSchema.safeParse({ engines: { one: { kind, model: 'm', baseUrl: 'http://one.test' } } }).success,
  );
}
