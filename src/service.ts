/**
 * The service without its doors: the one place that makes every part and connects them. `app.ts` puts the HTTP door in
 * front; the simulator talks to `services` itself. What it starts it also ends, in this order: no new work, running
 * lines finish, engines stop, the store closes.
 */
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { openAdapters } from './adapters/open.ts';
import type { Readiness, Services } from './api/services.ts';
import type { ShortWork } from './api/short-work.ts';
import { type Cast, loadCast } from './cast/cast.ts';
import { HeardLines } from './cast/heard-lines.ts';
import { LineLearning } from './cast/line-learning.ts';
import { ConversationMemory, extractiveSummary } from './cast/memory.ts';
import { createPromptAssembler } from './cast/prompt.ts';
import { lineCounts, lineRows, npcSummaries } from './cast/views.ts';
import type { LoadedConfig } from './config/load.ts';
import { requirePrices } from './config/paid.ts';
import type { DialogueEvent, DialogueRequest } from './core/dialogue.ts';
import type { TokenCounter } from './core/engine.ts';
import { ServiceError } from './core/errors.ts';
import type { Logger, Runtime } from './core/runtime.ts';
import type { Transport } from './core/transport.ts';
import type { TurnSink } from './core/turn.ts';
import { type AnswerParts, answer } from './dialogue/answer.ts';
import { runJob } from './dialogue/job-run.ts';
import { Ladder } from './dialogue/ladder.ts';
import { prepareNpcs } from './dialogue/prepare.ts';
import { RecentPrefixes } from './dialogue/recent-prefixes.ts';
import { Prompts } from './dialogue/script.ts';
import { Voices } from './dialogue/voices.ts';
import { WarmPrefixes } from './dialogue/warm-prefixes.ts';
import { createTensorEngine } from './engines/oip.ts';
import { estimateTokens } from './engines/token-counter.ts';
import type { TransportOptions } from './engines/transport.ts';
import { createWritten } from './engines/written.ts';
import type { Host, HostState } from './hosts/host.ts';
import { startHost } from './hosts/index.ts';
import { knownBases } from './hosts/known-bases.ts';
import { relayTarget } from './hosts/relay.ts';
import { secretOf } from './hosts/remote.ts';
import { JobService } from './jobs/jobs.ts';
import { linkSignals } from './lib/abort.ts';
import { TaskGroup } from './lib/async.ts';
import type { ModelProgress } from './models/progress.ts';
import { openRecallDesk } from './recall/desk.ts';
import { PrefixCounts } from './recall/prefix-counts.ts';
import { Recall } from './recall/recall.ts';
import { RecentRecall } from './recall/recent.ts';
import { sharedAddress } from './recall/shared/address.ts';
import { openSharedTier } from './recall/shared/tier.ts';
import { HedgeAllowance } from './routing/hedge.ts';
import { TensorLanes } from './routing/lanes.ts';
import { poolLayout } from './routing/layout.ts';
import type { PoolsOptions } from './routing/options.ts';
import { Pool } from './routing/pool.ts';
import { ModelVersions } from './routing/versions.ts';
import { Spending } from './spending/spending.ts';
import type { Backend } from './store/backend.ts';
import { dataDirectory } from './store/location.ts';
import { openStore } from './store/store.ts';
import { recordAdapterEvent } from './telemetry/adapter-metrics.ts';
import { Metrics } from './telemetry/metrics.ts';
import { observeRecall, recordRecallEvent } from './telemetry/recall-metrics.ts';
import { turnLog } from './telemetry/turn-log.ts';
import { countAttempt, turnMetrics } from './telemetry/turn-metrics.ts';

export interface ServiceParts {
  readonly runtime: Runtime;
  readonly log: Logger;
  /** Opens a connection to an engine; the real one is `createTransport`. */
  readonly connect: (options: TransportOptions) => Transport;
  readonly onModelProgress: (progress: ModelProgress) => void;
  readonly onModelNotice: (message: string) => void;
  /** What a simulation of a thousand services puts in place of disk and file; left out: as the configuration says. */
  readonly simulated?: {
    readonly cast: Cast;
    readonly backend: Backend;
    /** Told of every turn, after the service's own. */
    readonly sinks: readonly TurnSink[];
  };
}

