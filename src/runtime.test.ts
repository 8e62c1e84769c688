import assert from 'node:assert/strict';
import { test } from 'node:test';
import { realRuntime } from './runtime.ts';

test('ids made later sort later and carry their prefix', async () => {
  const first = realRuntime.random.id('dlg');
  await realRuntime.clock.sleep(2, new AbortController().signal);
  const second = realRuntime.random.id('dlg');
  assert.match(first, /^dlg_[0-9A-HJKMNP-TV-Z]{26}$/);
  assert.ok(first < second);
});

test('an aborted sleep rejects with the reason of the signal', async () => {
  const controller = new AbortController();
  const sleeping = realRuntime.clock.sleep(60_000, controller.signal);
  const reason = new Error('enough');
  controller.abort(reason);
  await assert.rejects(sleeping, reason);
});

test('a disposed timer never calls back', async () => {
  let called = false;
  realRuntime.clock
    .timer(1, () => {
      called = true;
    })
    [Symbol.dispose]();
  await realRuntime.clock.sleep(5, new AbortController().signal);
  assert.equal(called, false);
});

test('no two ids are the same, also when the pool of entropy is drawn anew', () => {
  const ids = Array.from({ length: 2_000 }, () => realRuntime.random.id('x'));
  assert.equal(new Set(ids).size, ids.length);
});
