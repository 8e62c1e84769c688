/**
 * `simulate(seed)`: the whole service (all that `service.ts` connects) in a virtual world, from start to stop, with players,
 * faults and checkers drawn from one seed. The same seed on the same code is the same story, event by event.
 */
import { fileURLToPath } from 'node:url';
import type { Services } from '../../api/services.ts';
import { type Cast, loadCast } from '../../cast/cast.ts';
import { ServiceError } from '../../core/errors.ts';
import type { Logger } from '../../core/runtime.ts';
import type { Transport } from '../../core/transport.ts';
import type { Turn } from '../../core/turn.ts';
import { SeededRandom } from '../../planning/seeded-random.ts';
import { VirtualClock } from '../../planning/virtual-clock.ts';
import { createService, type Service } from '../../service.ts';
import type { AdapterPlan } from './adapters.ts';
import { check, type Evidence, type Violation } from './checkers.ts';
import { SimulatedEngine } from './engine.ts';
import { countListeners } from './listeners.ts';
import { SimulatedNetwork } from './network.ts';
import { type Heard, requestOf, speakTo } from './player.ts';
import { type Blow, chooseScenario, type Scenario, simulatedKinds } from './scenario.ts';
import { createStoreTemplate, SimulatedStore, type StoreTemplate } from './store.ts';
import { Trace } from './trace.ts';
import type { PlannedLine } from './traffic.ts';

/** What all simulations of a process share, because it never changes. */
export interface World {
  readonly cast: Cast;
  readonly store: StoreTemplate;
  readonly kinds: readonly string[];
}

/** Deliberate bugs, put between the service and its world, to prove that the checkers see them. */
export interface Tampering {
  readonly transport?: (transport: Transport) => Transport;
  readonly services?: (services: Services) => Services;
  readonly turns?: (record: (turn: Turn) => void) => (turn: Turn) => void;
  /** Changes a part that cannot be handed in; disposed at the end of the simulation. */
  readonly around?: () => Disposable;
}

export interface SimulateOptions {
  readonly world: World;
  /** Gets the trace line by line; null: nobody reads. */
  readonly onLine: ((line: string) => void) | null;
  /** Times the usual length of play. */
  readonly length?: number;
  readonly tampering?: Tampering;
}

export interface Simulated {
  readonly seed: number;
  readonly scenario: Scenario;
  readonly violations: readonly Violation[];
  /** The same for two runs of one seed on the same code. */
  readonly digest: string;
  readonly figures: Figures;
}

/** What there was to see, so that a run that looks at nothing is noticed. */
export interface Figures {
  readonly virtualMs: number;
  readonly events: number;
  readonly lines: number;
  readonly fromEngines: number;
  readonly fromWritten: number;
  /** Lines to an event of which another NPC speaks. */
  readonly unspoken: number;
  readonly hungUp: number;
  readonly generations: number;
  readonly faults: number;
  readonly storedTurns: number;
  readonly costMicroUsd: number;
  /** Answers that adapters spoke. */
  readonly fromAdapters: number;
  /** Swaps that succeeded while players talked. */
  readonly swaps: number;
  /** Kinds of engine that players have heard. */
  readonly kinds: readonly string[];
}

const CAST_DIRECTORY = fileURLToPath(new URL('../../../examples/body-broker/cast', import.meta.url));
/** Players wait for no answer longer than this past the end of play (ms of virtual time). */
const PATIENCE_MS = 180_000;
/** After this, work that nobody waits for any more must have ended (ms). */
const QUIET_MS = 3_000;
/** A stop, or a look at the status, takes at most this with everything in the way (ms). */
/** The most that one warm-up takes, and how many are waited for. */
const WARM_UP_MS = 20_000;
const WARM_UPS_MAX = 12;
const WORK_MS = 120_000;
/** One listener a request would be as many as there are lines; some signals have a few for good reason. */
const LISTENERS_MAX = 10;

export async function createWorld(signal: AbortSignal): Promise<World> {
  const random = new SeededRandom('world');
  const clock = new VirtualClock({ random, latenessMaxMs: 0, remembersSetters: false });
  return {
    cast: await loadCast(CAST_DIRECTORY, signal),
    store: await createStoreTemplate(clock, signal),
    kinds: simulatedKinds(),
  };
}

