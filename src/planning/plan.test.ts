/** Small games planned whole: the same seed is the same plan, more load needs more, and the report says what was done. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { figuresOf, type WindowFigures } from './figures.ts';
import { readPlan } from './options.ts';
import { makePlan } from './plan.ts';
import { planAsJson, planAsText } from './report.ts';
import { playWindow } from './window.ts';

const never = new AbortController().signal;
const SHORT = { warmUpS: 10, settledS: 10, burstS: 10 };

async function windowOf(values: Readonly<Record<string, unknown>>, engines: number): Promise<WindowFigures> {
  const { options, workload, engineClass, cloud } = readPlan({ ...SHORT, ...values }, 'test');
  const window = await playWindow(
    {
      ...{ workload, engineClass, engines, cloud, hasRecall: options.cache, seed: options.seed },
      ...{ warmUpMs: options.warmUpS * 1_000, burstMs: options.burstS * 1_000 },
    },
    never,
  );
  return figuresOf(window, options.firstSentenceMs);
}

test('the same seed is the same plan to the last byte, and another seed is another', async () => {
  const plan = async (seed: number) => {
    const made = await makePlan(readPlan({ ...SHORT, players: 150, seed }, 'test'), () => {}, never);
    return `${planAsText(made).join('\n')}\n${JSON.stringify(planAsJson(made))}`;
  };
  const first = await plan(1);
  assert.equal(await plan(1), first);
  assert.notEqual(await plan(2), first);
});

test('with more engines more lines are in time, and none are worse off by far', async () => {
  const few = await windowOf({ players: 500, engine: 'rtx-4090' }, 1);
  const many = await windowOf({ players: 500, engine: 'rtx-4090' }, 3);
  const worst = ({ tiers }: WindowFigures) => Math.min(...tiers.map(({ inTime }) => inTime));
  assert.ok(worst(many) > worst(few), `${worst(many)} with 3 engines, ${worst(few)} with 1`);
});

test('more load makes first sentences later', async () => {
  const calm = await windowOf({ players: 50, engine: 'rtx-4090' }, 1);
  const pressed = await windowOf({ players: 300, engine: 'rtx-4090' }, 1);
  const p95 = ({ tiers }: WindowFigures) => Math.max(...tiers.map((tier) => tier.ttfsP95Ms ?? 0));
  assert.ok(p95(pressed) > p95(calm), `${p95(pressed)} ms against ${p95(calm)} ms`);
});

test('a cloud that some tiers ask first costs money, and engines then have less to do', async () => {
  const own = await windowOf({ players: 200 }, 1);
  const mixed = await windowOf({ players: 200, cloud: { first: [3, 4] } }, 1);
  assert.equal(own.sources.cloud, 0);
  assert.equal(own.cloudMicroUsdPerLine, 0);
  assert.ok(mixed.sources.cloud > 0.03, `${mixed.sources.cloud}`);
  assert.ok(mixed.cloudMicroUsdPerLine > 0);
  const sum = Object.values(mixed.sources).reduce((total, share) => total + share, 0);
  assert.ok(Math.abs(sum - 1) < 1e-9);
});

test('without the dialogue cache nothing comes from it', async () => {
  const values = { players: 150, repeats: 1, ownStories: 0, turnsMean: 1, npcs: { 1: 4, 2: 2, 3: 1, 4: 1 } };
  const withCache = await windowOf(values, 1);
  const without = await windowOf({ ...values, cache: false }, 1);
  assert.ok(withCache.sources.cache > 0.02, `${withCache.sources.cache} came from the cache`);
  assert.equal(without.sources.cache, 0);
});

test('a game larger than a cell is played as equal cells, and the report says so', async () => {
  const progress: number[] = [];
  const input = readPlan({ ...SHORT, players: 400, cellPlayers: 100 }, 'test');
  const plan = await makePlan(input, ({ engines }) => progress.push(engines), never);
  assert.equal(plan.cells, 4);
  assert.equal(plan.engines, 4 * plan.figures.engines);
  assert.ok(progress.length > 0);
  assert.match(
    planAsText(plan).join('\n'),
    /4 equal cells of 100 players and \d+ engines, one of them played/,
  );
});

test('engines that cannot hold are told as not enough', async () => {
  const input = readPlan({ ...SHORT, players: 500, engine: 'rtx-4090', enginesMax: 1 }, 'test');
  const plan = await makePlan(input, () => {}, never);
  assert.equal(plan.holds, false);
  assert.match(planAsText(plan).join('\n'), /^Not enough: even 1 × rtx-4090/m);
});

test('a class that is too slow for a line alone is told as such, whatever the number', async () => {
  const plan = await makePlan(
    readPlan({ ...SHORT, players: 500, engine: 'laptop-cpu' }, 'test'),
    () => {},
    never,
  );
  assert.equal(plan.holds, false);
  assert.equal(plan.isTooSlow, true);
  assert.equal(plan.cost, null, 'a laptop has no price');
  const text = planAsText(plan).join('\n');
  assert.match(text, /^Too slow: .*laptop-cpu/m);
  assert.match(text, /give --usd-per-engine-hour/);
});

test('a plan that nobody waits for ends with the reason', async () => {
  const leave = new AbortController();
  const left = makePlan(readPlan(SHORT, 'test'), () => {}, leave.signal);
  leave.abort(new Error('enough'));
  await assert.rejects(left, /enough/);
});
