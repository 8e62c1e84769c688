/**
 * The prefix store on the real engine: many personas stay warm in few sequences, what is put back goes on with the same words,
 * its bytes are bounded, and it holds nothing of an adapter that has gone.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, it } from 'node:test';
import { loadModel } from '../src/embedded/llama/model.ts';
import { writeLoraFile } from '../src/testing/lora-file.ts';
import {
  MODEL_NAME,
  MODEL_PATH,
  modelMissing,
  PERSONA,
  type RunningEngine,
  startEngine,
} from './engine-harness.ts';

const PERSONAS = 20;
const STORE = 'greenroom:engine_prefix_store';

/** As long as the harness's, and another from the first words on. */
function persona(number: number): string {
  const sentences = PERSONA.split('. ');
  const at = number % sentences.length;
  return `You are guest ${number} of the house. ${[...sentences.slice(at), ...sentences.slice(0, at)].join('. ')}`;
}

async function ask(
  engine: RunningEngine,
  system: string,
  player: string | null,
  maxTokens: number,
  model = MODEL_NAME,
) {
  const reply = await engine.client.chat.completions.create({
    model,
    temperature: 0,
    max_tokens: maxTokens,
    messages: [
      { role: 'system', content: system },
      ...(player === null ? [] : [{ role: 'user' as const, content: player }]),
    ],
  });
  const { usage } = reply;
  return {
    text: reply.choices[0]?.message.content ?? '',
    promptTokens: usage?.prompt_tokens ?? 0,
    cachedTokens: usage?.prompt_tokens_details?.cached_tokens ?? 0,
  };
}

