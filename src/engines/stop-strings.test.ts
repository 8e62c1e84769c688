import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { EngineUsage, GenerateEvent } from '../core/engine.ts';
import { cutAtStop } from './stop-strings.ts';

const usage = (completionTokens: number): EngineUsage => ({
  promptTokens: 5,
  cachedTokens: 0,
  completionTokens,
  source: 'estimated',
});

async function cut(pieces: readonly string[], stops: readonly string[]) {
  const state = { left: false };
  async function* source(): AsyncGenerator<GenerateEvent> {
    let isWhole = false;
    try {
      for (const [index, text] of pieces.entries()) {
        yield { type: 'usage', usage: usage(index + 1) };
        yield { type: 'text', text };
      }
      yield { type: 'finish', reason: 'length', usage: usage(99) };
      isWhole = true;
    } finally {
      state.left = !isWhole;
    }
  }
  const events: GenerateEvent[] = [];
  for await (const event of cutAtStop(source(), stops)) events.push(event);
  const finish = events.at(-1);
  assert.ok(finish?.type === 'finish');
  const text = events.map((event) => (event.type === 'text' ? event.text : '')).join('');
  return { text, reason: finish.reason, spent: finish.usage.completionTokens, left: state.left };
}

test('the text ends where a stop string begins; the engine is left, and what it spent by then is told', async () => {
  assert.deepEqual(await cut(['One', '.\nTwo', '.'], ['\n']), {
    text: 'One.',
    reason: 'stop',
    spent: 2,
    left: true,
  });
  assert.deepEqual(await cut(['\nOne'], ['\n']), { text: '', reason: 'stop', spent: 1, left: true });
});

test('a text without a stop string passes whole, what looked like the beginning of one included', async () => {
  const whole = { reason: 'length', spent: 99, left: false };
  assert.deepEqual(await cut(['One #', '# two #'], ['###']), { text: 'One ## two #', ...whole });
  assert.deepEqual(await cut(['One\n'], []), { text: 'One\n', ...whole });
  assert.deepEqual(await cut(['One'], ['']), { text: 'One', ...whole });
});

test('the first stop string counts, however the text is cut', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.string({ unit: fc.constantFrom('a', 'b', '#'), maxLength: 4 }), { maxLength: 8 }),
      fc.array(fc.string({ unit: fc.constantFrom('a', 'b', '#'), minLength: 1, maxLength: 3 }), {
        minLength: 1,
        maxLength: 3,
      }),
      async (pieces, stops) => {
        const whole = pieces.join('');
        // One stop string may lie inside another, whose end is then not waited for: what counts is what began first.
        const ends = stops.map((stop) => whole.indexOf(stop)).filter((at) => at !== -1);
        const { text } = await cut(pieces, stops);
        if (ends.length === 0) assert.equal(text, whole);
        else {
          assert.ok(whole.startsWith(text) && stops.every((stop) => !text.includes(stop)));
          assert.ok(text.length >= Math.min(...ends));
        }
      },
    ),
  );
});
