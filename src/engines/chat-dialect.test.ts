import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { AdapterAddress } from '../core/adapter.ts';
import type { GenerateRequest } from '../core/engine.ts';
import { CHAT_CASES, type ChatCase } from '../testing/chat-doubles.ts';
import { answerOver, replying } from '../testing/wire-faults.ts';
import type { DriverDefinition } from './driver.ts';
import { GO_ON } from './going-on.ts';
import { DRIVERS } from './index.ts';

/** A word, a finish, an account: enough for any driver of the dialect. */
const ANSWER =
  'data: {"choices":[{"delta":{"content":"Hm."},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1}}\n\ndata: [DONE]\n\n';

async function sent(
  { kind, options }: Pick<ChatCase, 'kind' | 'options'>,
  changes: Partial<GenerateRequest>,
) {
  const { sent: requests, transport } = replying([ANSWER]);
  const definition: DriverDefinition = DRIVERS[kind];
  await answerOver(definition, options, transport, () => {}, {
    messages: [{ role: 'user', content: 'Hi' }],
    maxTokens: 9,
    ...changes,
  });
  const [request] = requests;
  return { path: request?.path, body: JSON.parse(String(request?.body)) as Record<string, unknown> };
}

const HI = [{ role: 'user', content: 'Hi' }];
const COMMON = {
  model: 'm',
  messages: HI,
  stream: true,
  stream_options: { include_usage: true },
  max_tokens: 9,
  temperature: 0,
};
const RUNNING = { stream_options: { include_usage: true, continuous_usage_stats: true } };
const NO_THINKING = { chat_template_kwargs: { enable_thinking: false } };
const OPENAI = {
  model: 'm',
  messages: HI,
  stream: true,
  stream_options: { include_usage: true, include_obfuscation: false },
  max_completion_tokens: 9,
  temperature: 0,
};

/** What goes to each for the plainest of requests: the whitelist begins here. */
const PLAIN: readonly (readonly [ChatCase['kind'], object, string, object])[] = [
  ['vllm', {}, '/v1/chat/completions', { ...COMMON, ...RUNNING, ...NO_THINKING, priority: 0 }],
  ['vllm', { thinking: 'model' }, '/v1/chat/completions', { ...COMMON, ...RUNNING, priority: 0 }],
  ['sglang', {}, '/v1/chat/completions', { ...COMMON, ...RUNNING, ...NO_THINKING, priority: 10 }],
  ['tensorrt-llm', {}, '/v1/chat/completions', { ...COMMON, ...RUNNING }],
  [
    'tensorrt-llm',
    { thinking: 'off', sendsPriority: true },
    '/v1/chat/completions',
    { ...COMMON, ...RUNNING, ...NO_THINKING, priority: 0.75 },
  ],
  ['tgi', {}, '/v1/chat/completions', COMMON],
  // Without it the server's own adapters would speak.
  ['llama-server', {}, '/v1/chat/completions', { ...COMMON, ...NO_THINKING, lora: [{ id: 0, scale: 0 }] }],
  ['openai', {}, '/v1/chat/completions', OPENAI],
  [
    'openai',
    { reasoningEffort: 'none', sendsSampling: false },
    '/v1/chat/completions',
    { ...OPENAI, temperature: undefined, reasoning_effort: 'none' },
  ],
  ['azure-openai', {}, '/v1/chat/completions', OPENAI],
  ['azure-openai', { maker: 'other' }, '/v1/chat/completions', COMMON],
  ['deepseek', {}, '/chat/completions', { ...COMMON, thinking: { type: 'disabled' } }],
  ['openai-compatible', {}, '/v1/chat/completions', COMMON],
  ['openai-compatible', { apiPath: '' }, '/chat/completions', COMMON],
  [
    'openai-compatible',
    { maxTokensField: 'max_completion_tokens', apiPath: '/api/v3' },
    '/api/v3/chat/completions',
    { ...COMMON, max_tokens: undefined, max_completion_tokens: 9 },
  ],
];

