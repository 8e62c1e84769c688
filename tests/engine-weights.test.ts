/**
 * The model as it is and as its copy with fast weights, on the real engine: what is certain goes on with the same words,
 * and a text has nearly the same vector. Of two words that are as likely, rounding decides, within one file as well.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  FAST_MODEL_PATH,
  MODEL_NAME,
  MODEL_PATH,
  modelMissing,
  PERSONA,
  startEngine,
} from './engine-harness.ts';

const CERTAIN = [
  'The numbers: 1, 2, 3, 4, 5, 6, 7, 8,',
  'The letters: A B C D E F G H I J K',
  'The days of the week are Monday, Tuesday, Wednesday,',
];
const TOKENS = 8;

interface Spoken {
  readonly text: string;
  readonly vector: readonly number[];
}

async function spokenBy(modelPath: string): Promise<readonly Spoken[]> {
  await using engine = await startEngine({ modelPath });
  const spoken: Spoken[] = [];
  for (const prompt of CERTAIN) {
    const reply = await engine.client.completions.create({
      model: MODEL_NAME,
      prompt,
      max_tokens: TOKENS,
      temperature: 0,
    });
    const { body } = await engine.post('/v1/embeddings', { input: `${PERSONA} ${prompt}` });
    const vector = (body as { data: { embedding: number[] }[] }).data[0]?.embedding ?? [];
    spoken.push({ text: reply.choices[0]?.text ?? '', vector });
  }
  return spoken;
}

const cosine = (a: readonly number[], b: readonly number[]) =>
  a.reduce((sum, value, at) => sum + value * (b[at] ?? Number.NaN), 0) /
  (Math.hypot(...a) * Math.hypot(...b));

describe('the copy of the model with fast weights', { skip: modelMissing, timeout: 120_000 }, () => {
  it('speaks as the model does', async (context) => {
    assert.notEqual(FAST_MODEL_PATH, MODEL_PATH, 'the copy could not be made');
    const [before, after] = [await spokenBy(MODEL_PATH), await spokenBy(FAST_MODEL_PATH)];
    for (const [index, prompt] of CERTAIN.entries()) {
      const [one, two] = [before[index], after[index]];
      assert.ok(one !== undefined && two !== undefined && one.text.length > 0);
      const likeness = cosine(one.vector, two.vector);
      context.diagnostic(`${prompt}${two.text} (cosine of the vectors ${likeness.toFixed(6)})`);
      assert.equal(two.text, one.text);
      assert.ok(likeness > 0.998, `${likeness}`);
    }
  });
});
