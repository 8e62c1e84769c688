/**
 * One window of a planned game: the whole service (all that `service.ts` connects: cast, prompts, dialogue cache, ladder,
 * pools, admission, fair queue, breakers, guard, spending) on a clock that jumps, before engines that are arithmetic. Players
 * ask at the mean load until caches are warm, then at the burst load, which alone is counted.
 */
import { configSchema } from '../config/schema.ts';
import type { Cause, DialogueOutcome, Tier } from '../core/dialogue.ts';
import { TIERS } from '../core/dialogue.ts';
import { ServiceError } from '../core/errors.ts';
import { createService, type Service } from '../service.ts';
import { MEMORY_FILE, openSqlite } from '../store/sqlite.ts';
import { silentLogger } from '../telemetry/log.ts';
import type { CloudChoice } from './cloud.ts';
import type { EngineClass } from './engine-classes.ts';
import { plannedCast } from './planned-cast.ts';
import { PlannedEngine, plannedNetwork } from './planned-engine.ts';
import { SeededRandom } from './seeded-random.ts';
import { VirtualClock } from './virtual-clock.ts';
import { LineSource, linesPerSecond, type PlannedLine, type Workload } from './workload.ts';

export interface WindowOptions {
  readonly workload: Workload;
  readonly engineClass: EngineClass;
  readonly engines: number;
  /** Null: no cloud. */
  readonly cloud: CloudChoice | null;
  /** Whether lines that were generated may be said again. */
  readonly hasRecall: boolean;
  readonly warmUpMs: number;
  readonly burstMs: number;
  readonly seed: number;
}

/** What became of one line of the burst. */
export interface LineResult {
  readonly tier: Tier;
  readonly source: 'engine' | 'cache' | 'written' | 'cloud';
  /** A written line that stood in for an engine; null: it did not. */
  readonly cause: Cause | null;
  readonly ttftMs: number | null;
  readonly ttfsMs: number | null;
  readonly isHungUp: boolean;
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly completionTokens: number;
  readonly costMicroUsd: number;
}

export interface WindowResult {
  readonly engines: number;
  readonly lines: readonly LineResult[];
  /** Lines played, the warm-up included. */
  readonly played: number;
  /** Share of the burst that engines of one's own were busy (0..1). */
  readonly utilisation: number;
  readonly burstMs: number;
}

const NEVER = new AbortController().signal;
/** Players and the stop wait no longer than this for what is under way (ms). */
const PATIENCE_MS = 180_000;
const READY_POLL_MS = 100;
const PLANNED_MODEL = 'planned-model';
const CLOUD_ORIGIN = 'http://cloud.planned';
const CONTEXT_TOKENS = 8_192;

/** Rejects with the signal's reason when it aborts, and with what the service throws when it cannot start. */
export async function playWindow(options: WindowOptions, signal: AbortSignal): Promise<WindowResult> {
  signal.throwIfAborted();
  const random = new SeededRandom(`plan ${options.seed}`);
  const clock = new VirtualClock({ random: random.fork('clock'), latenessMaxMs: 0, remembersSetters: false });
  const engineOf = (name: string, pace: EngineClass['pace'], model: string) =>
    new PlannedEngine({
      model,
      pace,
      contextTokens: CONTEXT_TOKENS,
      answerWords: (prompt) => options.workload.answerWords[tierIn(prompt)],
      clock,
      random: random.fork(name),
    });
  const own = Array.from({ length: options.engines }, (_, at) =>
    engineOf(`engine ${at}`, options.engineClass.pace, PLANNED_MODEL),
  );
  const byOrigin = new Map(own.map((engine, at) => [`http://e${at}.planned`, engine]));
  const { cloud } = options;
  if (cloud !== null) byOrigin.set(CLOUD_ORIGIN, engineOf('cloud', cloud.pace, cloud.model));
  const service = await createService(
    { config: configOf(options), directory: '.', file: null, originOf: () => 'default' },
    {
      runtime: { clock, random: random.fork('service'), environment: { PLANNED_KEY: 'planned' } },
      log: silentLogger,
      connect: plannedNetwork(byOrigin),
      onModelProgress: () => {},
      onModelNotice: () => {},
      simulated: {
        cast: plannedCast(options.workload, options.seed),
        backend: await openSqlite(MEMORY_FILE, clock, NEVER),
        sinks: [],
      },
    },
    NEVER,
  );
  try {
    await untilAllReady(service, clock);
    return await play(options, { service, clock, random, own }, signal);
  } finally {
    await passing(clock, async () => {
      await service.drain(() => 0);
      await service[Symbol.asyncDispose]();
    });
  }
}