/** Runs one seed to its end. Rejects only when the simulator itself is broken; what the service breaks is a violation. */
export async function simulate(seed: number, options: SimulateOptions): Promise<Simulated> {
  const { world } = options;
  const scenario = chooseScenario({
    seed,
    cast: world.cast,
    kinds: world.kinds,
    length: options.length ?? 1,
  });
  const random = new SeededRandom(`run ${seed}`);
  const clock = new VirtualClock({
    random: random.fork('clock'),
    latenessMaxMs: scenario.latenessMaxMs,
    remembersSetters: options.onLine !== null,
  });
  const trace = new Trace({ monotonicMs: () => clock.monotonicMs(), onLine: options.onLine });
  using run = new Run(scenario, clock, trace, random, options);
  using _tampered = options.tampering?.around?.() ?? null;
  using listeners = countListeners();
  const broken: Violation[] = [];
  const onUnheard = (error: unknown) => {
    broken.push({ rule: 'hears every failure', what: `nobody heard this rejection: ${stackOf(error)}` });
  };
  // A test runner listens too, and would end the test before its time.
  const others = process.listeners('unhandledRejection');
  process.removeAllListeners('unhandledRejection').on('unhandledRejection', onUnheard);
  try {
    await run.play();
    for (const { listeners: count, addedBy } of listeners.over(LISTENERS_MAX))
      broken.push({ rule: 'leaves no listener', what: `${count} listeners stay on one signal: ${addedBy}` });
    await run.stop();
  } catch (error) {
    broken.push({ rule: 'never throws', what: stackOf(error) });
  } finally {
    process.off('unhandledRejection', onUnheard);
    for (const other of others) process.on('unhandledRejection', other);
  }
  const violations = [...broken, ...run.violations()];
  for (const { rule, what } of violations) trace.note('broken', rule, { what });
  return { seed, scenario, violations, digest: trace.digest(), figures: run.figures() };
}

class Run implements Disposable {
  readonly #scenario: Scenario;
  readonly #clock: VirtualClock;
  readonly #trace: Trace;
  readonly #random: SeededRandom;
  readonly #options: SimulateOptions;
  readonly #engines: ReadonlyMap<string, SimulatedEngine>;
  readonly #network: SimulatedNetwork;
  readonly #store: SimulatedStore;
  readonly #heard: Heard[] = [];
  readonly #turns: Turn[] = [];
  readonly #swapped: { id: string; atMonoMs: number }[] = [];
  readonly #stopping = new AbortController();
  readonly #switched: { atMonoMs: number; isOff: boolean }[] = [];
  /** What the simulation itself has set, to be taken back at the end. */
  readonly #own = new DisposableStack();
  readonly #found: Violation[] = [];
  #service: Service | null = null;
  #places: Evidence['places'] = [];
  #leases: Evidence['leases'] = [];
  #stoppedMonoMs: number | null = null;
  #drained: Promise<void> | null = null;

