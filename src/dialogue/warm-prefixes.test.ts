import assert from 'node:assert/strict';
import test from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { AdapterKeeper, AdapterLease } from '../core/adapter.ts';
import { anAsk, hear, say, type World, world } from '../testing/dialogue-world.ts';
import { NO_ADAPTERS } from '../testing/no-adapters.ts';
import { RecentPrefixes } from './recent-prefixes.ts';
import { Prompts } from './script.ts';
import { WarmPrefixes } from './warm-prefixes.ts';

const line = () => say('The bells rang for nobody. ');

function warmer(made: World, adapters: Pick<AdapterKeeper, 'resolve' | 'lease'> = NO_ADAPTERS) {
  const { cast, tiers, clock, log, tasks, recallKey } = made.parts;
  const results: string[] = [];
  const prompts = new Prompts({ cast, defaultTemperature: 0.7, prefixes: new RecentPrefixes() });
  const warm = new WarmPrefixes({
    ...{ cast, tiers, clock, log, tasks, prompts, adapters, pools: recallKey.pools },
    onWarmUp: (engine, result) => void results.push(`${engine} ${result}`),
  });
  const settled = async () => {
    for (let look = 0; look < 200 && tasks.size > 0; look++) await delay(1);
    assert.equal(tasks.size, 0);
  };
  return { warm, results, settled };
}

test('a hint has the engine read what the next prompt begins with, once', async () => {
  const made = await world(line);
  const { warm, results, settled } = warmer(made);
  assert.equal(warm.hint('vey'), 'warming');
  await settled();
  assert.deepEqual(results, ['local warmed']);
  const [read] = made.engine.requests;
  assert.equal(read?.maxTokens, 1);
  assert.equal(warm.hint('vey'), 'warm');
  const { outcome } = await hear(made);
  assert.equal(outcome.source.kind, 'engine');
  const asked = made.engine.requests[1]?.messages ?? [];
  assert.deepEqual(asked.slice(0, read?.messages.length), read?.messages, 'word for word');
  assert.equal(made.engine.requests.length, 2);
});

test('while a prefix is read no line waits for it, and it is weighed as what it is', async () => {
  const reading = Promise.withResolvers<void>();
  const made = await world((call) => (call < 2 ? [{ wait: reading.promise }, ...line()] : line()));
  const { warm, settled } = warmer(made);
  // One place is left: what else came was late.
  const aLine = { ...anAsk(), wantedByMonoMs: Number.POSITIVE_INFINITY };
  for (let late = 0; late < 8; late++) {
    using place = await made.admission.acquire(aLine, never);
    place.late();
  }
  assert.equal(made.admission.places, 1);
  warm.hint('vey');
  for (let look = 0; look < 200 && made.engine.requests.length === 0; look++) await delay(1);
  assert.ok(made.admission.runningPromptTokens > 20, `${made.admission.runningPromptTokens} tokens`);
  using beside = await made.admission.acquire(aLine, never);
  assert.equal(beside.waitedMs < 1_000, true);
  reading.resolve();
  await settled();
});

test('what a player has just had read is warm already', async () => {
  const made = await world(line);
  const { warm } = warmer(made);
  warm.noted('vey@3/3', 'local');
  assert.equal(warm.hint('vey'), 'warm');
  assert.equal(made.engine.requests.length, 0);
});

test('where players wait nothing is warmed', async () => {
  const made = await world(line);
  const { warm, results, settled } = warmer(made);
  const places = await Promise.all([1, 2, 3].map(() => made.admission.acquire(anAsk(), never)));
  warm.hint('vey');
  await settled();
  assert.deepEqual(results, ['local busy']);
  assert.equal(made.engine.requests.length, 0);
  for (const place of places) place[Symbol.dispose]();
});

test('nobody, an engine that is away, and an adapter that is not there stay cold', async () => {
  const made = await world(line, { ready: false });
  const { warm } = warmer(made);
  assert.equal(warm.hint('nobody'), 'cold');
  assert.equal(warm.hint('vey'), 'cold');
  const adapted = await world(line, { adapter: 'lich' });
  assert.equal(warmer(adapted).warm.hint('vey'), 'cold');
});

test('an adapter that has come is warmed with its personas, under its lease', async () => {
  const made = await world(line, { adapter: 'lich' });
  const resolved = { id: 'lich@7', engineName: 'lich@7-00000000', generation: 1 };
  let held = 0;
  made.replica.residentAdapters = new Set([resolved.engineName]);
  const { warm, results, settled } = warmer(made, {
    resolve: () => resolved,
    lease: () => {
      held += 1;
      const address = { engineName: resolved.engineName } as AdapterLease['address'];
      const giveBack = () => {
        held -= 1;
      };
      return { adapter: resolved, address, lost: () => {}, [Symbol.dispose]: giveBack };
    },
  });
  warm.adaptersAt('local', ['ghoul@1']);
  assert.equal(made.parts.tasks.size, 0, 'nobody speaks with it');
  warm.adaptersAt('local', ['ghoul@1', 'lich@7']);
  await settled();
  assert.deepEqual(results, ['local warmed']);
  assert.equal(made.engine.requests[0]?.adapter?.engineName, resolved.engineName);
  assert.equal(held, 0);
  warm.adaptersAt('local', ['lich@7']);
  assert.equal(made.parts.tasks.size, 0, 'it was there before');
});

const never = new AbortController().signal;
