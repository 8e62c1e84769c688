import assert from 'node:assert/strict';
import { test } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import type { GenerateRequest } from '../core/engine.ts';
import { ServiceError } from '../core/errors.ts';
import { openDriver, openForConformance, say } from '../testing/driver-harness.ts';
import { engineConformance } from '../testing/engine-conformance.ts';
import { answerOver, replying, textOf, wireFaults } from '../testing/wire-faults.ts';
import { delta, event, refuse, startAnthropicDouble } from '../testing/wires/anthropic.ts';
import { anthropic } from './anthropic.ts';

const signal = new AbortController().signal;

engineConformance('Anthropic behind a double', () => openForConformance(anthropic, startAnthropicDouble, {}));

function start(usage: Record<string, unknown> = { input_tokens: 9, output_tokens: 1 }): string {
  return (
    event({ type: 'message_start', message: { id: 'msg_1', role: 'assistant', content: [], usage } }) +
    event({ type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } })
  );
}

function end(stopReason: string, usage: Record<string, unknown> = { output_tokens: 5 }): string {
  return (
    event({ type: 'content_block_stop', index: 0 }) +
    event({ type: 'message_delta', delta: { stop_reason: stopReason, stop_sequence: null }, usage }) +
    event({ type: 'message_stop' })
  );
}

wireFaults(
  anthropic,
  {},
  {
    contentType: 'text/event-stream; charset=utf-8',
    answer: start() + delta('Grüß ') + event({ type: 'ping' }) + delta('dich 🧛') + end('end_turn'),
    text: 'Grüß dich 🧛',
    words: start() + delta('Grüß '),
    failure: event({ type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } }),
    failureCode: 'overloaded',
    frameStart: 'event: content_block_delta\ndata: {"type":"content_block_delta","delta":{"text":"',
    saysItsEnd: true,
  },
);

async function bodyOf(changes: Partial<GenerateRequest>, options = {}) {
  const { sent, transport } = replying([start() + end('end_turn')]);
  await answerOver(anthropic, options, transport, () => {}, {
    messages: [
      { role: 'system', content: 'You are Mordane.' },
      { role: 'user', content: 'Hi' },
    ],
    maxTokens: 1,
    ...changes,
  });
  return JSON.parse(String(sent[0]?.body)) as Record<string, unknown>;
}

const PLAIN = {
  model: 'm',
  max_tokens: 1,
  messages: [{ role: 'user', content: 'Hi' }],
  system: [{ type: 'text', text: 'You are Mordane.', cache_control: { type: 'ephemeral', ttl: '5m' } }],
  stream: true,
  thinking: { type: 'disabled' },
};

const BODIES: readonly (readonly [string, Partial<GenerateRequest>, object, Record<string, unknown>])[] = [
  ['nothing but what is known, and no sampling', { topP: 0.5, seed: 3, minP: 0.1 }, {}, PLAIN],
  [
    'a temperature where the model takes one, up to 1',
    { temperature: 1.4 },
    { sampling: 'send' },
    { ...PLAIN, temperature: 1 },
  ],
  [
    'no thinking field where the model refuses it',
    {},
    { thinking: 'unset' },
    { ...PLAIN, thinking: undefined },
  ],
  [
    'an unmarked prefix where it is not to be kept',
    {},
    { promptCache: 'off' },
    { ...PLAIN, system: [{ type: 'text', text: 'You are Mordane.' }] },
  ],
  [
    'stop strings, save those of blanks',
    { stop: ['\n', 'END', ''] },
    {},
    { ...PLAIN, stop_sequences: ['END'] },
  ],
  [
    'the schema that the answer must follow',
    { responseSchema: { type: 'object' } },
    {},
    { ...PLAIN, output_config: { format: { type: 'json_schema', schema: { type: 'object' } } } },
  ],
  [
    'what was said already as the message to go on from, without its last blanks',
    { assistantPrefix: 'I sell ' },
    { continuesAssistant: true },
    { ...PLAIN, messages: [...PLAIN.messages, { role: 'assistant', content: 'I sell' }] },
  ],
];

for (const [what, changes, options, expected] of BODIES) {
  test(`Anthropic is sent ${what}`, async () =>
    assert.deepEqual(await bodyOf(changes, options), JSON.parse(JSON.stringify(expected))));
}

test('a temperature asks for the API version that takes one', async () => {
  await using double = await startAnthropicDouble();
  for (const sampling of ['drop', 'send'] as const) {
    await using driver = openDriver(anthropic, double.origin, { sampling });
    assert.equal((await say(driver, { maxTokens: 1, temperature: 0.5 })).reason, 'length');
  }
  assert.deepEqual(
    double.asked.map(({ headers }) => headers['anthropic-version']),
    ['2026-10-21', '2023-06-01'],
  );
});

test('where the model takes no prefill, going on is asked for in words', async () => {
  const { messages } = (await bodyOf({ assistantPrefix: 'I sell' })) as {
    messages: { role: string; content: string }[];
  };
  assert.equal(messages.at(-2)?.content, 'I sell');
  assert.match(messages.at(-1)?.content ?? '', /^Go on from exactly where/);
});

