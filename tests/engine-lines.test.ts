/** Many lines at once in one engine: what is shared, what is freed, and that nobody disturbs anybody. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type OpenAI from 'openai';
import type { RunningEngine } from './engine-harness.ts';
import { MODEL_NAME, modelMissing, PERSONA, startEngine } from './engine-harness.ts';

const RUNNING = 'vllm:num_requests_running';
const WAITING = 'vllm:num_requests_waiting';
/** What the issue asks: a hang-up frees its sequence within this (ms). The metric is asked over HTTP, hence the rest. */
const FREED_WITHIN_MS = 2_000;

type Message = OpenAI.ChatCompletionMessageParam;

function chat(persona: string, player: string): Message[] {
  return [
    { role: 'system', content: persona },
    { role: 'user', content: player },
  ];
}

const GREEDY = { model: MODEL_NAME, temperature: 0, max_tokens: 16 } as const;
/** Never ends by itself: for lines that must be running while something else happens. */
const ENDLESS = { model: MODEL_NAME, temperature: 0, max_tokens: 1_500, ignore_eos: true } as const;

describe('many lines in one engine', { skip: modelMissing }, () => {
  let engine: RunningEngine;
  before(async () => {
    engine = await startEngine({ sequences: 2, prefixSequences: 2, queueMax: 8, threads: 1 });
  });
  after(() => engine[Symbol.asyncDispose]());

  /** Starts an endless stream and resolves when its first text has come. */
  async function speaking(player: string): Promise<AbortController> {
    const controller = new AbortController();
    const stream = await engine.client.chat.completions.create(
      { ...ENDLESS, messages: chat('You count.', player), stream: true },
      { signal: controller.signal },
    );
    const iterator = stream[Symbol.asyncIterator]();
    for (;;) {
      const { value, done } = await iterator.next();
      assert.equal(done, false);
      if (value?.choices[0]?.delta.content) break;
    }
    void (async () => {
      for (;;) if ((await iterator.next()).done === true) return;
    })().catch(() => {});
    return controller;
  }

  it('gives each of many interleaved lines the text it gives it alone', async () => {
    const questions = [
      'Who are you?',
      'What do you sell?',
      'Where is the bell?',
      'Do you like ghouls?',
      'Sing!',
    ];
    const alone = new Map<string, string>();
    for (const question of questions) alone.set(question, await answer(question));
    const together = await Promise.all(
      questions.map(async (question) => [question, await answer(question)] as const),
    );
    // A prompt evaluated in one piece and in two differs in the sixth decimal, so two near-equal tokens may change
    // places late in a line; a line that got another's tokens would differ from its first words on.
    for (const [question, text] of together) {
      const expected = alone.get(question) ?? '';
      assert.equal(text.slice(0, 12), expected.slice(0, 12), question);
    }
    const same = together.filter(([question, text]) => text === alone.get(question)).length;
    assert.ok(
      same >= questions.length - 1,
      `${same} of ${questions.length} are the same to the last character`,
    );

    async function answer(question: string): Promise<string> {
      const reply = await engine.client.chat.completions.create({
        ...GREEDY,
        messages: chat(PERSONA, question),
      });
      return reply.choices[0]?.message.content ?? '';
    }
  });

  it('computes the prefix of a persona once for every conversation with it', async () => {
    const persona = `You are the ferryman Ostrik. ${PERSONA.split('. ').toReversed().join('. ')}`;
    const ask = async (player: string) => {
      const reply = await engine.client.chat.completions.create({
        ...GREEDY,
        messages: chat(persona, player),
      });
      const { usage } = reply;
      return {
        prompt: usage?.prompt_tokens ?? 0,
        cached: usage?.prompt_tokens_details?.cached_tokens ?? 0,
      };
    };
    const system = await engine.post('/tokenize', {
      messages: [{ role: 'system', content: persona }],
      add_generation_prompt: false,
    });
    const { count } = system.body as { count: number };
    const hitsBefore = await engine.metric('vllm:prefix_cache_hits_total');
    const first = await ask('Take me over the river.');
    const second = await ask('What is the price?');
    assert.ok(first.cached < 16, `${first.cached} tokens of a new persona are known`);
    assert.ok(second.cached >= count - 2, `${second.cached} of ${count} persona tokens are reused`);
    assert.ok(second.cached < second.prompt);
    // Others come and overwrite every running sequence; the kept prefix is still there.
    for (let index = 0; index < 4; index++)
      await engine.client.completions.create({ ...GREEDY, prompt: `${index} nights ago the `.repeat(20) });
    const third = await ask('Who drowned here?');
    assert.ok(third.cached >= count - 2, `${third.cached} of ${count} persona tokens survive other lines`);
    const hits = (await engine.metric('vllm:prefix_cache_hits_total')) - hitsBefore;
    assert.ok(hits >= second.cached + third.cached);
  });

  it('goes on with a conversation from where it was', async () => {
    const messages = chat(PERSONA, 'Good evening.');
    const first = await engine.client.chat.completions.create({ ...GREEDY, messages });
    const longer: Message[] = [
      ...messages,
      { role: 'assistant', content: first.choices[0]?.message.content ?? '' },
      { role: 'user', content: 'And the bell?' },
    ];
    const second = await engine.client.chat.completions.create({ ...GREEDY, messages: longer });
    const cached = second.usage?.prompt_tokens_details?.cached_tokens ?? 0;
    const before = first.usage?.prompt_tokens ?? 0;
    assert.ok(cached >= before - 8, `${cached} of the ${before} tokens of the turn before are reused`);
  });

  it('does not evaluate the prefix of one persona twice when two players greet it at once', async () => {
    const persona = `You are the lich Aurel. ${PERSONA.split(' ').toReversed().join(' ')}`;
    const replies = await Promise.all(
      ['Hail!', 'Begone!'].map((player) =>
        engine.client.chat.completions.create({ ...GREEDY, messages: chat(persona, player) }),
      ),
    );
    const cached = replies.map((reply) => reply.usage?.prompt_tokens_details?.cached_tokens ?? 0);
    assert.ok(Math.min(...cached) < 16 && Math.max(...cached) > 100, `cached ${cached.join(' and ')}`);
  });

  it('frees a sequence when the client hangs up in decode', async () => {
    const controller = await speaking('one');
    assert.equal(await engine.metric(RUNNING), 1);
    controller.abort();
    await engine.untilMetric(RUNNING, 0, FREED_WITHIN_MS);
  });

  it('frees the place of a client that hangs up in the queue, and disturbs nobody', async () => {
    const speakers = [await speaking('one'), await speaking('two')];
    const controller = new AbortController();
    const queued = engine.client.chat.completions.create(
      { ...GREEDY, messages: chat(PERSONA, 'three') },
      { signal: controller.signal },
    );
    await engine.untilMetric(WAITING, 1);
    controller.abort();
    await assert.rejects(queued);
    await engine.untilMetric(WAITING, 0, FREED_WITHIN_MS);
    assert.equal(await engine.metric(RUNNING), 2);
    for (const speaker of speakers) speaker.abort();
    await engine.untilMetric(RUNNING, 0, FREED_WITHIN_MS);
  });

  it('frees a sequence when the client hangs up in prefill', async () => {
    const aborts = await abortCount();
    const controller = new AbortController();
    const generated = await engine.metric('vllm:generation_tokens_total');
    const long = engine.client.completions.create(
      { ...GREEDY, prompt: 'In the ninth winter the harbour froze and '.repeat(180) },
      { signal: controller.signal },
    );
    await engine.untilMetric(RUNNING, 1);
    controller.abort();
    await assert.rejects(long);
    await engine.untilMetric(RUNNING, 0, FREED_WITHIN_MS);
    assert.equal(await engine.metric('vllm:generation_tokens_total'), generated, 'it was still in prefill');
    assert.equal(await abortCount(), aborts + 1);
    const after = await engine.client.chat.completions.create({
      ...GREEDY,
      messages: chat(PERSONA, 'Hello?'),
    });
    assert.ok((after.choices[0]?.message.content ?? '').length > 0);
  });

  it('lets the player go before the background, and the background in the end', async () => {
    const speakers = [await speaking('one'), await speaking('two')];
    const order: string[] = [];
    const ask = (name: string, priority: number) =>
      engine
        .post('/v1/chat/completions', {
          ...GREEDY,
          max_tokens: 1,
          priority,
          messages: chat('You nod.', name),
        })
        .then(() => order.push(name));
    const ambient = ask('ambient', 10);
    await engine.untilMetric(WAITING, 1);
    const player = ask('player', 0);
    await engine.untilMetric(WAITING, 2);
    speakers[0]?.abort();
    await Promise.all([ambient, player]);
    assert.deepEqual(order, ['player', 'ambient']);
    speakers[1]?.abort();
    await engine.untilMetric(RUNNING, 0);
  });

  it('never shows half a character', async () => {
    const stream = await engine.client.chat.completions.create({
      model: MODEL_NAME,
      temperature: 1.6,
      seed: 11,
      max_tokens: 160,
      messages: chat('You answer only in emoji, Chinese and Arabic.', '写一首诗 🦇🌕 قصيدة'),
      stream: true,
      ...{ ignore_eos: true },
    });
    for await (const chunk of stream) {
      const text = chunk.choices[0]?.delta.content ?? '';
      assert.ok(text.isWellFormed());
      // The model may write bytes that are no character at all; a piece that only begins one must wait.
      assert.ok(!/^\uFFFD+$/.test(text), JSON.stringify(text));
    }
  });

  async function abortCount(): Promise<number> {
    const text = await (await fetch(`${engine.baseUrl}/metrics`)).text();
    const line = text
      .split('\n')
      .find((row) => row.includes('request_success_total') && row.includes('"abort"'));
    return Number(line?.split(' ').at(-1));
  }
});