interface Stage {
  readonly service: Service;
  readonly clock: VirtualClock;
  readonly random: SeededRandom;
  readonly own: readonly PlannedEngine[];
}

async function play(options: WindowOptions, stage: Stage, signal: AbortSignal): Promise<WindowResult> {
  const { workload, warmUpMs, burstMs } = options;
  const { clock, own } = stage;
  const source = new LineSource(workload, stage.random.fork('lines'));
  const meanPerSecond = linesPerSecond(workload);
  const beginMonoMs = clock.monotonicMs();
  const burstMonoMs = beginMonoMs + warmUpMs;
  const endMonoMs = burstMonoMs + burstMs;
  const lines: LineResult[] = [];
  let played = 0;
  let open = 0;
  let isAsking = true;
  let busyBeforeMs = 0;
  let busyAfterMs: number | null = null;
  const busyMs = () => own.reduce((sum, { model }) => sum + model.work.busyMs, 0);
  clock.timer(warmUpMs, () => {
    busyBeforeMs = busyMs();
  });
  clock.timer(warmUpMs + burstMs, () => {
    busyAfterMs = busyMs();
  });
  const failures: unknown[] = [];
  let dueMonoMs = beginMonoMs;
  const plan = () => {
    const isBurst = dueMonoMs >= burstMonoMs;
    dueMonoMs += source.gapMs(meanPerSecond * (isBurst ? workload.burstFactor : 1));
    if (dueMonoMs >= endMonoMs || signal.aborted) {
      isAsking = false;
      return;
    }
    const isCounted = dueMonoMs >= burstMonoMs;
    // A due time between two milliseconds is kept, so that the load is the one that was asked for.
    clock.timer(Math.max(0, dueMonoMs - clock.monotonicMs()), () => {
      open += 1;
      played += 1;
      const line = source.next();
      ask(line, stage)
        .then((result) => {
          source.heard(line, result.text);
          if (isCounted) lines.push(result);
        })
        .catch((error: unknown) => failures.push(error))
        .finally(() => {
          open -= 1;
        });
      plan();
    });
  };
  plan();
  await clock.run(() => !isAsking && open === 0, warmUpMs + burstMs + PATIENCE_MS);
  signal.throwIfAborted();
  if (failures.length > 0) throw failures[0];
  if (open > 0)
    throw new ServiceError(
      'internal',
      `${open} planned lines have no end ${PATIENCE_MS} ms after the burst; tell us the seed and the numbers`,
    );
  // Who is answered at once is done before the burst is over.
  const utilisation = ((busyAfterMs ?? busyMs()) - busyBeforeMs) / (burstMs * Math.max(1, own.length));
  return { engines: own.length, lines, played, utilisation: Math.min(1, utilisation), burstMs };
}

async function ask(line: PlannedLine, { service, clock }: Stage): Promise<LineResult & { text: string }> {
  const { services } = service;
  const leave = new AbortController();
  using _hangUp =
    line.hangUpAfterMs === null
      ? null
      : clock.timer(line.hangUpAfterMs, () =>
          leave.abort(new ServiceError('client_closed', 'the player left')),
        );
  const receivedMonoMs = clock.monotonicMs();
  let outcome: DialogueOutcome | null = null;
  let ttfsMs: number | null = null;
  try {
    const events = services.answer(
      {
        id: services.random.id('dlg'),
        npcId: line.npcId,
        prompt: line.prompt,
        context: line.context,
        units: 'sentence',
        maxTokens: 512,
        temperature: null,
        mayRaiseTier: false,
        priority: line.priority,
        ...(line.trigger === null ? {} : { trigger: line.trigger }),
        receivedMonoMs,
      },
      leave.signal,
    );
    for await (const event of events) {
      if (event.type === 'sentence') ttfsMs ??= clock.monotonicMs() - receivedMonoMs;
      if (event.type === 'done') outcome = event.outcome;
    }
  } catch (error) {
    if (!leave.signal.aborted) throw error;
  }
  const { source, usage, timing } = outcome ?? {};
  return {
    tier: line.tier,
    source: source === undefined ? 'engine' : sourceOf(source),
    cause: source?.kind === 'written' ? (source.cause ?? null) : null,
    ttftMs: timing?.ttftMs ?? null,
    ttfsMs,
    isHungUp: leave.signal.aborted,
    promptTokens: usage?.promptTokens ?? 0,
    cachedTokens: usage?.cachedTokens ?? 0,
    completionTokens: usage?.completionTokens ?? 0,
    costMicroUsd: usage?.costMicroUsd ?? 0,
    text: outcome?.sentences.join(' ') ?? '',
  };
}