test('the blank that the prefix ended with is not said twice', async () => {
  const { transport } = replying([start(), delta(' '), delta(' swords.'), end('end_turn')]);
  const events = await answerOver(anthropic, { continuesAssistant: true }, transport, () => {}, {
    assistantPrefix: 'I sell ',
  });
  assert.equal(textOf(events), 'swords.');
});

test('a stop string of blanks ends the line on our side', async () => {
  await using double = await startAnthropicDouble(async (exchange) => {
    exchange.begin('text/event-stream');
    await exchange.send(start() + delta('One line.\nAnother'));
    for (;;) await exchange.send(delta(' word'));
  });
  await using driver = openDriver(anthropic, double.origin, {});
  const said = await say(driver, { stop: ['\n'] });
  assert.deepEqual([said.text, said.reason, said.usage.source], ['One line.', 'stop', 'estimated']);
  await double.untilRunning(0);
});

/** stop_reason, finish */
const FINISHES = [
  ['end_turn', 'stop'],
  ['stop_sequence', 'stop'],
  ['tool_use', 'stop'],
  ['max_tokens', 'length'],
  ['model_context_window_exceeded', 'length'],
  ['pause_turn', 'length'],
  ['refusal', 'content_filter'],
] as const;

for (const [stopReason, reason] of FINISHES) {
  test(`the stop_reason ${stopReason} is ${reason}`, async () => {
    const events = await answerOver(
      anthropic,
      {},
      replying([start() + delta('Hm.') + end(stopReason)]).transport,
    );
    const finish = events.at(-1);
    assert.equal(finish?.type === 'finish' && finish.reason, reason);
  });
}

test('a stop_reason that nobody knows disowns the line', async () => {
  await assert.rejects(
    answerOver(anthropic, {}, replying([start() + delta('Hm.') + end('melted')]).transport),
    (error) =>
      error instanceof ServiceError && error.code === 'engine_error' && error.details['isDisowned'] === true,
  );
});

test('the prompt is the sum of what was read, written and new; the output count replaces the one before', async () => {
  const usage = {
    input_tokens: 10,
    cache_creation_input_tokens: 200,
    cache_read_input_tokens: 3_000,
    output_tokens: 1,
  };
  const { transport } = replying([
    start(usage) + delta('Hm.'),
    event({ type: 'message_delta', delta: { stop_reason: null }, usage: { output_tokens: 4 } }),
    end('end_turn', { output_tokens: 9, input_tokens: null, output_tokens_details: { thinking_tokens: 2 } }),
  ]);
  const events = await answerOver(anthropic, {}, transport);
  assert.deepEqual(events[0], {
    type: 'usage',
    usage: {
      promptTokens: 3_210,
      cachedTokens: 3_000,
      cacheWriteTokens: 200,
      completionTokens: 0,
      source: 'estimated',
    },
  });
  assert.deepEqual(events.at(-1), {
    type: 'finish',
    reason: 'stop',
    usage: {
      promptTokens: 3_210,
      cachedTokens: 3_000,
      cacheWriteTokens: 200,
      completionTokens: 9,
      reasoningTokens: 2,
      source: 'reported',
    },
  });
});

test('thinking is not spoken, and an event of a kind to come is no failure', async () => {
  const thinking = {
    type: 'content_block_delta',
    index: 0,
    delta: { type: 'thinking_delta', thinking: 'Hmm' },
  };
  const pieces = [start(), event(thinking), event({ type: 'weather' }), delta('Yes.'), end('end_turn')];
  assert.equal(textOf(await answerOver(anthropic, {}, replying(pieces).transport)), 'Yes.');
});

const error = (type: string, message: string, details?: object) =>
  JSON.stringify({
    type: 'error',
    error: { type, message, ...(details ? { details } : {}) },
    request_id: 'req_1',
  });

/** status, headers, body, code, retryAfterMs */
const REFUSALS: readonly (readonly [number, Record<string, string>, string, string, number?])[] = [
  [
    400,
    {},
    error('invalid_request_error', 'prompt is too long: 215000 tokens > 200000 maximum'),
    'context_length_exceeded',
  ],
  [400, {}, error('invalid_request_error', 'temperature: not supported'), 'bad_request'],
  [
    400,
    {},
    error('invalid_request_error', 'Your credit balance is too low to access the API.'),
    'engine_account',
  ],
  [401, {}, error('authentication_error', 'invalid x-api-key'), 'engine_account'],
  [402, {}, error('billing_error', 'no card'), 'engine_account'],
  [403, {}, error('permission_error', 'not yours'), 'engine_account'],
  [404, {}, error('not_found_error', 'model: m'), 'unknown_model'],
  [413, {}, error('request_too_large', 'Request exceeds the maximum size'), 'context_length_exceeded'],
  [429, { 'retry-after': '12' }, error('rate_limit_error', 'slow down'), 'overloaded', 12_000],
  [
    429,
    {},
    error('rate_limit_error', 'spend limit', { error_code: 'enforced_spend_limit_reached' }),
    'engine_account',
  ],
  [500, {}, error('api_error', 'Internal server error'), 'engine_error'],
  [504, {}, error('timeout_error', 'timed out'), 'engine_error'],
  [529, {}, error('overloaded_error', 'Overloaded'), 'overloaded'],
];

