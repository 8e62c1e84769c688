/**
 * `npm run chaos`: the real gateway over real engines, as processes, under steady load, while one thing after another is
 * broken. It ends with 1 unless every player who stayed was answered in time, by the right words. Bounded: six minutes, a
 * minute with --quick. Flags: --quick, --faults a,b, --lines N (a second), --seed N, --log FILE, --out FILE.
 */
import { createWriteStream, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { writeResult } from '../bench/load/result-file.ts';
import { cacheDirectory } from '../src/models/cache.ts';
import { DEFAULT_MODEL } from '../src/models/catalogue.ts';
import { ensureModel } from '../src/models/ensure.ts';
import { realRuntime } from '../src/runtime.ts';
import type { Heard } from './chaos/ask.ts';
import { CLOUD_MODEL, startCloud } from './chaos/cloud.ts';
import { openDisk } from './chaos/disk.ts';
import {
  greenroomEngine,
  llamaServerTarget,
  ollamaTarget,
  PLACES,
  ROOT,
  startTarget,
  type Target,
  type TargetStart,
} from './chaos/engines.ts';
import { type Fault, faultsOf } from './chaos/faults.ts';
import { type Gateway, type StoredTurn, startGateway } from './chaos/gateway.ts';
import { isAlive, openNetwork } from './chaos/network.ts';
import { Load } from './chaos/players.ts';
import { startRelay } from './chaos/relay.ts';
import { barsOf, overMs, type Phase, rowOf } from './chaos/report.ts';

const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    faults: { type: 'string' },
    lines: { type: 'string', default: '0.8' },
    seed: { type: 'string', default: '1' },
    log: { type: 'string' },
    out: { type: 'string', default: path.join(ROOT, 'bench/results/chaos.json') },
  },
});

const QUICK_FAULTS = ['kill-embedded', 'garbage', 'kill-gateway'];
const PLAYERS = 8;
/** Short for a small model on two busy cores: then the rungs below are needed, which is what is looked at. */
const DEADLINE_MS = { 1: 5_000, 2: 6_000, 3: 7_000, 4: 8_000 } as const;
const RUN_MAX_MS = flags.quick ? 60_000 : 355_000;
/** Kept for the last lines, what comes back at the end, and the end of the processes. */
const END_MS = flags.quick ? 20_000 : 55_000;
/** No process outlives this, whatever becomes of the script. */
const LIFE_MS = RUN_MAX_MS + END_MS;
const FAULT_MS = flags.quick ? 3_000 : 6_000;
const CALM_MS = flags.quick ? 4_000 : 8_000;
const RECOVERY_MAX_MS = flags.quick ? 8_000 : 25_000;
/** After a recovery, before the next blow. */
const SETTLE_MS = 1_500;
/** For engines that are found out again by canary lines. */
const SETTLE_MAX_MS = flags.quick ? 0 : 8_000;
const BACK_MAX_MS = flags.quick ? 15_000 : 40_000;
const LOOK_MS = 100;

const startedMs = performance.now();
const say = (line: string) =>
  console.log(`${((performance.now() - startedMs) / 1_000).toFixed(1).padStart(6)} s  ${line}`);

const interrupt = new AbortController();
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.on(name, () => interrupt.abort(new Error('interrupted')));
const limit = setTimeout(
  () => interrupt.abort(new Error(`not over after ${RUN_MAX_MS / 1_000} s`)),
  RUN_MAX_MS,
);
const { signal } = interrupt;

interface Told extends Omit<Phase, 'heard'> {
  readonly key: string;
}

const leftBehind = new Set<number>();
try {
  process.exitCode = (await run()) ? 0 : 1;
} catch (error) {
  console.error((signal.aborted ? (signal.reason as Error) : (error as Error)).message);
  process.exitCode = signal.aborted && (signal.reason as Error).message === 'interrupted' ? 130 : 1;
} finally {
  clearTimeout(limit);
}