describe('the prefix store', { skip: modelMissing }, () => {
  it('keeps twenty personas warm in eight sequences, once each was asked for one token', async () => {
    await using engine = await startEngine({ sequences: 8, contextTokens: 512 });
    const numbers = Array.from({ length: PERSONAS }, (_none, number) => number);
    for (const number of numbers) await ask(engine, persona(number), null, 1);
    // The last copy is taken after its answer has gone out.
    await engine.untilMetric(`${STORE}_entries`, PERSONAS);
    const hitsBefore = await engine.metric('vllm:prefix_cache_hits_total');
    const left = [...numbers, ...numbers.toReversed()];
    let prompt = 0;
    let cached = 0;
    const player = async () => {
      for (let number = left.shift(); number !== undefined; number = left.shift()) {
        const answer = await ask(engine, persona(number), `Night ${left.length}?`, 3);
        prompt += answer.promptTokens;
        cached += answer.cachedTokens;
      }
    };
    await Promise.all(Array.from({ length: 10 }, player));
    assert.ok(cached > prompt * 0.8, `${cached} of ${prompt} prompt tokens were cached`);
    assert.ok((await engine.metric(`${STORE}_hits_total`)) >= 2 * PERSONAS);
    assert.ok((await engine.metric(`${STORE}_restores_total`)) >= PERSONAS);
    assert.equal((await engine.metric('vllm:prefix_cache_hits_total')) - hitsBefore, cached);
  });

  it('learns where a persona ends that goes on behind the system message', async () => {
    await using engine = await startEngine({ sequences: 1, contextTokens: 512 });
    const examples = [
      'What do you sell?',
      'Who rules the harbour?',
      'Where does the old ferry go at night?',
    ].flatMap((question) => [
      { role: 'user' as const, content: question },
      { role: 'assistant' as const, content: `You ask me, little candle: ${question} I will not tell.` },
    ]);
    const meet = async (system: string, player: string) => {
      const reply = await engine.client.chat.completions.create({
        model: MODEL_NAME,
        temperature: 0,
        max_tokens: 2,
        messages: [
          { role: 'system', content: system },
          ...(system === 'You keep the bell of Saint Corvin.' ? examples : []),
          { role: 'user', content: player },
        ],
      });
      return {
        prompt: reply.usage?.prompt_tokens ?? 0,
        cached: reply.usage?.prompt_tokens_details?.cached_tokens ?? 0,
      };
    };
    const keeper = 'You keep the bell of Saint Corvin.';
    for (const player of ['Good evening to you.', 'I come for the bell.', 'They sent me here.']) {
      await meet(keeper, player);
      // Somebody else takes the one sequence.
      await meet(persona(player.length), player);
    }
    const { prompt, cached } = await meet(keeper, 'Never mind the night.');
    assert.ok(cached > prompt * 0.7, `${cached} of ${prompt} tokens`);
  });

  it('goes on from a copy with the very words of what was copied, whole or cut short', async () => {
    await using model = await loadModel({ modelPath: MODEL_PATH, gpu: false });
    await using context = await model.createContext({
      sequences: 3,
      contextTokens: 256,
      batchTokens: 128,
      threads: 1,
    });
    const prompt = model.tokenize(PERSONA, false).slice(0, 100);
    const greedy = {
      temperature: 0,
      topK: 0,
      topP: 1,
      minP: 0,
      seed: 1,
      repetitionPenalty: 1,
      presencePenalty: 0,
      frequencyPenalty: 0,
      tokenBias: new Map<number, number>(),
    };
    /** What is said after the prompt when the sequence holds its first `held` tokens. */
    const goOn = async (sequence: number, held: number): Promise<number[]> => {
      using sampler = context.createSampler(greedy, prompt, null);
      const said: number[] = [];
      let tokens: readonly number[] = prompt.slice(held);
      let position = held;
      while (said.length < 12) {
        const [at] = await context.decode([{ sequence, position, tokens, wantsLogits: true }]);
        const next = await context.sample(at ?? -1, sampler);
        said.push(next);
        position += tokens.length;
        tokens = [next];
      }
      return said;
    };
    await context.decode([{ sequence: 0, position: 0, tokens: prompt.slice(0, 60), wantsLogits: false }]);
    using copy = await context.saveSequence(0);
    assert.ok(copy !== null);
    const words = await goOn(0, 60);
    assert.equal(await context.restoreSequence(copy, 2, 60), true);
    assert.deepEqual(await goOn(2, 60), words);
    context.truncate(0, 0);
    await context.decode([{ sequence: 0, position: 0, tokens: prompt.slice(0, 60), wantsLogits: false }]);
    context.truncate(0, 40);
    const cut = await goOn(0, 40);
    assert.equal(await context.restoreSequence(copy, 1, 40), true);
    assert.deepEqual(await goOn(1, 40), cut);
    assert.equal(await context.restoreSequence(copy, 1, 61), false, 'it never held so much');
  });

  it('stays within its bytes', async () => {
    const bytesMax = 8_000_000;
    await using engine = await startEngine({
      sequences: 1,
      contextTokens: 512,
      prefixStoreBytesMax: bytesMax,
    });
    for (const number of [0, 1, 2]) await ask(engine, persona(number), 'Hm?', 2);
    const bytes = await engine.metric(`${STORE}_bytes`);
    assert.ok(bytes > 0 && bytes <= bytesMax, `${bytes} bytes`);
    assert.ok((await engine.metric(`${STORE}_evictions_total`)) > 0);
  });

  it('keeps prefixes in sequences of their own where it is off', async () => {
    await using engine = await startEngine({
      sequences: 1,
      prefixSequences: 1,
      prefixStoreBytesMax: 0,
      contextTokens: 512,
    });
    await ask(engine, persona(0), 'Hm?', 2);
    // Somebody takes the one sequence for a talk too short to be kept.
    await engine.client.completions.create({ model: MODEL_NAME, prompt: 'Who goes there?', max_tokens: 2 });
    const { promptTokens, cachedTokens } = await ask(engine, persona(0), 'Ah?', 2);
    assert.ok(cachedTokens > promptTokens * 0.8, `${cachedTokens} of ${promptTokens} tokens`);
    assert.equal(await engine.metric(`${STORE}_entries`), 0);
  });

  it('reuses nothing when told so, and the words begin the same', async () => {
    await using engine = await startEngine({ sequences: 2, contextTokens: 512 });
    await using without = await startEngine({ sequences: 2, contextTokens: 512, prefixReuse: false });
    const players = ['Who are you?', 'What do you fear?', 'Sell me a name.'];
    const pairs = [];
    for (const player of players)
      pairs.push([await ask(engine, PERSONA, player, 12), await ask(without, PERSONA, player, 12)] as const);
    for (const [, plain] of pairs) assert.equal(plain.cachedTokens, 0);
    assert.ok(pairs.slice(1).every(([warm]) => warm.cachedTokens > warm.promptTokens * 0.8));
    assert.equal(await without.metric(`${STORE}_entries`), 0);
    // In other slices the sixth decimal differs, and near-equal words may change places.
    const same = pairs.filter(([warm, plain]) => warm.text.slice(0, 12) === plain.text.slice(0, 12)).length;
    assert.ok(same >= players.length - 1, JSON.stringify(pairs.map((pair) => pair.map(({ text }) => text))));
  });

  it('lets go of what an adapter computed when the adapter goes', async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'prefix-adapters-'));
    try {
      await using engine = await startEngine({ sequences: 2, contextTokens: 512 });
      const file = await writeLoraFile(path.join(folder, 'ghoul.gguf'), { seed: 3 });
      const send = async (verb: 'load' | 'unload', body: object) => {
        const reply = await fetch(`${engine.baseUrl}/v1/${verb}_lora_adapter`, {
          method: 'POST',
          body: JSON.stringify({ lora_name: 'ghoul', ...body }),
        });
        assert.equal(reply.status, 200, await reply.text());
      };
      const load = () => send('load', { lora_path: file });
      await ask(engine, PERSONA, 'Hm?', 2);
      const base = await engine.metric(`${STORE}_bytes`);
      await load();
      assert.equal((await ask(engine, PERSONA, 'Hm?', 2, 'ghoul')).cachedTokens, 0);
      assert.ok((await engine.metric(`${STORE}_bytes`)) > base);
      assert.ok((await ask(engine, PERSONA, 'Ah?', 2, 'ghoul')).cachedTokens > 0);
      await send('unload', {});
      assert.ok((await engine.metric(`${STORE}_bytes`)) <= base);
      await load();
      assert.equal((await ask(engine, PERSONA, 'Oh?', 2, 'ghoul')).cachedTokens, 0, 'a namesake is another');
      assert.ok((await ask(engine, PERSONA, 'Eh?', 2)).cachedTokens > 0);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
