import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { GenerateEvent, SpokenScene } from '../core/engine.ts';
import { engineConformance, lineRequest } from '../testing/engine-conformance.ts';
import { createWritten } from './written.ts';

const engine = createWritten(() => ({ id: 'hm.1', text: 'Hm.' }));

engineConformance('the list of written lines', async () => ({
  engine,
  model: '',
  untilIdle: async () => {},
  [Symbol.asyncDispose]: async () => {},
}));

test('a written line carries its id, costs nothing, and is chosen by the scene', async () => {
  const scenes: SpokenScene[] = [];
  const written = createWritten((scene) => {
    scenes.push(scene);
    return { id: 'vesk.42', text: 'Later, little candle.' };
  });
  const request = lineRequest();
  const events: GenerateEvent[] = [];
  for await (const event of written.generate(request, new AbortController().signal)) events.push(event);
  assert.deepEqual(events, [
    { type: 'text', text: 'Later, little candle.', lineId: 'vesk.42' },
    {
      type: 'finish',
      reason: 'stop',
      usage: { promptTokens: 0, cachedTokens: 0, completionTokens: 0, source: 'reported' },
    },
  ]);
  assert.deepEqual(scenes, [request.scene]);
  assert.equal(written.isWritten, true);
});
