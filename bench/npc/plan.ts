/**
 * The course of a whole run: each side's capacity is searched, then rounds at multiples of the best rival's capacity, in
 * turning order, and once the same on traces with other shares of repeats. Nothing is begun that could pass the time limit,
 * and what was measured until then is handed out after every step.
 */
import type { Trace } from '../npc-trace/trace.ts';
import { capacityOfWindows } from './capacity.ts';
import { figuresOf } from './figures.ts';
import { HOLD_SHARE } from './judge.ts';
import { type Material, PARTS } from './report.ts';
import { Runner } from './runner.ts';
import { nextSpeed, type Probe, type SearchLimits } from './search.ts';
import type { AbsentSide, Side, SideKey } from './side.ts';
import { orderOf, saysOf, type Window } from './window.ts';

export interface Course {
  readonly sides: readonly Side[];
  readonly absent: readonly AbsentSide[];
  readonly trace: Trace;
  /** Makes a trace like `trace` with another share of repeated questions. */
  readonly traceOf: (repeats: number, signal: AbortSignal) => Promise<Trace>;
  readonly rounds: number;
  /** Speeds to measure instead of searching; null: search. */
  readonly speeds: readonly number[] | null;
  /** Only one window for each side, at this many lines a second. */
  readonly isQuick: boolean;
  readonly limitMs: number;
  readonly walls: Walls;
  readonly folder: string;
  readonly say: (line: string) => void;
  /** Hears all that is measured so far. */
  readonly keep: (material: Material) => void;
}

/** Wall times of the parts of a run (ms). */
export interface Walls {
  /** Between two greetings of the warm-up: about what a cold prompt of this model takes on two cores. */
  readonly greetEveryMs: number;
  readonly warmUpMs: number;
  readonly searchMs: number;
  /** Of the rounds, by the place in the round; the last is that of all later ones. */
  readonly roundMs: readonly number[];
  readonly repeatsMs: number;
  readonly quickMs: number;
}

/** A higher load needs less time for as many lines. */
export const WALLS: Walls = {
  greetEveryMs: 3_500,
  warmUpMs: 7_000,
  searchMs: 24_000,
  roundMs: [30_000, 24_000, 20_000],
  repeatsMs: 20_000,
  quickMs: 3_000,
};
const MULTIPLES: readonly number[] = [1, 2, 3];
const WARM_UP_LINES = 14;
const QUICK_WARM_UP = { lines: 2, wallMs: 500 };
const QUICK_LINES_PER_SECOND = 1.5;
/** Where the first search begins: a small model on two cores answers about as many lines. */
const FIRST_LINES_PER_SECOND = 0.5;
const LEAST_LINES_PER_SECOND = 0.05;
/** Of the time limit, shared by the sides; what is not known by then stays coarse. */
const SEARCH_SHARE = 0.6;
/** A quick run asks the side that matters first, and on a busy machine leaves out what no longer fits. */
const QUICK_SIDE_MS = 10_000;
/** Sides whose capacity a bar divides are searched closer than those that stand beside. */
const CLOSE: ReadonlySet<SideKey> = new Set(['a', 'e', 'f']);
const REPEATS: readonly number[] = [0, 0.3, 0.6];
const RIVALS: readonly SideKey[] = ['a', 'b', 'c', 'f'];
/** What a start, a warm-up and the ends of three windows took at most, so that a round is not begun in vain (ms). */
const START_ALLOWANCE_MS = 90_000;

export async function runCourse(course: Course, signal: AbortSignal): Promise<Material> {
  return await new Running(course, signal).run();
}

class Running {
  readonly #course: Course;
  readonly #signal: AbortSignal;
  readonly #startedMs = performance.now();
  readonly #windows: Window[] = [];
  readonly #repeats: { readonly repeats: number; readonly window: Window }[] = [];
  /** Sides that broke while they were at work, and why. */
  readonly #broken = new Map<SideKey, string>();
  /** Sides that were started with the published trace: they stay, idle, while others work. */
  readonly #runners = new Map<SideKey, Runner>();
  #baseSpeed: number | null = null;

  constructor(course: Course, signal: AbortSignal) {
    this.#course = course;
    this.#signal = signal;
  }