  constructor(
    scenario: Scenario,
    clock: VirtualClock,
    trace: Trace,
    random: SeededRandom,
    options: SimulateOptions,
  ) {
    this.#scenario = scenario;
    this.#clock = clock;
    this.#trace = trace;
    this.#random = random;
    this.#options = options;
    this.#engines = new Map(
      scenario.engines.map((traits) => [
        traits.name,
        new SimulatedEngine(traits, { clock, trace, random: random.fork(`engine ${traits.name}`) }),
      ]),
    );
    this.#network = new SimulatedNetwork({
      clock,
      trace,
      random: random.fork('network'),
      peers: new Map(
        scenario.engines.map(({ name, baseUrl }) => [baseUrl, this.#engines.get(name) as SimulatedEngine]),
      ),
      latencyMs: scenario.latencyMs,
      cutChance: scenario.cutChance,
    });
    this.#store = new SimulatedStore(options.world.store, scenario.storeTrouble, {
      clock,
      trace,
      random: random.fork('store'),
    });
  }

  /** From the start of the service until everybody has heard an answer and all is quiet. */
  async play(): Promise<void> {
    const { playMs, traffic, isImpatient, blows, stopAtMs } = this.#scenario;
    const service = await this.#start();
    this.#service = service;
    const services = this.#options.tampering?.services?.(service.services) ?? service.services;
    if (!isImpatient) await this.#clock.run(() => service.readiness().ready, 5_000);
    this.#store.arm();
    for (const blow of blows) this.#plan(blow, services);
    for (const order of this.#scenario.adapters?.orders ?? [])
      this.#own.use(this.#clock.timer(order.atMs, () => void this.#order(order, services)));
    const speaking: Promise<void>[] = [];
    let spoken = 0;
    const speak = (line: PlannedLine) => {
      spoken += 1;
      // Past the stop the door refuses; the walk itself is not asked.
      if (this.#stoppedMonoMs !== null) return;
      const id = services.random.id('dlg');
      const heard = newlyHeard(line, id, this.#clock.monotonicMs());
      this.#heard.push(heard);
      speaking.push(speakTo({ services, clock: this.#clock, trace: this.#trace }, heard));
    };
    for (const line of traffic.lines) this.#own.use(this.#clock.timer(line.atMs, () => speak(line)));
    if (stopAtMs !== null) this.#own.use(this.#clock.timer(stopAtMs, () => this.#beginStop(service)));
    const isOver = () =>
      spoken === traffic.lines.length && this.#heard.every((each) => each.endedMonoMs !== null);
    await this.#clock.run(isOver, playMs + PATIENCE_MS);
    if (isOver()) await Promise.all(speaking);
    await this.#clock.run(() => false, QUIET_MS);
    // A prefix may be read in yet, one after another, when all lines are over; a place that is lost stays lost.
    for (let look = 0; look < WARM_UPS_MAX; look++) {
      await this.#untilDone('the status', () => this.#notePlaces(service));
      if (this.#places.every(({ running, waiting }) => running + waiting === 0)) return;
      await this.#clock.run(() => false, WARM_UP_MS);
    }
  }

  /** The service stops; then nothing of it may be left. */
  async stop(): Promise<void> {
    const service = this.#service;
    if (service === null) return;
    this.#own[Symbol.dispose]();
    this.#beginStop(service);
    await this.#untilDone('the stop', async () => {
      await this.#drained;
      await service[Symbol.asyncDispose]();
    });
    // What engines have not noticed yet, they notice now.
    await this.#clock.run(() => false, QUIET_MS);
    this.#looksForLeaks();
  }

  violations(): readonly Violation[] {
    return [
      ...this.#found,
      ...check({
        scenario: this.#scenario,
        heard: this.#heard,
        generations: this.#generations(),
        turns: this.#turns,
        stored: this.#store.turns(),
        spendingDays: this.#store.spendingDays(),
        stoppedMonoMs: this.#stoppedMonoMs,
        places: this.#places,
        switched: this.#switched,
        swapped: this.#swapped,
        leases: this.#leases,
      }),
    ];
  }

  figures(): Figures {
    const sources = this.#heard.flatMap(({ events }) =>
      events.flatMap(({ event }) => (event.type === 'done' ? [event.outcome.source] : [])),
    );
    const generations = this.#generations();
    return {
      virtualMs: Math.round(this.#clock.monotonicMs()),
      events: this.#trace.events,
      lines: this.#heard.length,
      fromEngines: sources.filter(({ kind }) => kind === 'engine').length,
      fromWritten: sources.filter(({ kind }) => kind === 'written').length,
      unspoken: sources.filter(({ kind }) => kind === 'none').length,
      hungUp: this.#heard.filter(({ hungUpMonoMs }) => hungUpMonoMs !== null).length,
      generations: generations.length,
      faults: generations.filter(({ fault }) => fault !== null).length,
      storedTurns: this.#store.turns().length,
      costMicroUsd: this.#turns.reduce((sum, { outcome }) => sum + (outcome?.usage.costMicroUsd ?? 0), 0),
      fromAdapters: sources.filter(({ kind, adapter }) => kind === 'engine' && adapter !== null).length,
      swaps: this.#swapped.length,
      kinds: [
        ...new Set(sources.flatMap(({ engine }) => this.#engines.get(engine)?.traits.kind ?? [])),
      ].sort(),
    };
  }

  [Symbol.dispose](): void {
    this.#own[Symbol.dispose]();
    this.#store[Symbol.dispose]();
  }

  async #start(): Promise<Service> {
    const { tampering, world } = this.#options;
    const { adapters } = this.#scenario;
    if (adapters !== null) await this.#store.publishAdapters(adapters.records, adapters.published);
    const record = (turn: Turn) => void this.#turns.push(turn);
    return await createService(
      {
        config: this.#scenario.config,
        directory: CAST_DIRECTORY,
        file: null,
        originOf: () => 'default',
      },
      {
        runtime: { clock: this.#clock, random: this.#random.fork('service'), environment: {} },
        log: this.#logger({}),
        connect: (options) => {
          const transport = this.#network.connect(options);
          return tampering?.transport?.(transport) ?? transport;
        },
        onModelProgress: () => {},
        onModelNotice: () => {},
        simulated: {
          cast: world.cast,
          backend: this.#store.backend,
          sinks: [{ record: tampering?.turns?.(record) ?? record }],
        },
      },
      NEVER,
    );
  }

  #plan(blow: Blow, services: Services): void {
    const clock = this.#clock;
    const after = (atMs: number, act: () => void) => this.#own.use(clock.timer(atMs, act));
    switch (blow.kind) {
      case 'date-jump':
        after(blow.atMs, () => {
          this.#trace.note('world', 'date jumps', { byMs: blow.byMs });
          clock.jumpDate(blow.byMs);
        });
        return;
      case 'spending-off': {
        // The switch holds at once, whether or not the store can keep it.
        const turn = (isOff: boolean) => {
          this.#trace.note('world', isOff ? 'paid engines are switched off' : 'paid engines are switched on');
          this.#switched.push({ atMonoMs: clock.monotonicMs(), isOff });
          services.spending.switchOff(isOff).catch(() => {});
        };
        after(blow.atMs, () => turn(true));
        after(blow.atMs + blow.forMs, () => turn(false));
        return;
      }
      case 'wedge': {
        const engine = this.#engines.get(blow.engine);
        after(blow.atMs, () => engine?.become('wedged'));
        after(blow.atMs + blow.forMs, () => engine?.become('up'));
        return;
      }
      case 'crash': {
        const engine = this.#engines.get(blow.engine);
        after(blow.atMs, () => engine?.become('down'));
        after(blow.atMs + blow.downMs, () => engine?.become('loading'));
        after(blow.atMs + blow.downMs + blow.loadingMs, () => engine?.become('up'));
      }
    }
  }

  /** An operator's wish; what comes of it is the service's affair, and when it was done is noted. */
  async #order(order: AdapterPlan['orders'][number], { adapters }: Services): Promise<void> {
    if (adapters === undefined || this.#stoppedMonoMs !== null) return;
    this.#trace.note('operator', order.do, { id: order.id });
    try {
      const { id } =
        order.do === 'swap'
          ? await adapters.swap(order.id, 'stable')
          : await adapters.publish(order.id, { tag: null, pin: false });
      for await (const { outcome, failure } of adapters.watchOperation(id, this.#stopping.signal)) {
        if (outcome === null) continue;
        this.#trace.note('operator', `${order.do} ${outcome}`, { id: order.id, code: failure?.code });
        if (outcome === 'succeeded' && order.do === 'swap')
          this.#swapped.push({ id: order.id, atMonoMs: this.#clock.monotonicMs() });
      }
    } catch (error) {
      const { code } = ServiceError.from(error);
      this.#trace.note('operator', 'was refused', { id: order.id, code });
      if (code === 'internal') this.#found.push({ rule: 'never throws', what: stackOf(error) });
    }
  }

  #beginStop(service: Service): void {
    if (this.#drained !== null) return;
    this.#trace.note('world', 'the service is told to stop');
    this.#stoppedMonoMs = this.#clock.monotonicMs();
    this.#stopping.abort(new ServiceError('draining', 'the operator has left'));
    this.#drained = service.drain(() => 0);
  }

  /** Lets time pass while `work` needs it. */
  async #untilDone(what: string, work: () => Promise<void>): Promise<void> {
    let isDone = false;
    const done = work().finally(() => {
      isDone = true;
    });
    done.catch(() => {});
    await this.#clock.run(() => isDone, WORK_MS);
    if (!isDone) throw new Error(`${what} has not ended after ${WORK_MS} ms`);
    await done;
  }

  async #notePlaces(service: Service): Promise<void> {
    this.#leases = (service.services.adapters?.replicas() ?? []).flatMap(({ engine, adapters }) =>
      adapters.map(({ engineName, leases }) => ({ engine, engineName, leases })),
    );
    const status = await service.services.status();
    this.#places = (status['engines'] as { name: string; running: number; waiting: number }[]).map(
      ({ name, running, waiting }) => ({ name, running, waiting }),
    );
  }

  #looksForLeaks(): void {
    const found = (what: string) => this.#found.push({ rule: 'leaves nothing', what });
    const open = this.#network.open();
    if (open.length > 0)
      found(`${open.length} exchanges are open after the stop: ${open.map((each) => each.path).join(', ')}`);
    for (const engine of this.#engines.values())
      if (engine.unfinished > 0)
        found(`${engine.name} works on ${engine.unfinished} requests after the stop`);
    if (this.#clock.waiting > 0)
      found(`${this.#clock.waiting} timers are left, set by ${[...new Set(this.#clock.setters)].join('; ')}`);
  }

  #generations() {
    return [...this.#engines.values()].flatMap((engine) => engine.generations);
  }

  #logger(bound: Readonly<Record<string, unknown>>): Logger {
    const note = (level: string) => (event: string, fields?: Readonly<Record<string, unknown>>) => {
      this.#trace.note(`log ${level}`, event, { ...bound, ...fields });
      if (event === 'task.failed')
        this.#found.push({ rule: 'fails no task', what: JSON.stringify({ ...bound, ...fields }) });
    };
    return {
      debug: note('debug'),
      info: note('info'),
      warn: note('warn'),
      error: note('error'),
      child: (fields) => this.#logger({ ...bound, ...fields }),
    };
  }
}

const NEVER = new AbortController().signal;

function newlyHeard(line: PlannedLine, id: string, nowMonoMs: number): Heard {
  return {
    line,
    request: requestOf(line, id, nowMonoMs),
    events: [],
    end: 'open',
    errorCode: null,
    errorMessage: null,
    endedMonoMs: null,
    hungUpMonoMs: null,
    pausedMs: 0,
  };
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
