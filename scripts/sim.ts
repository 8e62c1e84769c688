/**
 * `npm run sim`: plays seeds in the simulator. `-- --seed 17` replays one, event by event; `-- --seeds 1000` plays those that
 * failed once and then so many from `--from` on; `-- --hours 1` plays new seeds for an hour on the clock of the wall, each
 * four times the usual length. `--workers 2` shares the seeds between processes, `--keep` writes what fails to
 * tests/seeds. Ends with code 1 when anything was broken.
 */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { keepSeed, keptSeeds } from '../src/testing/simulation/kept-seeds.ts';
import { createWorld, type Simulated, simulate, type World } from '../src/testing/simulation/simulate.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    seeds: { type: 'string' },
    from: { type: 'string' },
    hours: { type: 'string' },
    length: { type: 'string' },
    workers: { type: 'string', default: '1' },
    /** Leaves out those that failed once: another worker plays them. */
    new: { type: 'boolean', default: false },
    keep: { type: 'boolean', default: false },
    quiet: { type: 'boolean', default: false },
  },
});

/** A soak gives leaks that grow with the number of requests a chance to show. */
const SOAK_LENGTH = 4;
const TELL_EVERY_MS = 10_000;
const BROKEN_SEEDS_MAX = 20;

const interrupt = new AbortController();
process.once('SIGINT', () => interrupt.abort());
const workers = Number(values.workers);
process.exitCode = (await (workers > 1 ? shared(workers) : alone())) > 0 ? 1 : 0;

async function alone(): Promise<number> {
  const world = await createWorld(interrupt.signal);
  return values.seed === undefined ? await many(world) : await one(world, Number(values.seed));
}

/** So many processes, each with its part of the seeds. Resolves to how many of them found something broken. */
async function shared(count: number): Promise<number> {
  const from = Number(values.from ?? (values.hours === undefined ? 1 : Date.now() % 1_000_000_000));
  const seeds = values.hours === undefined ? Math.ceil(Number(values.seeds ?? 100) / count) : 1_000_000;
  const exits = Array.from({ length: count }, async (_, worker) => {
    const part = ['--from', String(from + worker * seeds), ...(worker === 0 ? [] : ['--new'])];
    const rest = values.hours === undefined ? ['--seeds', String(seeds)] : ['--hours', values.hours];
    const flags = values.keep ? ['--keep'] : [];
    const child = spawn(process.execPath, [fileURLToPath(import.meta.url), ...part, ...rest, ...flags], {
      stdio: 'inherit',
    });
    return await new Promise<number>((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code) => resolve(code === 0 ? 0 : 1));
    });
  });
  return (await Promise.all(exits)).reduce((sum, code) => sum + code, 0);
}

async function one(shared: World, seed: number): Promise<number> {
  const result = await simulate(seed, {
    world: shared,
    onLine: values.quiet ? null : (line) => console.log(line),
    length: Number(values.length ?? 1),
  });
  console.log(JSON.stringify({ seed, mood: result.scenario.mood, digest: result.digest, ...result.figures }));
  report(result, Number(values.length ?? 1));
  return result.violations.length > 0 ? 1 : 0;
}

interface Round {
  readonly seed: number;
  readonly length: number;
}

/** Those that failed once, then new ones. */
function* rounds(from: number, count: number, length: number): Generator<Round> {
  if (!values.new) yield* keptSeeds();
  for (let seed = from; seed < from + count; seed++) yield { seed, length };
}

async function many(shared: World): Promise<number> {
  const hours = values.hours === undefined ? null : Number(values.hours);
  const startedMs = performance.now();
  const untilMs = hours === null ? Infinity : startedMs + hours * 3_600_000;
  const count = hours === null ? Number(values.seeds ?? 100) : Infinity;
  const length = Number(values.length ?? (hours === null ? 1 : SOAK_LENGTH));
  // A soak looks where nobody has looked before.
  const from = Number(values.from ?? (hours === null ? 1 : Date.now() % 1_000_000_000));
  const total = {
    lines: 0,
    fromEngines: 0,
    fromWritten: 0,
    hungUp: 0,
    generations: 0,
    faults: 0,
    virtualMs: 0,
  };
  let played = 0;
  let failed = 0;
  let toldMs = startedMs;
  for (const round of rounds(from, count, length)) {
    if (performance.now() > untilMs || interrupt.signal.aborted || failed === BROKEN_SEEDS_MAX) break;
    const result = await simulate(round.seed, { world: shared, onLine: null, length: round.length });
    played += 1;
    for (const key of Object.keys(total) as (keyof typeof total)[]) total[key] += result.figures[key];
    if (result.violations.length > 0) {
      failed += 1;
      report(result, round.length);
    }
    if (performance.now() - toldMs < TELL_EVERY_MS) continue;
    toldMs = performance.now();
    console.error(
      `${played} seeds, ${failed} broken, ${Math.round((toldMs - startedMs) / 1000)} s, ${Math.round(process.memoryUsage().rss / 1_048_576)} MB`,
    );
  }
  const seconds = (performance.now() - startedMs) / 1000;
  const { virtualMs, ...counts } = total;
  console.log(
    `${played} seeds, from ${from} on: ${failed} broken; ${(virtualMs / 3_600_000).toFixed(1)} h of play in ${seconds.toFixed(1)} s`,
  );
  console.log(JSON.stringify(counts));
  return failed;
}

function report({ seed, violations, scenario }: Simulated, length: number): void {
  const [first] = violations;
  if (first === undefined) return;
  console.log(`seed ${seed} (${scenario.mood}) breaks "${first.rule}": ${first.what}`);
  if (violations.length > 1) console.log(`  and ${violations.length - 1} more`);
  console.log(`  replay it: npm run sim -- --seed ${seed}${length === 1 ? '' : ` --length ${length}`}`);
  if (values.keep) console.log(`  kept in ${keepSeed({ seed, length, broke: first.rule, why: first.what })}`);
}
