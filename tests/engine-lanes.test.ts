/**
 * Embeddings and generation on one real engine: a text evaluated in parts has the vector it has in one, and a flood of
 * either lane ends neither the other's work nor its order. How long one waits for the other is `npm run bench:lanes`.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { loadModel } from '../src/embedded/llama/model.ts';
import { MODEL_PATH, modelMissing, PERSONA, type RunningEngine, startEngine } from './engine-harness.ts';

const cosine = (a: readonly number[], b: readonly number[]) =>
  a.reduce((sum, value, at) => sum + value * (b[at] ?? 0), 0) / (Math.hypot(...a) * Math.hypot(...b));

describe('short work beside generation', { skip: modelMissing }, () => {
  it('a text in parts has the vector of the whole, and the next text is not coloured by it', async () => {
    await using model = await loadModel({ modelPath: MODEL_PATH, gpu: false });
    await using embedder = await model.createEmbedder({ contextTokens: 512, threads: 1 });
    assert.equal(embedder.readsForward, true);
    const tokens = embedder.prepare(model.tokenize(PERSONA, false));
    const whole = (await embedder.evaluate(tokens, 0, true)) ?? [];
    const other = (await embedder.evaluate(tokens.slice(0, 20), 0, true)) ?? [];
    let parts: readonly number[] | null = null;
    for (let from = 0; from < tokens.length; from += 17)
      parts = await embedder.evaluate(tokens.slice(from, from + 17), from, from + 17 >= tokens.length);
    assert.ok(cosine(whole, parts ?? []) > 0.999, `${cosine(whole, parts ?? [])}`);
    assert.ok(cosine(whole, other) < 0.999, `${cosine(whole, other)}`);
    const again = (await embedder.evaluate(tokens.slice(0, 20), 0, true)) ?? [];
    assert.deepEqual(again, other);
  });

  describe('under load', () => {
    let engine: RunningEngine;
    before(async () => {
      engine = await startEngine({ threads: 1, sequences: 4, contextTokens: 512 });
    });
    after(() => engine?.[Symbol.asyncDispose]());

    const line = (guest: number) =>
      engine.post('/v1/chat/completions', {
        messages: [
          { role: 'system', content: PERSONA },
          { role: 'user', content: `Guest ${guest}: what do you sell?` },
        ],
        max_tokens: 24,
        temperature: 0,
        ignore_eos: true,
      });
    const embed = async (input: string) => {
      const { status, body } = await engine.post('/v1/embeddings', { input });
      assert.equal(status, 200);
      return (body as { data: { embedding: number[] }[] }).data[0]?.embedding ?? [];
    };

    it('lines and vectors are what they are alone', async () => {
      const alone = await embed('The bell of Saint Corvin.');
      const words = (reply: Awaited<ReturnType<typeof line>>) =>
        (reply.body as { choices: { message: { content: string } }[] }).choices[0]?.message.content;
      const [replies, vectors] = await Promise.all([
        Promise.all([...Array(6)].map((_none, guest) => line(guest))),
        Promise.all([...Array(20)].map(() => embed('The bell of Saint Corvin.'))),
      ]);
      for (const vector of vectors) assert.ok(cosine(vector, alone) > 0.999);
      for (const reply of replies) {
        assert.equal(reply.status, 200);
        assert.notEqual(words(reply), '');
      }
      await engine.untilMetric('vllm:num_requests_running', 0);
    });

    it('who leaves in a flood of vectors leaves nothing behind', async () => {
      const controller = new AbortController();
      const left = [...Array(10)].map(() =>
        fetch(`${engine.baseUrl}/v1/embeddings`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ input: PERSONA }),
          signal: controller.signal,
        }).then(
          (reply) => reply.arrayBuffer(),
          () => null,
        ),
      );
      controller.abort();
      await Promise.all(left);
      assert.equal((await embed('And then?')).length, 576);
      assert.equal((await line(1)).status, 200);
    });
  });
});