/** The whole run; true when all bars hold. Everything that it started has ended when it returns. */
async function run(): Promise<boolean> {
  const heard = new Map<string, Heard[]>();
  const told: Told[] = [];
  const versions: Record<string, string> = { node: process.version };
  const skipped: string[] = [];
  let turns: readonly StoredTurn[] = [];
  let lost: readonly StoredTurn[] = [];
  let children: ReadonlySet<number> = new Set();
  let engineNames: readonly string[] = [];
  let spentUsd: number | null = null;
  let stillOut: readonly string[] = [];
  {
    await using stack = new AsyncDisposableStack();
    const folder = mkdtempSync(path.join(tmpdir(), 'greenroom-chaos-'));
    stack.defer(() => rmSync(folder, { recursive: true, force: true }));
    await ensureModel(
      DEFAULT_MODEL,
      { cacheDirectory: cacheDirectory(process.env), environment: process.env, clock: realRuntime.clock },
      signal,
    );
    const network = openNetwork();
    if (typeof network === 'string') skipped.push(network);
    else stack.use(network);
    const disk = stack.use(openDisk());
    const second = flags.quick ? 'left out of a quick run' : llamaServerTarget('house-b');
    const third = flags.quick ? 'left out of a quick run' : ollamaTarget('ollama');
    for (const [name, each] of [
      ['llama-server', second],
      ['Ollama', third],
    ] as const)
      if (typeof each === 'string') skipped.push(`${name}: ${each}`);

    const [houseA, houseB, ollama] = await startAll(stack, [
      greenroomEngine('house-a', typeof network === 'string' ? null : network),
      typeof second === 'string' ? greenroomEngine('house-b', null) : second,
      typeof third === 'string' ? null : third,
    ]);
    const cloud = stack.use(await startCloud(Number(flags.seed)));
    const cloudRelay = stack.use(
      await startRelay({ host: '127.0.0.1', port: Number(new URL(cloud.origin).port) }),
    );
    const targets = [houseA, houseB, ...(ollama === null ? [] : [ollama])];
    for (const target of targets) versions[target.name] = target.version;
    engineNames = ['local', ...targets.map(({ name }) => name), 'cloud'];
    const log = flags.log === undefined ? null : createWriteStream(flags.log);
    if (log !== null) stack.defer(() => void log.end());
    const gateway = stack.use(
      await startGateway(
        {
          config: configOf(targets, cloudRelay.origin),
          folder,
          dataDirectory: disk.folder,
          lifeMs: LIFE_MS,
          onLine: (line) => log?.write(`${line}\n`),
        },
        signal,
      ),
    );
    children = gateway.children;
    say('the gateway counts on every engine');

    const load = new Load({
      url: gateway.url,
      seed: Number(flags.seed),
      linesPerSecond: Number(flags.lines),
      players: PLAYERS,
      deadlineMs: DEADLINE_MS,
      wasDownSince: gateway.wasDownSince,
      onHeard: (each, phase) => {
        heard.set(phase, [...(heard.get(phase) ?? []), each]);
        if (each.failure !== null) say(`!! unanswered: ${each.failure}`);
        if (each.wrong !== null) say(`!! ${each.wrong}`);
        if (each.outcome === 'answered' && !each.metDown && overMs(each) > 0)
          say(
            `   ${Math.round(overMs(each))} ms late: tier ${each.tier}, ${each.rung}, the gateway says ${each.gatewayMs} ms`,
          );
      },
    });
    const speaking = load.run(signal);
    speaking.catch((error: unknown) => interrupt.abort(error));
    try {
      load.begin('calm', null);
      await delay(CALM_MS, undefined, { signal });
      told.push({ key: 'calm', words: 'none', note: skipped.join('; ') });
      say('calm');
      const world = { gateway, houseA, houseB, ollama, cloud: cloudRelay, network, disk };
      for (const fault of chosen(faultsOf(world))) {
        const leftMs = RUN_MAX_MS - END_MS - (performance.now() - startedMs);
        const skip =
          fault.skip ??
          (leftMs < FAULT_MS + SETTLE_MS + RECOVERY_MAX_MS / 2
            ? `no time left (${Math.round(leftMs)} ms)`
            : null);
        if (skip === null) told.push(await strike(fault, gateway, load, heard));
        else told.push({ key: fault.id, words: fault.words, note: `skipped: ${skip}` });
        const last = told.at(-1);
        say(`${last?.words}: ${last?.recoverySeconds?.toFixed(1) ?? 'not yet back,'} s  ${last?.note}`);
      }
    } finally {
      load.close();
      await speaking.catch(() => {});
    }
    // Nobody speaks any more: canary lines bring back what the breakers hold out.
    await watch(BACK_MAX_MS, () => areUsable(null, gateway));
    stillOut = (await gateway.engines()).filter(({ unusable }) => unusable !== null).map(({ name }) => name);
    turns = [...heard.values()].flat().flatMap(({ stored }) => (stored === null ? [] : [stored]));
    lost = gateway.missing(turns);
    for (const turn of lost) say(`!! lost: ${JSON.stringify(turn)}`);
    spentUsd = await gateway.spentUsd().catch(() => null);
    say('ending all processes');
  }
  for (const pid of children) if (isAlive(pid)) leftBehind.add(pid);
  const phases = told.map((each) => ({ ...each, heard: heard.get(each.key) ?? [] }));
  const rows = phases.map((phase) => rowOf(phase, engineNames));
  const bars = barsOf(phases, {
    acknowledgedTurns: turns.length,
    lostTurns: lost.length,
    leftBehind: [...leftBehind],
    stillOut,
  });
  console.table(rows.map(({ note: _note, ...row }) => row));
  for (const { name, value, bound, holds, note } of bars)
    console.log(`${holds === true ? 'holds ' : 'BROKEN'}  ${name}: ${value} (${bound})  ${note}`);
  writeResult(flags.out, {
    versions,
    seed: Number(flags.seed),
    quick: flags.quick,
    settings: {
      linesPerSecond: Number(flags.lines),
      players: PLAYERS,
      deadlineMs: DEADLINE_MS,
      faultMs: FAULT_MS,
      seconds: Math.round((performance.now() - startedMs) / 1_000),
      spentUsd,
    },
    rows,
    bars,
  });
  return bars.every(({ holds }) => holds === true);
}