function sourceOf({ kind, engine }: DialogueOutcome['source']): LineResult['source'] {
  if (kind === 'engine') return engine === 'cloud' ? 'cloud' : 'engine';
  // Silence is for events that many NPCs see; a plan has none, and it costs no more than a written line.
  return kind === 'cache' ? 'cache' : 'written';
}

/** The service says that it is ready with its first engine; a plan waits for all of them. */
async function untilAllReady(service: Service, clock: VirtualClock): Promise<void> {
  const untilMonoMs = clock.monotonicMs() + PATIENCE_MS;
  let missing = '';
  while (clock.monotonicMs() < untilMonoMs) {
    await clock.run(() => false, READY_POLL_MS);
    const { engines } = await passing(clock, () => service.services.status());
    const late = (engines as readonly { name: string; stage: string }[]).filter(
      ({ stage }) => stage !== 'ready',
    );
    if (late.length === 0) return;
    missing = late.map(({ name, stage }) => `${name} is ${stage}`).join(', ');
  }
  throw new ServiceError('internal', `planned engines did not start: ${missing}`);
}

/** Lets time pass while `work` needs it. */
async function passing<Result>(clock: VirtualClock, work: () => Promise<Result>): Promise<Result> {
  let isOver = false;
  const done = work().finally(() => {
    isOver = true;
  });
  done.catch(() => {});
  await clock.run(() => isOver, PATIENCE_MS);
  if (!isOver) throw new ServiceError('internal', `a planned service is stuck for ${PATIENCE_MS} ms`);
  return await done;
}

function configOf({ engineClass, engines, cloud, hasRecall }: WindowOptions) {
  const names = Array.from({ length: engines }, (_, at) => `e${at}`);
  const hasOwn = names.length > 0;
  const rungs = (tier: Tier) => [
    ...(cloud?.firstTiers.includes(tier) === true ? ['cloud'] : []),
    ...(hasOwn ? ['own'] : []),
    ...(cloud?.belowTiers.includes(tier) === true && !cloud.firstTiers.includes(tier) ? ['cloud'] : []),
  ];
  return configSchema.parse({
    engines: {
      ...Object.fromEntries(
        names.map((name) => [
          name,
          {
            kind: 'vllm',
            model: PLANNED_MODEL,
            baseUrl: `http://${name}.planned`,
            maxInFlight: engineClass.maxInFlight,
            connections: 4_096,
            contextTokens: CONTEXT_TOKENS,
          },
        ]),
      ),
      ...(cloud === null
        ? {}
        : {
            cloud: {
              kind: 'openai',
              model: cloud.model,
              baseUrl: CLOUD_ORIGIN,
              apiKeyEnv: 'PLANNED_KEY',
              maxInFlight: 4_096,
              connections: 4_096,
              contextTokens: CONTEXT_TOKENS,
            },
          }),
    },
    pools: hasOwn ? { own: { engines: names } } : {},
    tiers: Object.fromEntries(
      TIERS.map((tier) => {
        const named = rungs(tier);
        return [tier, { rungs: named.length === 0 ? ['written'] : named }];
      }),
    ),
    spending: cloud === null ? {} : { prices: [{ ...cloud.price, effectiveFrom: '2020-01-01' }] },
    recall: { enabled: hasRecall },
    store: { turnRetentionDays: 0 },
  });
}

/** A planned persona says its tier in its name. */
function tierIn(prompt: string): Tier {
  const [, tier] = /Neighbour ([1-4])-\d/.exec(prompt) ?? [];
  return (tier === undefined ? 1 : Number(tier)) as Tier;
}
