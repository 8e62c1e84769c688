/**
 * The model as it is and as its copy with fast weights, on the real engine: an answer begins with the same words, and a
 * text has nearly the same vector.
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

const QUESTIONS = [
  'Who are you?',
  'I found a silver tooth in the harbour. What will you give me for it?',
  'Have you heard of the bell of Saint Corvin?',
];
const TOKENS = 32;
const SURE_TOKENS = 8;

interface Spoken {
  readonly tokens: readonly string[];
  readonly vector: readonly number[];
}

async function spokenBy(modelPath: string): Promise<readonly Spoken[]> {
  await using engine = await startEngine({ modelPath });
  const spoken: Spoken[] = [];
  for (const question of QUESTIONS) {
    const stream = await engine.client.chat.completions.create({
      model: MODEL_NAME,
      messages: [
        { role: 'system', content: PERSONA },
        { role: 'user', content: question },
      ],
      max_tokens: TOKENS,
      temperature: 0,
      stream: true,
    });
    const tokens: string[] = [];
    for await (const { choices } of stream) tokens.push(choices[0]?.delta.content ?? '');
    const { body } = await engine.post('/v1/embeddings', { input: `${PERSONA} ${question}` });
    const vector = (body as { data: { embedding: number[] }[] }).data[0]?.embedding ?? [];
    spoken.push({ tokens: tokens.filter((token) => token !== ''), vector });
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
    for (const [index, question] of QUESTIONS.entries()) {
      const [one, two] = [before[index], after[index]];
      assert.ok(one !== undefined && two !== undefined && one.tokens.length >= SURE_TOKENS);
      const differs = one.tokens.findIndex((token, at) => token !== two.tokens[at]);
      const same = differs === -1 ? one.tokens.length : differs;
      const likeness = cosine(one.vector, two.vector);
      context.diagnostic(
        `${question} The same ${same} of ${one.tokens.length} pieces; cosine ${likeness.toFixed(6)}: ${two.tokens.join('')}`,
      );
      assert.ok(same >= SURE_TOKENS, `${one.tokens.join('')} became ${two.tokens.join('')}`);
      assert.ok(likeness > 0.999, `${likeness}`);
    }
  });
});
