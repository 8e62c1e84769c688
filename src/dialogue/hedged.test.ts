import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { test } from 'node:test';
import type { GenerateEvent } from '../core/engine.ts';
import { ServiceError } from '../core/errors.ts';
import { abortable } from '../lib/abort.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { HEDGED } from './attempt.ts';
import { hedged, type Speaker } from './hedged.ts';

const finish: GenerateEvent = {
  type: 'finish',
  reason: 'stop',
  usage: { promptTokens: 1, cachedTokens: 0, completionTokens: 1, source: 'reported' },
};

/** Speaks once its gate opens; tells how it was stopped and whether it won. */
function speaker(name: string, gate: Promise<unknown>, seen: string[]): Speaker {
  return {
    onWon: () => seen.push(`${name} won`),
    async *speak(signal) {
      try {
        await abortable(gate, signal);
        yield { type: 'text', text: name };
        yield finish;
        seen.push(`${name} ended`);
      } catch (error) {
        seen.push(`${name} ${error === HEDGED ? 'hedged' : (error as Error).message}`);
        throw error;
      }
    },
  };
}

async function all(events: AsyncIterable<GenerateEvent>): Promise<string[]> {
  const texts: string[] = [];
  for await (const event of events) texts.push(event.type === 'text' ? event.text : event.type);
  return texts;
}

const turn = () => new Promise(setImmediate);
const never = new Promise<never>(() => {});

test('the first alone is asked when it is in time', async () => {
  const seen: string[] = [];
  const clock = new ManualClock();
  const { signal } = new AbortController();
  const second = () => assert.fail('not asked');
  const events = hedged(speaker('one', Promise.resolve(), seen), 50, second, clock, signal);
  assert.deepEqual(await all(events), ['one', 'finish']);
  assert.deepEqual(seen, ['one won', 'one ended']);
  assert.equal(clock.waiting, 0);
  assert.deepEqual(getEventListeners(signal, 'abort'), []);
});

test('a late first is stopped when the second speaks', async () => {
  const seen: string[] = [];
  const clock = new ManualClock();
  const { signal } = new AbortController();
  const second = () => speaker('two', Promise.resolve(), seen);
  const heard = all(hedged(speaker('one', never, seen), 50, second, clock, signal));
  await turn();
  clock.advance(50);
  assert.deepEqual(await heard, ['two', 'finish']);
  assert.deepEqual(seen, ['one hedged', 'two won', 'two ended']);
  assert.deepEqual(getEventListeners(signal, 'abort'), []);
});

test('a second that fails leaves the line to the first, and both failures give the first one', async () => {
  const seen: string[] = [];
  const clock = new ManualClock();
  const { signal } = new AbortController();
  const gate = Promise.withResolvers<void>();
  const fails = (name: string) => speaker(name, Promise.reject(new ServiceError('engine_error', name)), seen);
  const heard = all(hedged(speaker('one', gate.promise, seen), 50, () => fails('two'), clock, signal));
  await turn();
  clock.advance(50);
  await turn();
  gate.resolve();
  assert.deepEqual(await heard, ['one', 'finish']);
  const both = hedged(fails('three'), 50, () => null, clock, signal);
  await assert.rejects(all(both), /three/);
  assert.deepEqual(getEventListeners(signal, 'abort'), []);
});

test('who hangs up stops both', async () => {
  const seen: string[] = [];
  const clock = new ManualClock();
  const controller = new AbortController();
  const second = () => speaker('two', never, seen);
  const heard = all(hedged(speaker('one', never, seen), 50, second, clock, controller.signal));
  await turn();
  clock.advance(50);
  await turn();
  controller.abort(new Error('gone'));
  await assert.rejects(heard, /gone/);
  assert.deepEqual(seen.toSorted(), ['one gone', 'two gone']);
  assert.deepEqual(getEventListeners(controller.signal, 'abort'), []);
});
