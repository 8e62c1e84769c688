import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ServiceError } from '../core/errors.ts';
import type { Transport } from '../core/transport.ts';
import { createTokenCounter, estimateTokens } from './token-counter.ts';

const never = new AbortController().signal;

/** An engine that gives these replies one after the other, the last one for ever. */
function engine(...replies: readonly (readonly [number, string] | Error)[]) {
  const asked: unknown[] = [];
  const transport: Transport = {
    exchange: async (request, signal) => {
      const reply = replies[Math.min(asked.length, replies.length - 1)];
      asked.push(JSON.parse(String(request.body)));
      signal.throwIfAborted();
      assert.ok(reply !== undefined);
      if (reply instanceof Error) throw reply;
      const body = (async function* () {
        yield Buffer.from(reply[1]);
      })();
      return { status: reply[0], headers: {}, body };
    },
    [Symbol.asyncDispose]: async () => {},
  };
  return { asked, counter: createTokenCounter({ transport: () => transport, model: 'm' }) };
}

test('a text is counted by the engine once', async () => {
  const { asked, counter } = engine([200, '{"count":4,"tokens":[1,2,3,4]}']);
  assert.equal(await counter.count('You are Vesk.', never), 4);
  assert.equal(await counter.count('You are Vesk.', never), 4);
  assert.deepEqual(asked, [{ model: 'm', prompt: 'You are Vesk.', add_special_tokens: false }]);
});

test('nothing is no tokens, without asking', async () => {
  const { asked, counter } = engine([200, '{"count":1}']);
  assert.equal(await counter.count('', never), 0);
  assert.deepEqual(asked, []);
});

test('an engine that is down, refuses or talks nonsense gives the estimate, and is asked again', async () => {
  const text = 'You keep a pawn shop.';
  const { asked, counter } = engine(
    new ServiceError('engine_unavailable', 'down'),
    [503, '{"error":"busy"}'],
    [200, '<html>'],
    [200, '{}'],
    [200, '{"count":-1}'],
    [200, '{"count":"6"}'],
    [200, `{"count":6,"tokens":"${'x'.repeat(1_100_000)}"}`],
    [200, '{"count":6}'],
  );
  for (let time = 0; time < 7; time += 1)
    assert.equal(await counter.count(text, never), estimateTokens(text));
  assert.equal(await counter.count(text, never), 6);
  assert.equal(asked.length, 8);
});

test('who has gone is told so', async () => {
  const reason = new Error('gone');
  const { counter } = engine([200, '{"count":1}']);
  await assert.rejects(counter.count('x', AbortSignal.abort(reason)), (error) => error === reason);
});

test('so many texts are kept that a cast fits, and no more', async () => {
  const { asked, counter } = engine([200, '{"count":1}']);
  for (let text = 0; text < 4_097; text += 1) await counter.count(`text ${text}`, never);
  await counter.count('text 4096', never);
  assert.equal(asked.length, 4_097);
  await counter.count('text 0', never);
  assert.equal(asked.length, 4_098);
});

test('the estimate grows with the bytes', () => {
  assert.equal(estimateTokens(''), 0);
  assert.equal(estimateTokens('abc'), 1);
  assert.ok(estimateTokens('月月月') >= 3);
});
