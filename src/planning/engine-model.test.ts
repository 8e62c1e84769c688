/** The arithmetic of an engine against closed forms, and what more engines and more load must do to it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { EngineModel, type EnginePace } from './engine-model.ts';
import { SeededRandom } from './seeded-random.ts';
import { VirtualClock } from './virtual-clock.ts';

const PACE: EnginePace = {
  overheadMs: 0,
  prefillMsPerToken: 1,
  stepMs: 10,
  stepMsPerSequence: 2,
  sequencesMax: 8,
  prefillTokensPerStep: 1_000_000,
  prefixTokens: 0,
};

function stage(pace: Partial<EnginePace> = {}) {
  const random = new SeededRandom('engine');
  const clock = new VirtualClock({ random, latenessMaxMs: 0, remembersSetters: false });
  return { clock, engine: new EngineModel({ ...PACE, ...pace }, clock), random };
}

/** Starts one job and says when each of its marks came. */
function begin(
  { clock, engine }: Pick<ReturnType<typeof stage>, 'clock' | 'engine'>,
  promptTokens: number,
  answerTokens: number,
  promptBlocks: readonly number[] = [],
) {
  const startedMonoMs = clock.monotonicMs();
  const atMs: number[] = [];
  const marks = answerTokens === 1 ? [1] : [1, answerTokens];
  const job = engine.start({
    promptTokens,
    promptBlocks,
    marks,
    onMark: () => atMs.push(clock.monotonicMs() - startedMonoMs),
  });
  return { job, atMs };
}

const near = (found: number | undefined, wanted: number, within: number) =>
  assert.ok(Math.abs((found ?? Number.NaN) - wanted) <= within, `${found} is not ${wanted} ± ${within}`);

test('one line alone takes the read of its prompt and one step a token', async () => {
  const world = stage();
  const { atMs } = begin(world, 90, 11);
  await world.clock.run(() => atMs.length === 2, 10_000);
  // 10 + 90 × 1, then ten steps of 10 + 2.
  near(atMs[0], 100, 1);
  near(atMs[1], 100 + 10 * 12, 1);
});

test('lines that decode together share the steps, and a step is longer for each of them', async () => {
  const world = stage();
  const lines = Array.from({ length: 4 }, () => begin(world, 10, 51));
  await world.clock.run(() => lines.every(({ atMs }) => atMs.length === 2), 100_000);
  // The first is read alone, the other three with the next step; then four decode at 10 + 4 × 2.
  for (const { atMs } of lines) near((atMs[1] ?? 0) - (atMs[0] ?? 0), 50 * 18, 40);
});

test('what the prefix cache holds is not read again', async () => {
  const world = stage({ prefixTokens: 1_600 });
  const blocks = Array.from({ length: 10 }, (_, at) => at);
  const cold = begin(world, 170, 1, blocks);
  await world.clock.run(() => cold.atMs.length === 1, 10_000);
  const warm = begin(world, 170, 1, blocks);
  await world.clock.run(() => warm.atMs.length === 1, 10_000);
  near(cold.atMs[0], 180, 1);
  near(warm.atMs[0], 20, 1);
  assert.equal(warm.job.cachedTokens, 160);
});

test('a line that is given up frees its place', async () => {
  const world = stage({ sequencesMax: 1 });
  const gone = begin(world, 10, 1_000);
  const waits = begin(world, 10, 1);
  await world.clock.run(() => gone.atMs.length === 1, 10_000);
  assert.equal(world.engine.waiting, 1);
  gone.job[Symbol.dispose]();
  await world.clock.run(() => waits.atMs.length === 1, 1_000);
  assert.equal(waits.atMs.length, 1);
  assert.equal(world.engine.running, 0);
});

test('prompts alone are a queue with one server: the wait is that of M/D/1', async () => {
  // Answers of one token and one line at a time: each takes 100 + 90 × 10 ms, and nothing overlaps.
  const serviceMs = 1_000;
  const lines = 3_000;
  const meanWaitMs = async (load: number, seed: number) => {
    const world = stage({ sequencesMax: 1, stepMs: 100, prefillMsPerToken: 10 });
    const random = world.random.fork(`load ${load}, ${seed}`);
    let ended = 0;
    let waitedMs = 0;
    let begun = 0;
    const arrive = () => {
      if (begun >= lines) return;
      begun += 1;
      const atMonoMs = world.clock.monotonicMs();
      world.engine.start({
        promptTokens: 90,
        promptBlocks: [],
        marks: [1],
        onMark: () => {
          ended += 1;
          waitedMs += world.clock.monotonicMs() - atMonoMs - serviceMs;
        },
      });
      world.clock.timer((-Math.log(1 - random.next()) * serviceMs) / load, arrive);
    };
    arrive();
    await world.clock.run(() => ended === lines, 1e9);
    return waitedMs / lines;
  };
  for (const load of [0.3, 0.6, 0.8]) {
    // One run of so many lines may be off by 10 %; six together by 4 %.
    let sumMs = 0;
    for (let seed = 0; seed < 6; seed++) sumMs += await meanWaitMs(load, seed);
    // Pollaczek–Khinchine for a fixed service time: W = ρ s / (2 (1 − ρ)).
    const wanted = (load * serviceMs) / (2 * (1 - load));
    near(sumMs / 6, wanted, wanted * 0.1);
  }
});

test('steps that are taken together end where steps one by one would', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.record({ atMs: fc.integer({ min: 0, max: 400 }), prompt: fc.integer({ min: 1, max: 80 }) }),
        { minLength: 1, maxLength: 6 },
      ),
      async (arrivals) => {
        const play = async (marksOf: (tokens: number) => readonly number[]) => {
          const world = stage({ stepMs: 7, stepMsPerSequence: 3, prefillTokensPerStep: 32 });
          const ends: number[] = [];
          for (const { atMs, prompt } of arrivals)
            world.clock.timer(atMs, () => {
              world.engine.start({
                promptTokens: prompt,
                promptBlocks: [],
                marks: marksOf(20),
                onMark: (mark) => void (mark === 20 && ends.push(world.clock.monotonicMs())),
              });
            });
          await world.clock.run(() => ends.length === arrivals.length, 1e7);
          return { ends, busyMs: world.engine.work.busyMs };
        };
        const together = await play((tokens) => [tokens]);
        const oneByOne = await play((tokens) => Array.from({ length: tokens }, (_, at) => at + 1));
        // Who comes at the very end of a step is in the next one or the one after it.
        const stepMs = 7 + 3 * arrivals.length + 32;
        near(together.busyMs, oneByOne.busyMs, stepMs * arrivals.length);
        for (const [at, endMs] of together.ends.entries())
          near(endMs, oneByOne.ends[at] as number, 2 * stepMs);
      },
    ),
    { numRuns: 60 },
  );
});