export interface Service extends AsyncDisposable {
  /** What the doors are made of. */
  readonly services: Services;
  /** Whether the doors must ask for a key. */
  readonly authRequired: boolean;
  readonly npcCount: number;
  readiness(): Readiness;
  /** Resolves when the first engine is warm; rejects when the signal aborts. */
  whenReady(signal: AbortSignal): Promise<void>;
  /**
   * Takes no new work, waits until running lines have ended, at most `drainMs` of the configuration, and cuts what is
   * left. `busyAtDoors` counts what the doors stream without the walk.
   */
  drain(busyAtDoors: () => number): Promise<void>;
}

const BACKGROUND_TASKS_MAX = 1_000;
/** Where no engine can be asked, prompts shown to people are counted so. */
const ESTIMATE: TokenCounter = { count: (text) => Promise.resolve(estimateTokens(text)) };
const READY_POLL_MS = 50;
const WEBHOOK_CONNECT_TIMEOUT_MS = 5_000;
const BREAKER_LEVEL = { closed: 0, half_open: 1, open: 2 } as const;

/** Throws `cast_invalid`, `store_unavailable`, `setup_incomplete`, `config_invalid`. Starting engines goes on in the background. */
export async function createService(
  loaded: LoadedConfig,
  parts: ServiceParts,
  signal: AbortSignal,
): Promise<Service> {
  const { config, directory } = loaded;
  const { runtime, log } = parts;
  const { clock, random } = runtime;
  await using cleanup = new AsyncDisposableStack();
  const metrics = cleanup.use(new Metrics());
  const cast = parts.simulated?.cast ?? (await loadCast(resolve(directory, config.cast), signal));
  const data =
    config.dataDirectory === undefined
      ? dataDirectory(runtime.environment)
      : resolve(directory, config.dataDirectory);
  const store = cleanup.use(
    await openStore(
      {
        url: config.store.url,
        directory: data,
        turnRetentionDays: config.store.turnRetentionDays,
        ...(parts.simulated === undefined ? {} : { backend: parts.simulated.backend }),
        clock,
        random,
        log,
        onFailure: (operation) => metrics.count('greenroom_store_failures_total', { operation }),
      },
      signal,
    ),
  );
  await requireKeysBeyondLoopback(config.host, () => store.keys.hasActive());

  const tasks = new TaskGroup({
    maxTasks: BACKGROUND_TASKS_MAX,
    onFailure: (name, error) => log.error('task.failed', { name, reason: ServiceError.from(error).message }),
  });
  cleanup.use(tasks);
  const spending = cleanup.use(await Spending.open(config.spending, { store: store.spending, clock, log }));
  requirePrices(config, spending.prices, clock.nowMs());
  const prefixes = new RecentPrefixes();
  let warm: WarmPrefixes | null = null;
  const hosts = new Map<string, Host>();
  const adapters = cleanup.use(
    await openAdapters({
      store: store.adapters,
      root: resolve(directory, config.adapters.directory ?? join(data, 'adapters')),
      options: config.adapters,
      bases: knownBases(hosts),
      workingDirectory: directory,
      runtime,
      log,
      onEvent: (event) => {
        recordAdapterEvent(metrics, event);
        if (event.type === 'resident') warm?.adaptersAt(event.engine, event.ids);
      },
      onOperationEnd: (kind, outcome) =>
        metrics.count('greenroom_adapter_operations_total', { kind, outcome }),
    }),
  );
  for (const [name, engineConfig] of Object.entries(config.engines)) {
    const host = startHost(name, engineConfig, {
      runtime,
      log,
      tasks,
      connect: parts.connect,
      directory,
      routing: config.routing,
      warmPrompts: () => prefixes.mostUsed(),
      adapters: adapters.keeper,
      onModelProgress: parts.onModelProgress,
      onModelNotice: parts.onModelNotice,
      onRestart: (engine) => metrics.count('greenroom_engine_restarts_total', { engine }),
    });
    hosts.set(name, cleanup.use(host));
  }
  const pools = poolsOf(hosts, config.pools);
  const versions = new ModelVersions(pools, config.models);

  const heard = new HeardLines(clock);
  const memory = new ConversationMemory(store.conversations, extractiveSummary);
  const prompts = new Prompts({ cast, defaultTemperature: config.temperature, prefixes });
  const warmPrefixes = new WarmPrefixes({
    cast,
    tiers: config.tiers,
    pools,
    adapters: adapters.keeper,
    prompts,
    clock,
    log,
    tasks,
    onWarmUp: (engine, result) => metrics.count('greenroom_prefix_warmups_total', { engine, result }),
  });
  warm = warmPrefixes;
  const ladder = new Ladder({
    pools,
    versions,
    adapters: adapters.keeper,
    adapterWaitMs: config.adapters.waitMs,
    written: createWritten((scene) => cast.lines.pick(scene, heard)),
    prompts,
    onPrefix: (key, engine) => warmPrefixes.noted(key, engine),
    onCold: (npcId) => warmPrefixes.hint(npcId),
    spending,
    hedges: new HedgeAllowance(config.routing.hedging),
    options: config.routing,
    clock,
    log,
  });
  const recentRecall = new RecentRecall(clock);
  const sharedAt = sharedAddress(config.recall.shared, runtime.environment);
  const recall = cleanup.use(
    new Recall({
      options: config.recall,
      shared:
        sharedAt === null || !config.recall.enabled
          ? null
          : openSharedTier(config.recall.shared, sharedAt, {
              ...runtime,
              log,
              onFault: (fault) => metrics.count('greenroom_recall_shared_faults_total', { fault }),
            }),
      clock,
      onEvent: (event) => {
        recordRecallEvent(metrics, event);
        recentRecall.note(event);
      },
    }),
  );
  const prefixCounts = new PrefixCounts();
  const lines = new LineLearning({
    cast,
    store: store.learnedLines,
    clock,
    log,
    options: config.lineLearning,
  });
  const answerParts: AnswerParts = {
    cast,
    recall,
    recallKey: {
      cast,
      pools,
      adapters: adapters.keeper,
      defaultTemperature: config.temperature,
    },
    tiers: config.tiers,
    heard,
    voices: new Voices(config.voices, { clock }),
    playerCharsMax: config.limits.playerCharsMax,
    ladder,
    memory,
    clock,
    log,
    sinks: [turnMetrics(metrics), turnLog(log), prefixCounts, lines, ...(parts.simulated?.sinks ?? [])],
    tasks,
  };

  const lanes = new TensorLanes(
    Object.entries(config.tensorServers).map(([name, options]) => ({
      ...options,
      engine: cleanup.use(
        createTensorEngine(name, options, {
          apiKey: secretOf(`tensorServers.${name}`, options.apiKeyEnv, runtime.environment),
        }),
      ),
    })),
    clock,
  );
  const { embeddings, vision, paths } = config;
  const shortWork: ShortWork = {
    routes: lanes.routes,
    find: (model, laneSignal) => lanes.find(model, laneSignal),
    index: (laneSignal) => lanes.index(laneSignal),
    forget: () => lanes.forget(),
    embeddings,
    vision,
    paths,
  };
  const jobs = cleanup.use(
    new JobService({
      store: store.jobs,
      options: config.jobs,
      run: (job, begin, jobSignal) =>
        runJob(
          job,
          begin,
          {
            ...{ cast, tiers: config.tiers, pools, spending, clock },
            onEnded: (record) => countAttempt(metrics, record, String(job.request.tier)),
          },
          jobSignal,
        ),
      clock,
      random,
      log,
      environment: runtime.environment,
      connect: (origin) =>
        parts.connect({ baseUrl: origin, connections: 4, connectTimeoutMs: WEBHOOK_CONNECT_TIMEOUT_MS }),
    }),
  );
  jobs.start();
  tasks.tryStart('learn-lines', (signal) => lines.run(signal));
  tasks.tryStart('adapters', (signal) => adapters.publishDeclared(signal));

  const draining = new AbortController();
  const hardStop = new AbortController();
  let active = 0;
  const startedMonoMs = clock.monotonicMs();
  const version = await packageVersion();

  async function* answerCounted(
    request: DialogueRequest,
    requestSignal: AbortSignal,
  ): AsyncGenerator<DialogueEvent> {
    active += 1;
    metrics.gauge('greenroom_dialogues_active', {}, active);
    using link = linkSignals(requestSignal, hardStop.signal);
    try {
      yield* answer(request, answerParts, link.signal);
    } finally {
      active -= 1;
      metrics.gauge('greenroom_dialogues_active', {}, active);
    }
  }

  const readiness = (): Readiness => {
    if (draining.signal.aborted)
      return { ready: false, stage: 'draining', detail: 'draining: running lines finish' };
    const states = [...hosts.values()].map((host) => host.state);
    if (states.length === 0 || states.some((state) => state.stage === 'ready'))
      return { ready: true, stage: 'ready', detail: 'ready' };
    return { ...(states[0] as HostState), ready: false };
  };

  const observeEngines = () => {
    for (const host of hosts.values()) {
      metrics.gauge(
        'greenroom_engine_requests_running',
        { engine: host.name },
        host.replica.admission.running,
      );
      metrics.gauge('greenroom_engine_places', { engine: host.name }, host.replica.admission.places);
      for (const priority of ['interactive', 'ambient'] as const)
        metrics.gauge(
          'greenroom_engine_requests_waiting',
          { engine: host.name, priority },
          host.replica.admission.waitingOf(priority),
        );
    }
    for (const { name, replica } of hosts.values()) {
      const { breaker, pace } = replica;
      metrics.gauge('greenroom_engine_breaker_state', { engine: name }, BREAKER_LEVEL[breaker.state]);
      for (const quantile of [0.5, 0.95]) {
        const firstTokenMs = pace.firstTokenPercentileMs(quantile);
        const labels = { engine: name, quantile: String(quantile) };
        if (firstTokenMs !== null)
          metrics.gauge('greenroom_engine_first_token_seconds', labels, firstTokenMs / 1000);
      }
    }
    observeRecall(metrics, recall.state);
    metrics.gauge('greenroom_lines_counted', {}, lines.state.counted);
    metrics.gauge('greenroom_lines_learned', {}, lines.state.learned);
    metrics.gauge('greenroom_jobs_running', {}, jobs.running);
    metrics.gauge('greenroom_paid_engines_off', {}, spending.isOff ? 1 : 0);
    metrics.gauge('greenroom_ready', {}, readiness().ready ? 1 : 0);
  };

  const services: Services = {
    version,
    clock,
    random,
    log,
    answer: answerCounted,
    npcs: npcSummaries(cast),
    prepare: (npcIds) =>
      prepareNpcs(
        npcIds,
        { cast, tiers: config.tiers, pools, adapters: adapters.keeper, warm: warmPrefixes },
        hardStop.signal,
      ),
    describeNpc: async (npcId, describeSignal) => {
      const persona = cast.npcs.get(npcId);
      if (persona === undefined) return null;
      const policy = config.tiers[persona.tier];
      // While the engine starts, counts are estimates; a throwaway assembler keeps them out of the real prompts.
      const prompt = await createPromptAssembler().assemble(
        {
          world: cast.setting,
          persona,
          tier: persona.tier,
          context: { timelineId: 'main', facts: [], history: [], allowedActions: [] },
          history: [],
          summary: null,
          playerText: 'Good evening.',
          trigger: null,
          maxPromptTokens: policy.promptTokens,
          personaTokens: policy.personaTokens,
          npcs: cast.npcs,
        },
        pools.get(policy.rungs[0] ?? '')?.replicas[0]?.counter ?? ESTIMATE,
        describeSignal,
      );
      return {
        persona,
        prompt: { messages: prompt.messages, prompt_tokens: prompt.promptTokens, dropped: prompt.dropped },
        line_counts: lineCounts(cast, npcId),
      };
    },
    listLines: (filter) => lineRows(cast, filter),
    get models() {
      return versions
        .list()
        .map(({ id, pool }) => ({ id, ownedBy: pool.name, maxModelTokens: pool.contextTokens }));
    },
    passThrough: (model, version, lane) => relayTarget(versions.resolve(model, version), lane, hosts),
    keys: store.keys,
    idempotency: store.idempotency,
    shortWork,
    jobs,
    spending,
    adapters: adapters.admin,
    lines,
    recall: openRecallDesk({ recall, recent: recentRecall, prefixes: prefixCounts, cast }),
    readiness,
    status: async () => {
      const health = await store.health();
      return {
        version,
        uptime_s: Math.round((clock.monotonicMs() - startedMonoMs) / 1000),
        ...readiness(),
        engines: [...hosts.values()].map((host) => ({
          name: host.name,
          kind: host.kind,
          stage: host.state.stage,
          model: host.model,
          running: host.replica.admission.running,
          waiting: host.replica.admission.waiting,
          places: host.replica.admission.places,
          version: host.version,
          model_version: host.replica.modelVersion,
          breaker: host.replica.breaker.state,
          unusable: host.replica.unusable(),
          restarts: host.restarts,
          pid: host.pid,
          reason: host.state.stage === 'ready' ? null : host.state.detail,
        })),
        dialogues: { active },
        store: {
          kind: health.kind,
          healthy: health.isReachable && health.failure === null,
          failure: health.failure,
        },
        event_loop_delay_ms_p99: metrics.eventLoopDelayP99Ms(),
      };
    },
    expose: async () => {
      observeEngines();
      // A store that is away leaves the last count.
      const registered = await adapters.admin.count().catch(() => null);
      if (registered !== null) metrics.gauge('greenroom_adapters_registered', {}, registered);
      return await metrics.expose();
    },
    countHttp: (route, status) =>
      metrics.count('greenroom_http_requests_total', { route, status: String(status) }),
    draining: draining.signal,
  };

  const authRequired = await store.keys.hasActive();
  const owned = cleanup.move();

  return {
    services,
    authRequired,
    npcCount: cast.npcs.size,
    readiness,
    whenReady: async (waitSignal) => {
      while (!readiness().ready) await clock.sleep(READY_POLL_MS, waitSignal);
    },
    drain: async (busyAtDoors) => {
      draining.abort(new ServiceError('draining', 'this instance is shutting down'));
      const busy = () => Math.max(active, busyAtDoors());
      log.info('app.draining', { active: busy(), drainMs: config.drainMs });
      const untilMonoMs = clock.monotonicMs() + config.drainMs;
      const jobsDrained = jobs.drain(hardStop.signal);
      while (busy() > 0 && clock.monotonicMs() < untilMonoMs)
        await clock.sleep(READY_POLL_MS, hardStop.signal);
      if (busy() > 0) log.warn('app.cut', { active: busy(), drainMs: config.drainMs });
      hardStop.abort(
        new ServiceError('draining', `still speaking ${config.drainMs} ms after the stop was asked for`),
      );
      await jobsDrained;
    },
    async [Symbol.asyncDispose]() {
      await owned.disposeAsync();
      log.info('app.stopped');
    },
  };
}

/** Without keys anybody who reaches the port may talk and look: that is for this machine only (design §4). */
async function requireKeysBeyondLoopback(host: string, hasKeys: () => Promise<boolean>): Promise<void> {
  const isLoopback = host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host);
  if (isLoopback || (await hasKeys())) return;
  throw new ServiceError(
    'setup_incomplete',
    `host is ${host}, which others can reach, and there is no API key; create one first: greenroom keys create --scope game --label my-game; or listen on 127.0.0.1`,
  );
}

/** Engines by name become pools by name; the configuration has been checked. */
function poolsOf(hosts: ReadonlyMap<string, Host>, pools: PoolsOptions): ReadonlyMap<string, Pool> {
  const made = new Map<string, Pool>();
  for (const [name, engines] of poolLayout([...hosts.keys()], pools)) {
    const replicas = engines.flatMap((engine) => hosts.get(engine)?.replica ?? []);
    made.set(name, new Pool(name, replicas));
  }
  return made;
}

async function packageVersion(): Promise<string> {
  const text = await readFile(new URL('../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