/** All at once; whatever was started is ended with the stack, also when another one cannot start. */
async function startAll(
  stack: AsyncDisposableStack,
  [houseA, houseB, ollama]: readonly [TargetStart, TargetStart, TargetStart | null],
): Promise<readonly [Target, Target, Target | null]> {
  const start = async (each: TargetStart) =>
    stack.use(await startTarget(each, { lifeMs: LIFE_MS, say }, signal));
  const started = [
    start(houseA),
    start(houseB),
    ollama === null ? Promise.resolve(null) : start(ollama),
  ] as const;
  await Promise.allSettled(started);
  return [await started[0], await started[1], await started[2]];
}

function chosen(faults: readonly Fault[]): readonly Fault[] {
  const ids = flags.faults?.split(',') ?? (flags.quick ? QUICK_FAULTS : faults.map(({ id }) => id));
  return ids.map((id) => {
    const found = faults.find((fault) => fault.id === id);
    if (found === undefined)
      throw new Error(
        `--faults: there is no ${id}; expected of ${faults.map((fault) => fault.id).join(', ')}`,
      );
    return found;
  });
}

/**
 * One blow: how long it lasts, the repair, and what is heard until the struck rung speaks and the gateway counts on what was
 * struck. The next blow falls on a gateway that counts on every engine, or that had ten seconds to.
 */