  async run(): Promise<Material> {
    try {
      return await this.#play();
    } finally {
      for (const runner of this.#runners.values()) await runner[Symbol.asyncDispose]();
    }
  }

  async #play(): Promise<Material> {
    const { isQuick, rounds, speeds } = this.#course;
    if (isQuick) return await this.#quick();
    if (speeds === null) await this.#search();
    const own = this.#capacityOf('e');
    for (let round = 0; round < rounds; round++) {
      if (round === Math.max(1, rounds - 1)) await this.#otherRepeats();
      if (!(await this.#round(round, speeds ?? this.#multiples(), speeds === null ? own : null))) break;
    }
    if (rounds === 1) await this.#otherRepeats();
    return this.#material();
  }

  async #quick(): Promise<Material> {
    const { sides, speeds, walls } = this.#course;
    const speed = speeds?.[0] ?? QUICK_LINES_PER_SECOND / this.#linesPerSecond();
    const oursFirst = sides.toSorted((one, other) => Number(other.key === 'e') - Number(one.key === 'e'));
    for (const side of oursFirst) {
      if (this.#leftMs() < QUICK_SIDE_MS) {
        this.#course.say(`${side.key} ${side.name}: no time is left for it in a quick run`);
        continue;
      }
      await this.#withSide(side, this.#course.trace, 0, async (runner) => {
        await this.#window(runner, { part: PARTS.rounds, round: 0, speed, wallMs: walls.quickMs });
      });
    }
    return this.#material();
  }

  /** Rivals first: each begins where its neighbour ended. */
  async #search(): Promise<void> {
    const { sides, trace, walls } = this.#course;
    const rate = this.#linesPerSecond();
    let firstSpeed = FIRST_LINES_PER_SECOND / rate;
    for (const [place, side] of sides.entries()) {
      const isClose = CLOSE.has(side.key);
      const limits: SearchLimits = {
        firstSpeed,
        factor: isClose ? 2 : 1.5,
        resolution: isClose ? 1.25 : 1.5,
        leastSpeed: LEAST_LINES_PER_SECOND / rate,
        // A window must fit into the trace.
        mostSpeed: (trace.header.durationMs - this.#warmUp(trace).untilMs) / walls.searchMs,
        probesMax: isClose ? 8 : 5,
      };
      const endsMs = this.#course.limitMs * SEARCH_SHARE * ((place + 1) / sides.length);
      await this.#withSide(side, trace, 0, (runner) => this.#searchOf(runner, limits, endsMs));
      firstSpeed = this.#capacityOf(side.key) ?? firstSpeed;
    }
    this.#baseSpeed = this.#bestRivalSpeed() ?? LEAST_LINES_PER_SECOND / rate;
  }

  /** Begins no window after `endsMs` of the run but the first. */
  async #searchOf(runner: Runner, limits: SearchLimits, endsMs: number): Promise<void> {
    const probes: Probe[] = [];
    const which = { part: PARTS.search, round: 0, wallMs: this.#course.walls.searchMs };
    let speed = nextSpeed(probes, limits);
    while (speed !== null && (probes.length === 0 || this.#course.limitMs - this.#leftMs() < endsMs)) {
      const { isCut, lines } = await this.#window(runner, { ...which, speed });
      // A window without lines broke nothing; that it says nothing either is seen where capacities are read.
      const { goodShare } = figuresOf(lines);
      probes.push({ speed, holds: !isCut && !(goodShare < HOLD_SHARE) });
      speed = nextSpeed(probes, limits);
    }
  }

  /** False when there was no time for it. */
  async #round(round: number, speeds: readonly number[], own: number | null): Promise<boolean> {
    const { sides, trace, walls, say } = this.#course;
    const wallMs = (place: number) => walls.roundMs[place] ?? walls.roundMs.at(-1) ?? 0;
    const lengthMs = speeds.reduce((sum, _speed, place) => sum + wallMs(place), START_ALLOWANCE_MS);
    if (round > 0 && this.#leftMs() < lengthMs * sides.length) {
      say(`no time is left for round ${round + 1}`);
      return false;
    }
    // Each round asks other lines than the one before.
    const offsetMs = round * speeds.reduce((sum, speed, place) => sum + speed * wallMs(place), 0);
    for (const side of orderOf(sides, round)) {
      const isKnown = own === null || speeds.some((speed) => Math.abs(speed / own - 1) < 0.1);
      const all = side.key === 'e' && !isKnown ? [...speeds, own] : speeds;
      await this.#withSide(side, trace, offsetMs, async (runner) => {
        for (const [place, speed] of all.entries())
          await this.#window(runner, { part: PARTS.rounds, round, speed, wallMs: wallMs(place) });
      });
    }
    return true;
  }

  /** The best rival and Greenroom once more, where only the share of repeated questions differs. */
  async #otherRepeats(): Promise<void> {
    const { sides, walls, traceOf } = this.#course;
    const best = RIVALS.toSorted(
      (one, other) => (this.#capacityOf(other) ?? 0) - (this.#capacityOf(one) ?? 0),
    )[0];
    const speed = this.#baseSpeed;
    if (speed === null || this.#repeats.length > 0) return;
    for (const repeats of REPEATS) {
      const trace = await traceOf(repeats, this.#signal);
      for (const side of sides.filter(({ key }) => key === best || key === 'e')) {
        if (this.#leftMs() < walls.repeatsMs + START_ALLOWANCE_MS) return;
        const which = {
          part: PARTS.repeats,
          round: 0,
          speed: (2 * speed * this.#linesPerSecond()) / linesPerSecond(trace),
          wallMs: walls.repeatsMs,
        };
        await this.#withSide(side, trace, 0, async (runner) => {
          const window = await runner.window(which, false);
          this.#tell(window, `${repeats} repeats`);
          this.#repeats.push({ repeats, window });
        });
      }
    }
    this.#course.keep(this.#material());
  }

  #multiples(): number[] {
    const base = this.#baseSpeed ?? 1;
    return MULTIPLES.map((multiple) => multiple * base);
  }

  async #window(runner: Runner, which: Parameters<Runner['window']>[0]): Promise<Window> {
    const window = await runner.window(which, which.part === PARTS.search);
    this.#windows.push(window);
    this.#tell(window, `${which.part} ${which.round + 1}`);
    this.#course.keep(this.#material());
    return window;
  }

  #tell({ side, speed, lines, wallMs, isCut, faults }: Window, what: string): void {
    const { asked, judged, good, stoodIn, late, failed, ttfsP50Ms, ttfsP95Ms } = figuresOf(lines);
    const rate = asked / (wallMs / 1_000);
    const failure = lines.find(({ verdict }) => verdict === 'failed')?.outcome?.failure ?? faults[0];
    this.#course.say(
      `${what.padEnd(12)} ${side}  ${speed.toFixed(2).padStart(6)}x  ${rate.toFixed(2).padStart(6)} lines/s asked  ${isCut ? 'cannot hold it' : `${good} of ${judged} good, ${stoodIn} stood in, ${late} late, ${failed} failed; first sentence p50 ${Math.round(ttfsP50Ms)} ms, p95 ${Math.round(ttfsP95Ms)} ms`}${failure === undefined ? '' : `; ${failure.slice(0, 160)}`}`,
    );
  }

  /** Lets one side work, from a fresh start to its end. One that breaks is left out from then on, and that is told. */
  async #withSide(
    side: Side,
    trace: Trace,
    offsetMs: number,
    work: (runner: Runner) => Promise<void>,
  ): Promise<void> {
    if (this.#broken.has(side.key)) return;
    const { stretch, untilMs } = this.#warmUp(trace);
    const room = { fromMs: untilMs, untilMs: trace.header.durationMs };
    const { folder, say, isQuick } = this.#course;
    const isMain = trace === this.#course.trace;
    const runner =
      (isMain ? this.#runners.get(side.key) : undefined) ??
      new Runner(
        side,
        {
          ...{ trace, warmUp: isQuick ? stretch : null, room, offsetMs, folder },
          greetEveryMs: this.#course.walls.greetEveryMs,
        },
        this.#signal,
      );
    if (isMain) this.#runners.set(side.key, runner);
    await using _other = isMain ? null : runner;
    try {
      await work(runner);
    } catch (error) {
      this.#signal.throwIfAborted();
      const reason = (error as Error).message.slice(0, 300);
      this.#broken.set(side.key, reason);
      say(`${side.key} ${side.name} broke and is left out: ${reason}`);
    }
  }

  /** The beginning of the trace: the same few lines for every start of every side. */
  #warmUp({ header, entries }: Trace) {
    const { isQuick, walls } = this.#course;
    const { lines, wallMs } = isQuick ? QUICK_WARM_UP : { lines: WARM_UP_LINES, wallMs: walls.warmUpMs };
    const untilMs = (saysOf(entries)[lines - 1]?.atMs ?? header.durationMs) + 1;
    return { stretch: { fromMs: 0, speed: untilMs / wallMs, wallMs }, untilMs };
  }

  #linesPerSecond(): number {
    return linesPerSecond(this.#course.trace);
  }

  #capacityOf(key: SideKey): number | null {
    return capacityOfWindows(this.#windows.filter(({ side }) => side === key))?.speed ?? null;
  }

  /** Null when no rival held any speed. */
  #bestRivalSpeed(): number | null {
    const held = RIVALS.flatMap((key) => this.#capacityOf(key) ?? []);
    return held.length === 0 ? null : Math.max(...held);
  }

  #leftMs(): number {
    return this.#course.limitMs - (performance.now() - this.#startedMs);
  }

  #material(): Material {
    const { sides, absent, isQuick } = this.#course;
    const broken = sides.flatMap(({ key, name }) => {
      const reason = this.#broken.get(key);
      return reason === undefined ? [] : [{ key, name, reason: `it broke: ${reason}` }];
    });
    return {
      sides,
      absent: [...absent, ...broken],
      windows: [...this.#windows],
      baseSpeed: this.#baseSpeed ?? (isQuick ? null : this.#bestRivalSpeed()),
      repeats: [...this.#repeats],
    };
  }
}

/** Of the trace at its own pace. */
function linesPerSecond({ header, entries }: Trace): number {
  return saysOf(entries).length / (header.durationMs / 1_000);
}