describe('what goes over the wire', () => {
  for (const [kind, options, path, body] of PLAIN)
    it(`is the whitelist of ${kind} ${JSON.stringify(options)}`, async () => {
      const request = await sent({ kind, options: { ...options } }, {});
      assert.equal(request.path, path);
      assert.deepEqual(request.body, JSON.parse(JSON.stringify(body)));
    });

  /** request, engine → what its body has beyond the plain one */
  const sampling = { topP: 0.9, minP: 0.05, repetitionPenalty: 1.1, seed: 7 };
  const asVllm = { top_p: 0.9, seed: 7, min_p: 0.05, repetition_penalty: 1.1 };
  const SAMPLING: Readonly<Record<string, object>> = {
    vllm: asVllm,
    sglang: asVllm,
    'tensorrt-llm': asVllm,
    'llama-server': { top_p: 0.9, seed: 7, min_p: 0.05, repeat_penalty: 1.1 },
    tgi: { top_p: 0.9, seed: 7 },
    openai: { top_p: 0.9, seed: 7 },
    'azure-openai': { top_p: 0.9, seed: 7 },
    deepseek: { top_p: 0.9 },
    'openai-compatible': { top_p: 0.9, seed: 7 },
  };
  for (const [kind, expected] of Object.entries(SAMPLING))
    it(`calls the numbers of the sampling what ${kind} calls them`, async () => {
      const chatCase = { kind: kind as ChatCase['kind'], options: {} };
      const plain = await sent(chatCase, {});
      const { body } = await sent(chatCase, sampling);
      assert.deepEqual(body, { ...plain.body, ...expected });
    });

  it('puts the smaller priority first at vLLM and the larger at SGLang', async () => {
    const priority = async (kind: 'vllm' | 'sglang', of: GenerateRequest['priority']) =>
      Number((await sent({ kind, options: {} }, { priority: of })).body['priority']);
    assert.ok((await priority('vllm', 'interactive')) < (await priority('vllm', 'ambient')));
    assert.ok((await priority('sglang', 'interactive')) > (await priority('sglang', 'ambient')));
  });

  const responseSchema = { type: 'object', properties: { mood: { type: 'string' } } };
  const openAiFormat = {
    type: 'json_schema',
    json_schema: { name: 'reply', schema: responseSchema, strict: true },
  };
  const FORMATS: Readonly<Record<string, unknown>> = {
    vllm: openAiFormat,
    sglang: openAiFormat,
    'llama-server': openAiFormat,
    openai: openAiFormat,
    'azure-openai': openAiFormat,
    'openai-compatible': openAiFormat,
    'tensorrt-llm': { type: 'json', schema: responseSchema },
    tgi: { type: 'json', value: responseSchema },
    deepseek: { type: 'json_object' },
  };
  for (const [kind, format] of Object.entries(FORMATS))
    it(`asks ${kind} for an answer by a schema in its own words`, async () => {
      const { body } = await sent({ kind: kind as ChatCase['kind'], options: {} }, { responseSchema });
      assert.deepEqual(body['response_format'], format);
      const messages = body['messages'] as readonly { readonly role: string; readonly content: string }[];
      assert.deepEqual(messages[0], HI[0]);
      // Who only knows JSON is told the schema in words, behind the prompt.
      assert.equal(messages.length, kind === 'deepseek' ? 2 : 1);
      if (kind === 'deepseek') assert.match(messages[1]?.content ?? '', /json.*"mood"/);
    });

  const said = { role: 'assistant', content: 'I sell' };
  const CONTINUATIONS: readonly (readonly [ChatCase['kind'], object, object, object])[] = [
    ['vllm', {}, said, { continue_final_message: true, add_generation_prompt: false }],
    ['sglang', {}, said, { continue_final_message: true }],
    ['llama-server', {}, said, { continue_final_message: true, add_generation_prompt: false }],
    ['deepseek', { continuesAssistant: true }, { ...said, prefix: true }, {}],
  ];
  for (const [kind, options, last, fields] of CONTINUATIONS)
    it(`leaves the last message open as ${kind} knows it`, async () => {
      const chatCase = { kind, options: { ...options } };
      const plain = await sent(chatCase, {});
      const { body } = await sent(chatCase, { assistantPrefix: 'I sell' });
      assert.deepEqual(body, { ...plain.body, messages: [...HI, last], ...fields });
    });

  const adapter: AdapterAddress = {
    engineName: 'lich@7-3fa9c1d2',
    number: 7,
    path: '/adapters/3fa9c1d2',
    localPath: '/data/adapters/3fa9c1d2',
    rank: 8,
  };
  const { engineName, number, path: folder } = adapter;
  const ADDRESSES: readonly (readonly [ChatCase['kind'], object, object])[] = [
    ['vllm', {}, { model: engineName }],
    ['sglang', {}, { model: `m:${engineName}` }],
    ['tensorrt-llm', {}, { lora_request: { lora_name: engineName, lora_int_id: number, lora_path: folder } }],
    ['tgi', { adapters: [engineName] }, { model: engineName }],
    ['openai-compatible', { adapters: 'models' }, { model: engineName }],
  ];
  for (const [kind, options, fields] of ADDRESSES)
    it(`asks ${kind} for an adapter as it calls one`, async () => {
      const chatCase = { kind, options: { ...options } };
      const plain = await sent(chatCase, {});
      const { body } = await sent(chatCase, { adapter });
      assert.deepEqual(body, { ...plain.body, ...fields });
    });

  it('asks SGLang by a field where the name of the base has a colon', async () => {
    const { body } = await sent({ kind: 'sglang', options: {} }, { adapter, model: 'base:7b' });
    assert.deepEqual([body['model'], body['lora_path']], ['base:7b', engineName]);
  });

  it('leaves no message open at a llama-server whose model may think, which refuses that', async () => {
    const { body } = await sent(
      { kind: 'llama-server', options: { thinking: 'model' } },
      { assistantPrefix: 'I sell' },
    );
    assert.equal((body['messages'] as readonly unknown[]).length, 3);
  });

  for (const kind of [
    'tensorrt-llm',
    'tgi',
    'openai',
    'azure-openai',
    'deepseek',
    'openai-compatible',
  ] as const)
    it(`asks ${kind} in words to go on`, async () => {
      const chatCase = { kind, options: {} };
      const plain = await sent(chatCase, {});
      const { body } = await sent(chatCase, { assistantPrefix: 'I sell' });
      assert.deepEqual(body, { ...plain.body, messages: [...HI, said, { role: 'user', content: GO_ON }] });
    });

  it('has as many stop strings as the engine takes', async () => {
    const stop = Array.from({ length: 20 }, (_, index) => `stop${index}`);
    const count = async (kind: ChatCase['kind'], options = {}) =>
      ((await sent({ kind, options }, { stop })).body['stop'] as readonly string[] | undefined)?.length ?? 0;
    assert.equal(await count('sglang'), 20);
    assert.equal(await count('vllm'), 4);
    assert.equal(await count('openai'), 4);
    assert.equal(await count('openai', { sendsSampling: false }), 0);
    assert.equal(await count('tgi', { stopsMax: 6 }), 6);
    assert.equal(await count('deepseek'), 16);
  });

  it('has a double for every driver of the dialect', () => {
    const covered = new Set(CHAT_CASES.map(({ kind }) => kind));
    assert.deepEqual([...covered].sort(), [...new Set(PLAIN.map(([kind]) => kind))].sort());
  });
});

describe('keys', () => {
  const headers = (kind: ChatCase['kind'], options: object, key: string | null) => {
    const definition: DriverDefinition = DRIVERS[kind];
    return definition.headers(key, definition.options.parse(options));
  };

  it('go in the header that each cloud reads', () => {
    assert.deepEqual(headers('vllm', {}, 'k'), { authorization: 'Bearer k' });
    assert.deepEqual(headers('azure-openai', {}, 'k'), { 'api-key': 'k' });
    assert.deepEqual(headers('azure-openai', { auth: 'bearer' }, 'k'), { authorization: 'Bearer k' });
    assert.deepEqual(headers('openai', { organization: 'o', project: 'p' }, 'k'), {
      authorization: 'Bearer k',
      'openai-organization': 'o',
      'openai-project': 'p',
    });
  });

  it('are not sent where there is none', () => {
    for (const { kind } of CHAT_CASES) assert.deepEqual(headers(kind, {}, null), {});
  });
});