async function strike(
  fault: Fault,
  gateway: Gateway,
  load: Load,
  heard: ReadonlyMap<string, readonly Heard[]>,
): Promise<Told> {
  load.begin(fault.id, fault.tier);
  const lines = () => heard.get(fault.id) ?? [];
  const notes: unknown[] = [];
  let endedMs = performance.now();
  notes.push(await fault.begin());
  if (fault.lasts) {
    await delay(FAULT_MS, undefined, { signal });
    endedMs = performance.now();
  }
  const repaired = Promise.resolve(fault.end());
  repaired.catch(() => {});
  const spokenMs = () =>
    lines().find((each) => each.startedMs >= endedMs && fault.isRecovery(each))?.endedMs ?? null;
  const usableMs = await watch(RECOVERY_MAX_MS, () => areUsable(fault.struck, gateway));
  await watch(endedMs + RECOVERY_MAX_MS - performance.now(), () => spokenMs() !== null);
  const againMs = spokenMs();
  notes.push(await repaired);
  const unkept = lines().filter(({ isUnkept }) => isUnkept).length;
  if (unkept > 0) notes.push(`${unkept} turns not kept, and the reply said so`);
  if (usableMs === null) notes.push('the gateway did not count on it again');
  await watch(SETTLE_MAX_MS, () => areUsable(null, gateway));
  await delay(SETTLE_MS, undefined, { signal });
  return {
    key: fault.id,
    words: fault.words,
    recoverySeconds:
      againMs === null || usableMs === null ? null : (Math.max(againMs, usableMs) - endedMs) / 1_000,
    note: notes.filter((note) => typeof note === 'string').join('; '),
  };
}

/** The moment at which it came true, or null when it did not in this time. */
async function watch(forMs: number, isTrue: () => Promise<boolean> | boolean): Promise<number | null> {
  const untilMs = performance.now() + forMs;
  for (;;) {
    if (await isTrue()) return performance.now();
    if (performance.now() >= untilMs) return null;
    await delay(LOOK_MS, undefined, { signal });
  }
}

/** Null: every engine. */
async function areUsable(names: readonly string[] | null, gateway: Gateway): Promise<boolean> {
  const engines = await gateway.engines().catch(() => null);
  const isMeant = (name: string) => names === null || names.includes(name);
  return engines?.every(({ name, unusable }) => unusable === null || !isMeant(name)) ?? false;
}

function configOf(targets: readonly Target[], cloud: string): Readonly<Record<string, unknown>> {
  const hasOllama = targets.some(({ name }) => name === 'ollama');
  const tier = (rungs: readonly string[], deadlineMs: number, maxSentences: number) => ({
    rungs,
    deadlineMs,
    maxSentences,
    maxWords: 6 + 8 * maxSentences,
    // Four engines share two cores here, and a small model reads slowly.
    personaTokens: 100,
    promptTokens: 320,
  });
  return {
    cast: path.join(ROOT, 'examples/body-broker/cast'),
    engines: {
      local: {
        kind: 'embedded',
        threads: 1,
        sequences: 4,
        contextTokens: 1_024,
        ...PLACES,
      },
      ...Object.fromEntries(targets.map(({ name, config }) => [name, config])),
      cloud: { kind: 'openai', baseUrl: cloud, model: CLOUD_MODEL, apiKeyEnv: 'CHAOS_CLOUD_KEY' },
    },
    pools: { house: { engines: ['house-a', 'house-b'] } },
    tiers: {
      '1': tier(['local', 'cloud'], DEADLINE_MS[1], 1),
      '2': tier(['house', 'local'], DEADLINE_MS[2], 1),
      '3': tier(['house', 'local', 'cloud'], DEADLINE_MS[3], 2),
      '4': tier(hasOllama ? ['ollama', 'house', 'cloud'] : ['house', 'cloud'], DEADLINE_MS[4], 2),
    },
    spending: {
      dailyUsd: 5,
      prices: [
        {
          model: CLOUD_MODEL,
          effectiveFrom: '2026-08-21',
          inputUsd: 0.2,
          cachedInputUsd: 0.02,
          outputUsd: 1.25,
        },
      ],
    },
    temperature: 0.4,
    log: { level: flags.log === undefined ? 'info' : 'debug' },
  };
}
