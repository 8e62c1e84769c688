import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { GenerateRequest } from '../core/engine.ts';
import { startChatServer } from '../testing/chat-server.ts';
import { engineConformance, lineRequest } from '../testing/engine-conformance.ts';
import { createTransport } from './transport.ts';
import { createVllm } from './vllm.ts';

async function open(connections = 8) {
  const server = await startChatServer();
  const transport = createTransport({ baseUrl: server.origin, connections, connectTimeoutMs: 5_000 });
  return {
    server,
    engine: createVllm({ name: 'local', kind: 'vllm', transport: () => transport }),
    model: 'm',
    untilIdle: () => server.untilRunning(0),
    [Symbol.asyncDispose]: async () => {
      await transport[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

engineConformance('vLLM behind a small server', () => open());

/** The body that reaches the server. */
async function bodyOf(changes: Partial<GenerateRequest>): Promise<Readonly<Record<string, unknown>>> {
  await using opened = await open();
  const request = lineRequest({ maxTokens: 1, messages: [{ role: 'user', content: 'Hi' }], ...changes });
  for await (const _ of opened.engine.generate(request, new AbortController().signal));
  return opened.server.asked[0] ?? {};
}

const PLAIN = {
  model: 'm',
  messages: [{ role: 'user', content: 'Hi' }],
  stream: true,
  stream_options: { include_usage: true, continuous_usage_stats: true },
  max_tokens: 1,
  temperature: 0,
  priority: 0,
};

const BODIES: readonly (readonly [string, Partial<GenerateRequest>, Record<string, unknown>])[] = [
  ['nothing but what is known', {}, PLAIN],
  ['background chatter after the player in front', { priority: 'ambient' }, { ...PLAIN, priority: 10 }],
  [
    'sampling in its own words',
    { topP: 0.9, minP: 0.05, repetitionPenalty: 1.1, seed: 7, stop: ['\n'] },
    { ...PLAIN, top_p: 0.9, min_p: 0.05, repetition_penalty: 1.1, seed: 7, stop: ['\n'] },
  ],
  [
    'what was said already as the message to go on from',
    { assistantPrefix: 'I sell' },
    {
      ...PLAIN,
      messages: [...PLAIN.messages, { role: 'assistant', content: 'I sell' }],
      continue_final_message: true,
      add_generation_prompt: false,
    },
  ],
  [
    'the schema that the answer must follow',
    { responseSchema: { type: 'object' } },
    {
      ...PLAIN,
      response_format: {
        type: 'json_schema',
        json_schema: { name: 'reply', schema: { type: 'object' }, strict: true },
      },
    },
  ],
];

for (const [what, changes, expected] of BODIES) {
  test(`vLLM is sent ${what}`, async () => assert.deepEqual(await bodyOf(changes), expected));
}

test('a line that is read to its end leaves its connection to the next', async () => {
  await using opened = await open(1);
  for (let line = 0; line < 5; line += 1)
    for await (const _ of opened.engine.generate(
      lineRequest({ maxTokens: 2 }),
      new AbortController().signal,
    ));
  assert.equal(opened.server.connections, 1);
});
