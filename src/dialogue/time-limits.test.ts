import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { GenerateEvent } from '../core/engine.ts';
import type { ServiceError } from '../core/errors.ts';
import { outcomeOf } from '../routing/outcome.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { TimeLimits } from './time-limits.ts';

const budget = { admitWithinMs: 50, firstTokenMs: 100, isFirstTokenOwn: true, gapMs: 20, totalMs: 1_000 };
const text: GenerateEvent = { type: 'text', text: 'a' };
const turn = () => new Promise(setImmediate);

function limited() {
  const clock = new ManualClock();
  const passed: string[] = [];
  const onPassed = ({ code, details }: ServiceError) => passed.push(`${code} ${String(details['phase'])}`);
  return { clock, passed, limits: new TimeLimits(budget, clock, onPassed) };
}

/** Events that come when they are told to. */
function feed() {
  const waiting: ((event: GenerateEvent) => void)[] = [];
  return {
    give: (event: GenerateEvent) => waiting.shift()?.(event),
    async *events() {
      for (;;) yield await new Promise<GenerateEvent>((resolve) => waiting.push(resolve));
    },
  };
}

test('the time to the first token begins with the place, and ends with the first word', async () => {
  const { clock, passed, limits } = limited();
  clock.advance(40);
  limits.admitted();
  const source = feed();
  const heard = limits.watch(source.events());
  const first = heard.next();
  clock.advance(99);
  await turn();
  source.give(text);
  await first;
  clock.advance(99);
  assert.deepEqual(passed, [], 'nobody asked for the next one');
  void heard.next();
  await turn();
  clock.advance(20);
  assert.deepEqual(passed, ['deadline_exceeded gap']);
  limits[Symbol.dispose]();
});

test('no first token in time is the engine that failed', () => {
  const { clock, passed, limits } = limited();
  limits.admitted();
  clock.advance(100);
  assert.deepEqual(passed, ['deadline_exceeded first_token']);
  limits[Symbol.dispose]();
  assert.equal(clock.waiting, 0);
});

test('a slow listener is not the fault of the engine', async () => {
  const { clock, passed, limits } = limited();
  limits.admitted();
  const source = feed();
  const heard = limits.watch(source.events());
  const first = heard.next();
  await turn();
  source.give(text);
  await first;
  for (let step = 0; step < 30; step += 1) clock.advance(20);
  assert.deepEqual(passed, []);
  clock.advance(400);
  assert.deepEqual(passed, ['deadline_exceeded total']);
  limits[Symbol.dispose]();
});

test('an engine that had only what a short deadline left it has not failed: the total passed', () => {
  const clock = new ManualClock();
  const passed: unknown[] = [];
  const cut = { admitWithinMs: 0, firstTokenMs: 16, isFirstTokenOwn: false, gapMs: 16, totalMs: 16 };
  using limits = new TimeLimits(cut, clock, ({ details }) => passed.push(details['phase']));
  limits.admitted();
  clock.advance(30);
  assert.deepEqual(passed, ['total']);
});

test('an engine that had only its share of a short deadline has not failed either: the rung below is asked', () => {
  const clock = new ManualClock();
  const passed: unknown[] = [];
  const cut = { admitWithinMs: 0, firstTokenMs: 16, isFirstTokenOwn: false, gapMs: 32, totalMs: 32 };
  using limits = new TimeLimits(cut, clock, (error) => {
    passed.push(error.details['phase'], outcomeOf(error).kind);
  });
  limits.admitted();
  clock.advance(20);
  assert.deepEqual(passed, ['share', 'left']);
});
