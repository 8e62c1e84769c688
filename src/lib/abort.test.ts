import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import test from 'node:test';
import { abortable, linkSignals } from './abort.ts';

const listeners = (signal: AbortSignal) => getEventListeners(signal, 'abort').length;

test('a link aborts with the reason of the first parent, and leaves nothing on any of them', () => {
  const first = new AbortController();
  const second = new AbortController();
  using link = linkSignals(first.signal, second.signal);
  assert.equal(link.signal.aborted, false);
  const reason = new Error('deadline');
  second.abort(reason);
  assert.equal(link.signal.reason, reason);
  assert.deepEqual([listeners(first.signal), listeners(second.signal)], [0, 0]);
  first.abort(new Error('too late'));
  assert.equal(link.signal.reason, reason);
});

test('a link to a parent that is aborted already is aborted, and unhooks from those before it', () => {
  const live = new AbortController();
  const reason = new Error('gone');
  using link = linkSignals(live.signal, AbortSignal.abort(reason));
  assert.equal(link.signal.reason, reason);
  link[Symbol.dispose]();
  assert.equal(listeners(live.signal), 0);
});

test('a disposed link hears no parent any more, but can be aborted by hand', () => {
  const parent = new AbortController();
  const link = linkSignals(parent.signal);
  link[Symbol.dispose]();
  parent.abort(new Error('unheard'));
  assert.equal(link.signal.aborted, false);
  const reason = new Error('by hand');
  link.abort(reason);
  assert.equal(link.signal.reason, reason);
});

test('abortable settles as the promise does, or at once with the reason, and unhooks either way', async () => {
  const controller = new AbortController();
  assert.equal(await abortable(Promise.resolve(7), controller.signal), 7);
  await assert.rejects(abortable(Promise.reject(new Error('own')), controller.signal), /own/);
  assert.equal(listeners(controller.signal), 0);
  const waiting = abortable(new Promise(() => {}), controller.signal);
  const reason = new Error('stop');
  controller.abort(reason);
  await assert.rejects(waiting, reason);
  assert.equal(listeners(controller.signal), 0);
  // A promise that fails after the abort must not become an unhandled rejection.
  await assert.rejects(abortable(Promise.reject(new Error('unseen')), controller.signal), reason);
});