for (const [status, headers, text, code, retryAfterMs] of REFUSALS) {
  test(`Anthropic's ${status} with ${text.slice(24, 100)} is ${code}`, async () => {
    await assert.rejects(
      answerOver(anthropic, {}, replying([text], { status, headers }).transport),
      (failure) => {
        assert.ok(failure instanceof ServiceError);
        assert.equal(failure.code, code);
        assert.equal(failure.details['retryAfterMs'], retryAfterMs);
        return true;
      },
    );
  });
}

for (const [type, message, code] of [
  ['api_error', 'Internal server error', 'engine_error'],
  ['rate_limit_error', 'slow down', 'overloaded'],
  ['authentication_error', 'revoked', 'engine_account'],
  ['invalid_request_error', 'prompt is too long', 'context_length_exceeded'],
  ['invalid_request_error', 'no', 'bad_request'],
] as const) {
  test(`an error event of ${type} (${message}) is ${code}`, async () => {
    const failure = event({ type: 'error', error: { type, message } });
    await assert.rejects(
      answerOver(anthropic, {}, replying([start(), failure]).transport),
      (thrown) => thrown instanceof ServiceError && thrown.code === code,
    );
  });
}

test('the probe asks for the model, which proves the key too', async () => {
  await using double = await startAnthropicDouble();
  await using driver = openDriver(anthropic, double.origin, {});
  assert.deepEqual(await driver.probe.models(signal), [
    { id: 'm', maxModelTokens: 200_000, parent: null },
    { id: 'claude-haiku-4-5', maxModelTokens: 200_000, parent: null },
  ]);
  assert.equal(await driver.probe.version(signal), 'unknown');
  assert.equal(await driver.probe.load(signal), null);
  await driver.probe.live(signal);
  await driver.probe.ready(signal);
  await using absent = openDriver(anthropic, double.origin, {}, { model: 'absent' });
  await assert.rejects(
    absent.probe.ready(signal),
    (failure) => failure instanceof ServiceError && failure.code === 'not_ready',
  );
  await using stranger = openDriver(anthropic, double.origin, {}, { apiKey: 'other' });
  await assert.rejects(
    stranger.probe.ready(signal),
    (failure) => failure instanceof ServiceError && failure.code === 'engine_account',
  );
});

test("the vendor's own client talks to the double: whole, streamed, listed, refused", async () => {
  await using double = await startAnthropicDouble();
  const client = new Anthropic({ baseURL: double.origin, apiKey: 'test-key', maxRetries: 0 });
  const asked = { model: 'm', max_tokens: 3, messages: [{ role: 'user' as const, content: 'Hi' }] };
  const whole = await client.messages.create(asked);
  assert.deepEqual(whole.content, [{ type: 'text', text: 'wörd0 wörd1 wörd2 ' }]);
  const streamed = await client.messages.stream(asked).finalMessage();
  assert.deepEqual(
    [
      streamed.content[0]?.type === 'text' && streamed.content[0].text,
      streamed.stop_reason,
      streamed.usage.output_tokens,
    ],
    ['wörd0 wörd1 wörd2 ', 'max_tokens', 3],
  );
  assert.equal((await client.models.retrieve('m')).max_input_tokens, 200_000);
  await assert.rejects(client.messages.create({ ...asked, model: 'absent' }), Anthropic.NotFoundError);
  await assert.rejects(
    client.messages.create({ ...asked, messages: [{ role: 'assistant', content: 'Hm ' }] }),
    Anthropic.BadRequestError,
  );
});

test("the vendor's own client takes our double's failures for what they are", async () => {
  await using double = await startAnthropicDouble(async (exchange) => {
    if (exchange.body['stream'] !== true) {
      refuse(exchange, 429, 'rate_limit_error', 'spend limit', {
        details: { error_code: 'enforced_spend_limit_reached' },
      });
      return;
    }
    exchange.begin('text/event-stream');
    await exchange.send(start() + delta('Hm'));
    await exchange.send(event({ type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } }));
    exchange.response.end();
  });
  const client = new Anthropic({ baseURL: double.origin, apiKey: 'test-key', maxRetries: 0 });
  const asked = { model: 'm', max_tokens: 3, messages: [{ role: 'user' as const, content: 'Hi' }] };
  await assert.rejects(client.messages.stream(asked).finalMessage(), /Overloaded/);
  await assert.rejects(
    client.messages.create(asked),
    (failure) =>
      failure instanceof Anthropic.RateLimitError && failure.errorCode === 'enforced_spend_limit_reached',
  );
});
