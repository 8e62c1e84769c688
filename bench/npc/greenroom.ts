/**
 * Greenroom's two sides: as it ships, from the configuration of the first game and with a fresh data folder, and the same
 * with dialogue cache and scheduling off. What this build has no switch for is named in the settings of that side.
 */
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parse, stringify } from 'yaml';
import { configSchema } from '../../src/config/schema.ts';
import { startProgram } from '../load/program.ts';
import type { TraceHeader } from '../npc-trace/trace.ts';
import type { RunningSide, Side } from './side.ts';

const ROOT = path.resolve(import.meta.dirname, '..', '..');
const GAME = path.join(ROOT, 'examples', 'body-broker');
const SHIPPED = path.join(GAME, 'greenroom.yaml');
/** The weights are mapped, the warm-up line generated, the adapters of the game published and verified. */
const READY_TIMEOUT_MS = 90_000;

interface Switch {
  readonly name: string;
  turnOff(config: Plain): Plain;
}

/** A configuration file as it is written, before any default. */
type Plain = Readonly<Record<string, unknown>>;

const SWITCHES: readonly Switch[] = [
  { name: 'recall.enabled false', turnOff: (config) => ({ ...config, recall: { enabled: false } }) },
  {
    name: 'firstSentenceFirst false',
    turnOff: (config) => withEngine(config, { firstSentenceFirst: false }),
  },
  { name: 'prefixStoreBytesMax 0', turnOff: (config) => withEngine(config, { prefixStoreBytesMax: 0 }) },
];

export interface PlainConfig {
  readonly config: Plain;
  readonly turnedOff: readonly string[];
  /** Switches that this build's schema does not know. */
  readonly unknown: readonly string[];
}

/** `shipped` with every switch off that the configuration schema takes. */
export function withoutRecall(shipped: Plain): PlainConfig {
  const turnedOff: string[] = [];
  const unknown: string[] = [];
  let config = shipped;
  for (const { name, turnOff } of SWITCHES) {
    const tried = turnOff(config);
    const isKnown = configSchema.safeParse(tried).success;
    if (isKnown) config = tried;
    (isKnown ? turnedOff : unknown).push(name);
  }
  return { config, turnedOff, unknown };
}

function withEngine(config: Plain, options: Plain): Plain {
  const engines = config['engines'] as Readonly<Record<string, Plain>>;
  return { ...config, engines: { ...engines, local: { ...engines['local'], ...options } } };
}

/** Paths of the file are relative to it; a copy elsewhere needs them whole. */
function withWholePaths(config: Plain): Plain {
  const adapters = config['adapters'] as
    | { readonly published?: Readonly<Record<string, { readonly from: string }>> }
    | undefined;
  const published = Object.entries(adapters?.published ?? {}).map(([name, each]) => [
    name,
    { ...each, from: path.resolve(GAME, each.from) },
  ]);
  return {
    ...config,
    cast: path.resolve(GAME, config['cast'] as string),
    ...(adapters === undefined
      ? {}
      : { adapters: { ...adapters, published: Object.fromEntries(published) as unknown } }),
  };
}

export function plainSide(): Side {
  const { config, turnedOff, unknown } = withoutRecall(
    withWholePaths(parse(readFileSync(SHIPPED, 'utf8')) as Plain),
  );
  const gaps = unknown.length === 0 ? '' : `; this build has no switch for ${unknown.join(', ')}`;
  return {
    key: 'd',
    name: 'greenroom, cache and scheduling off',
    door: 'dialogue',
    useEvents: false,
    settings: `examples/body-broker/greenroom.yaml with ${[...turnedOff, 'no events told'].join(', ')}${gaps}`,
    versions: {},
    start(folder) {
      const file = path.join(folder, 'plain.yaml');
      writeFileSync(file, stringify(config));
      return startGreenroom(file, folder);
    },
  };
}

/** Milliseconds that a written line has to reach the client's socket. */
const FIRST_SENTENCE_MARGIN_MS = 100;

/** As it ships, told by when the trace wants a first sentence: what a studio writes for its own game. */
export function shippedSide(firstSentenceMs: TraceHeader['firstSentenceMs']): Side {
  const shipped = withWholePaths(parse(readFileSync(SHIPPED, 'utf8')) as Plain);
  const tiers = shipped['tiers'] as Readonly<Record<string, Plain>>;
  const config = {
    ...shipped,
    tiers: Object.fromEntries(
      ([1, 2, 3, 4] as const).map((tier) => [
        tier,
        { ...tiers[tier], firstSentenceMs: firstSentenceMs[tier] - FIRST_SENTENCE_MARGIN_MS },
      ]),
    ),
  };
  return {
    key: 'e',
    name: 'greenroom',
    door: 'dialogue',
    useEvents: true,
    settings: `examples/body-broker/greenroom.yaml as it ships, with firstSentenceMs by tier at the trace's times less ${FIRST_SENTENCE_MARGIN_MS} ms`,
    versions: {},
    start(folder) {
      const file = path.join(folder, 'greenroom.yaml');
      writeFileSync(file, stringify(config));
      return startGreenroom(file, folder);
    },
  };
}

async function startGreenroom(config: string, folder: string): Promise<RunningSide> {
  const program = await startProgram({
    name: 'greenroom',
    arguments: [path.join(ROOT, 'src', 'main.ts'), 'serve', '--config', config],
    environment: {
      PORT: '0',
      HOST: '127.0.0.1',
      DATABASE_URL: '',
      // A start that knows nothing of the one before.
      GREENROOM_DATA: mkdtempSync(path.join(folder, 'data-')),
    },
    readyPath: '/readyz',
    readyTimeoutMs: READY_TIMEOUT_MS,
  });
  return {
    origin: program.origin,
    headers: {},
    model: 'greenroom',
    [Symbol.asyncDispose]: () => program[Symbol.asyncDispose](),
  };
}
