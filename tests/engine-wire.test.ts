/** The engine's wire with the official client and with raw requests: one real process, one real model. */
import assert from 'node:assert/strict';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { after, before, describe, it } from 'node:test';
import OpenAI from 'openai';
import type { RunningEngine } from './engine-harness.ts';
import { MODEL_NAME, modelMissing, PERSONA, startEngine } from './engine-harness.ts';

const GREEDY = { model: MODEL_NAME, temperature: 0, max_tokens: 24 } as const;

function ask(player: string): { role: 'system' | 'user'; content: string }[] {
  return [
    { role: 'system', content: PERSONA },
    { role: 'user', content: player },
  ];
}

interface ErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: string;
    readonly param: string | null;
    readonly code: number;
  };
}

describe('greenroom engine speaks the OpenAI wire', { skip: modelMissing }, () => {
  let engine: RunningEngine;
  before(async () => {
    engine = await startEngine({ contextTokens: 1_024, queueMax: 2 });
  });
  after(() => engine[Symbol.asyncDispose]());

  it('answers a chat the same streamed and whole', async () => {
    const whole = await engine.client.chat.completions.create({ ...GREEDY, messages: ask('Who are you?') });
    const stream = await engine.client.chat.completions.create({
      ...GREEDY,
      messages: ask('Who are you?'),
      stream: true,
      stream_options: { include_usage: true },
    });
    let text = '';
    let finish: string | null = null;
    let usage: OpenAI.CompletionUsage | null = null;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? '';
      finish = chunk.choices[0]?.finish_reason ?? finish;
      usage = chunk.usage ?? usage;
    }
    assert.equal(text, whole.choices[0]?.message.content);
    assert.ok(text.length > 10);
    assert.equal(finish, 'length');
    assert.equal(usage?.completion_tokens, 24);
    assert.equal(usage?.prompt_tokens, whole.usage?.prompt_tokens);
  });

  it('answers a text completion, and one from token ids', async () => {
    const text = await engine.client.completions.create({ ...GREEDY, prompt: 'The vampire said:' });
    const counted = await engine.post('/tokenize', { prompt: 'The vampire said:' });
    const { tokens } = counted.body as { tokens: number[] };
    const ids = await engine.client.completions.create({ ...GREEDY, prompt: tokens });
    assert.equal(text.choices[0]?.text, ids.choices[0]?.text);
    assert.equal(text.usage?.prompt_tokens, tokens.length);
  });

  it('gives the same answer for the same seed and another for another seed', async () => {
    const with_ = async (seed: number) => {
      const reply = await engine.client.chat.completions.create({
        ...GREEDY,
        temperature: 1.2,
        seed,
        messages: ask('Tell me of the bell.'),
      });
      return reply.choices[0]?.message.content;
    };
    const first = await with_(7);
    assert.equal(await with_(7), first);
    assert.notEqual(await with_(8), first);
  });

  it('stops at a stop string that never shows, not even in part', async () => {
    const free = await engine.client.chat.completions.create({ ...GREEDY, messages: ask('Who are you?') });
    const text = free.choices[0]?.message.content ?? '';
    const stop = text.slice(12, 18);
    const stream = await engine.client.chat.completions.create({
      ...GREEDY,
      messages: ask('Who are you?'),
      stop,
      stream: true,
    });
    let shown = '';
    let finish: string | null = null;
    for await (const chunk of stream) {
      shown += chunk.choices[0]?.delta.content ?? '';
      assert.ok(text.startsWith(shown), `${JSON.stringify(shown)} begins ${JSON.stringify(text)}`);
      finish = chunk.choices[0]?.finish_reason ?? finish;
    }
    assert.equal(shown, text.slice(0, text.indexOf(stop)));
    assert.equal(finish, 'stop');
  });

  it('goes on inside the last assistant message when asked to', async () => {
    const messages = [...ask('Who are you?'), { role: 'assistant' as const, content: 'They call me' }];
    const whole = await engine.post('/v1/chat/completions', {
      ...GREEDY,
      messages,
      continue_final_message: true,
      add_generation_prompt: false,
    });
    const closed = await engine.post('/tokenize', { messages, add_generation_prompt: false });
    const open = await engine.post('/tokenize', {
      messages,
      add_generation_prompt: false,
      continue_final_message: true,
    });
    assert.equal(whole.status, 200);
    const body = whole.body as OpenAI.ChatCompletion;
    assert.match(body.choices[0]?.message.content ?? '', /^[ ,]/);
    const tokensOf = (reply: { body: unknown }) => (reply.body as { tokens: number[] }).tokens;
    assert.deepEqual(tokensOf(open), tokensOf(closed).slice(0, tokensOf(open).length));
    assert.equal(body.usage?.prompt_tokens, tokensOf(open).length);
  });

  it('keeps to a JSON schema', async () => {
    const reply = await engine.client.chat.completions.create({
      ...GREEDY,
      temperature: 0.8,
      seed: 3,
      max_tokens: 120,
      messages: ask('Answer with your mood and one number from 1 to 9.'),
      response_format: {
        type: 'json_schema',
        json_schema: {
          name: 'mood',
          schema: {
            type: 'object',
            properties: {
              mood: { type: 'string', enum: ['calm', 'angry', 'afraid'] },
              number: { type: 'integer' },
              note: { type: 'string', maxLength: 20 },
            },
            required: ['mood', 'number', 'note'],
            additionalProperties: false,
          },
        },
      },
    });
    const value = JSON.parse(reply.choices[0]?.message.content ?? '') as Record<string, unknown>;
    assert.ok(['calm', 'angry', 'afraid'].includes(String(value['mood'])));
    assert.ok(Number.isInteger(value['number']));
    assert.equal(reply.choices[0]?.finish_reason, 'stop');
    assert.match(reply.choices[0]?.message.content ?? '', /\}$/, 'nothing follows the value');
  });

  it('refuses a schema that the grammar cannot enforce, by the name of the keyword', async () => {
    const reply = await engine.post('/v1/chat/completions', {
      ...GREEDY,
      messages: ask('Hello'),
      response_format: {
        type: 'json_schema',
        json_schema: {
          name: 'x',
          schema: { type: 'object', properties: { a: { type: 'string', pattern: '^x' } } },
        },
      },
    });
    assert.equal(reply.status, 400);
    assert.match((reply.body as ErrorBody).error.message, /properties\/a\/pattern/);
  });

  it('embeds texts to vectors of length one', async () => {
    const reply = await engine.client.embeddings.create({
      model: MODEL_NAME,
      input: ['the vampire sleeps', 'the vampire rests', 'seventeen percent interest'],
    });
    const [a, b, c] = reply.data.map((item) => item.embedding);
    const dot = (x: number[] = [], y: number[] = []) =>
      x.reduce((sum, value, i) => sum + value * (y[i] ?? 0), 0);
    assert.ok(Math.abs(dot(a, a) - 1) < 1e-4);
    assert.ok(dot(a, b) > dot(a, c));
  });

  it('lists its model, version and health', async () => {
    const models = await engine.client.models.list();
    assert.equal(models.data[0]?.id, MODEL_NAME);
    const card = models.data[0] as unknown as { max_model_len: number };
    assert.equal(card.max_model_len, 1_024);
    assert.equal((await fetch(`${engine.baseUrl}/health`)).status, 200);
    assert.equal((await fetch(`${engine.baseUrl}/version`)).status, 200);
  });

  it('counts a chat as the chat itself is counted', async () => {
    const counted = await engine.post('/tokenize', { model: MODEL_NAME, messages: ask('Who are you?') });
    const { count, max_model_len, tokens } = counted.body as {
      count: number;
      max_model_len: number;
      tokens: number[];
    };
    const reply = await engine.client.chat.completions.create({
      ...GREEDY,
      max_tokens: 1,
      messages: ask('Who are you?'),
    });
    assert.equal(count, reply.usage?.prompt_tokens);
    assert.equal(count, tokens.length);
    assert.equal(max_model_len, 1_024);
  });

  const refusals: [string, string, unknown, number, RegExp, string | null][] = [
    [
      'an unknown model',
      '/v1/chat/completions',
      { model: 'gpt-9', messages: ask('x') },
      404,
      /gpt-9.*smollm2/,
      'model',
    ],
    ['a body that is no JSON', '/v1/chat/completions', '{"messages": [', 400, /not JSON/, null],
    ['no messages', '/v1/chat/completions', { messages: [] }, 400, /messages/, 'messages'],
    [
      'a foreign role',
      '/v1/chat/completions',
      { messages: [{ role: 'x', content: '' }] },
      400,
      /role/,
      'messages.0.role',
    ],
    [
      'a wrong type',
      '/v1/chat/completions',
      { messages: ask('x'), max_tokens: 'many' },
      400,
      /max_tokens/,
      'max_tokens',
    ],
    [
      'temperature 3',
      '/v1/chat/completions',
      { messages: ask('x'), temperature: 3 },
      400,
      /temperature/,
      'temperature',
    ],
    ['two choices', '/v1/chat/completions', { messages: ask('x'), n: 2 }, 400, /one choice/, 'n'],
    ['tools', '/v1/chat/completions', { messages: ask('x'), tools: [{}] }, 400, /not supported/, 'tools'],
    ['an empty stop string', '/v1/chat/completions', { messages: ask('x'), stop: [''] }, 400, /stop/, 'stop'],
    [
      'a biased token beyond the vocabulary',
      '/v1/chat/completions',
      { messages: ask('x'), logit_bias: { 999999: 1 } },
      400,
      /vocabulary/,
      'logit_bias',
    ],
    [
      'a token beyond the vocabulary',
      '/v1/completions',
      { prompt: [1, 4_000_000_000] },
      400,
      /vocabulary/,
      'prompt',
    ],
    ['an empty prompt', '/v1/completions', { prompt: '' }, 400, /empty/, null],
    ['no prompt and no messages', '/tokenize', {}, 400, /prompt/, 'prompt'],
    ['an unknown address', '/v1/nothing', {}, 404, /\/v1\/nothing/, null],
    ['a wrong method', '/v1/models', {}, 405, /GET/, null],
    [
      'a body over the limit',
      '/v1/chat/completions',
      JSON.stringify({ x: 'x'.repeat(2_100_000) }),
      413,
      /2000000 bytes/,
      null,
    ],
  ];
  for (const [what, path, body, status, message, param] of refusals) {
    it(`refuses ${what} with ${status} in the OpenAI shape`, async () => {
      const reply = await engine.post(path, body);
      assert.equal(reply.status, status);
      const { error } = reply.body as ErrorBody;
      assert.match(error.message, message);
      assert.equal(error.code, status);
      assert.equal(error.param, param);
    });
  }

  it('refuses a prompt longer than the context with both numbers, and lives', async () => {
    await assert.rejects(
      engine.client.chat.completions.create({ ...GREEDY, messages: ask('bell '.repeat(2_000)) }),
      (error: unknown) => {
        assert.ok(error instanceof OpenAI.BadRequestError);
        assert.match(error.message, /1024 tokens.*your prompt has 2\d\d\d tokens/);
        return true;
      },
    );
    assert.equal((await fetch(`${engine.baseUrl}/health`)).status, 200);
  });

  it('cuts max_tokens to what the context has left', async () => {
    const reply = await engine.client.completions.create({
      ...GREEDY,
      prompt: 'bell '.repeat(1_000),
      max_tokens: 500,
    });
    assert.ok((reply.usage?.total_tokens ?? 0) <= 1_024);
  });

  it('ignores unknown fields as vLLM does, and takes lone surrogates, NUL and direction marks', async () => {
    const reply = await engine.post('/v1/chat/completions', {
      ...GREEDY,
      max_tokens: 2,
      mystery: { a: 1 },
      messages: ask('a\ud800b \u202e reversed \u0000 end \udfff'),
    });
    assert.equal(reply.status, 200);
  });

  it('obeys a logit bias and penalties', async () => {
    const free = await engine.client.chat.completions.create({
      ...GREEDY,
      messages: ask('Who are you?'),
      max_tokens: 1,
    });
    const first = free.choices[0]?.message.content ?? '';
    const { body } = await engine.post('/tokenize', { prompt: first, add_special_tokens: false });
    const token = (body as { tokens: number[] }).tokens[0] ?? 0;
    const biased = await engine.client.chat.completions.create({
      ...GREEDY,
      messages: ask('Who are you?'),
      max_tokens: 1,
      logit_bias: { [token]: -100 },
    });
    assert.notEqual(biased.choices[0]?.message.content, first);
    const penalised = await engine.post('/v1/chat/completions', {
      ...GREEDY,
      messages: ask('Who are you?'),
      repetition_penalty: 1.3,
      presence_penalty: 0.5,
      min_p: 0.05,
      top_k: 20,
      top_p: 0.9,
    });
    assert.equal(penalised.status, 200);
  });

  it('answers 400 and closes on bytes that are not HTTP, and drops header floods', async () => {
    const port = Number(new URL(engine.baseUrl).port);
    const talk = (bytes: string) =>
      new Promise<string>((resolve, reject) => {
        const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
        let text = '';
        socket.setEncoding('utf8').on('data', (part: string) => {
          text += part;
        });
        socket.on('close', () => resolve(text)).on('error', reject);
      });
    assert.match(await talk('HELLO ENGINE\r\n\r\n'), /^HTTP\/1\.1 400/);
    assert.match(
      await talk(`GET /health HTTP/1.1\r\nhost: x\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`),
      /^HTTP\/1\.1 4/,
    );
  });

  it('answers 503 with Retry-After in the OpenAI shape when the queue is full, and serves the rest', async () => {
    const replies = await Promise.all(
      Array.from({ length: 10 }, (_none, index) =>
        engine.post('/v1/chat/completions', { ...GREEDY, messages: ask(`Number ${index}?`) }),
      ),
    );
    const refused = replies.filter((reply) => reply.status === 503);
    assert.equal(replies.filter((reply) => reply.status === 200).length, 6);
    assert.equal(refused.length, 4);
    for (const reply of refused) {
      assert.match((reply.body as ErrorBody).error.message, /queueMax/);
      assert.equal(reply.headers.get('retry-after'), '1');
    }
  });

  it('reports itself under the names of vLLM', async () => {
    const text = await (await fetch(`${engine.baseUrl}/metrics`)).text();
    for (const name of [
      'vllm:num_requests_running',
      'vllm:num_requests_waiting',
      'vllm:kv_cache_usage_perc',
      'vllm:prefix_cache_hits_total',
      'vllm:generation_tokens_total',
      'vllm:time_to_first_token_seconds_bucket',
      'vllm:request_success_total',
    ])
      assert.ok(text.includes(`${name}{`), name);
    const type = await new Promise((resolve, reject) => {
      httpRequest(`${engine.baseUrl}/metrics`, (reply) => {
        reply.resume();
        resolve(reply.headers['content-type']);
      })
        .on('error', reject)
        .end();
    });
    assert.match(String(type), /text\/plain/);
  });
});
