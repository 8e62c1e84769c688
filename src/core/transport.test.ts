import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readBody } from './transport.ts';

/** Gives these pieces; `returned` tells whether the reader left before the end. */
function body(...pieces: readonly string[]) {
  const state = { given: 0, returned: false };
  async function* give() {
    let isWhole = false;
    try {
      for (const piece of pieces) {
        state.given += 1;
        yield Buffer.from(piece);
      }
      isWhole = true;
    } finally {
      state.returned = !isWhole;
    }
  }
  return { state, bytes: give() };
}

test('a body is read whole, whatever its pieces', async () => {
  assert.equal((await readBody(body().bytes, 0)).length, 0);
  assert.equal((await readBody(body('gr', 'ü', '', 'ß').bytes, 6)).toString('utf8'), 'grüß');
});

test('a body may be as long as the limit, and not a byte longer; then the rest is not read', async () => {
  assert.equal((await readBody(body('abc', 'def').bytes, 6)).length, 6);
  const { state, bytes } = body('abc', 'def', 'g', 'h');
  await assert.rejects(readBody(bytes, 6), /body over 6 bytes/);
  assert.deepEqual(state, { given: 3, returned: true });
});

test('what breaks the body is passed on', async () => {
  async function* broken() {
    yield Buffer.from('abc');
    throw new Error('cut');
  }
  await assert.rejects(readBody(broken(), 10), /cut/);
});
