import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ApiError, GoogleGenAI } from '@google/genai';
import type { GenerateRequest } from '../core/engine.ts';
import { ServiceError } from '../core/errors.ts';
import { openDriver, openForConformance, say } from '../testing/driver-harness.ts';
import { engineConformance } from '../testing/engine-conformance.ts';
import { answerOver, replying, textOf, wireFaults } from '../testing/wire-faults.ts';
import { errorBody, event, refuse, said, startGeminiDouble } from '../testing/wires/gemini.ts';
import { gemini } from './gemini.ts';

const signal = new AbortController().signal;

engineConformance('Gemini behind a double', () => openForConformance(gemini, startGeminiDouble, {}));

wireFaults(
  gemini,
  {},
  {
    contentType: 'text/event-stream',
    answer: event(said('Grüß ', null, 1)) + event(said('dich 🧛', 'STOP', 4)),
    text: 'Grüß dich 🧛',
    words: event(said('Grüß ', null)),
    failure: event(errorBody(503, 'UNAVAILABLE', 'The model is overloaded. Please try again later.')),
    failureCode: 'overloaded',
    frameStart: 'data: {"candidates":[{"content":{"parts":[{"text":"',
    saysItsEnd: true,
  },
);

async function bodyOf(changes: Partial<GenerateRequest>, options = {}) {
  const { sent, transport } = replying([event(said('Hm.', 'STOP'))]);
  await answerOver(gemini, options, transport, () => {}, {
    messages: [
      { role: 'system', content: 'You are Mordane.' },
      { role: 'user', content: 'Hi' },
    ],
    maxTokens: 1,
    ...changes,
  });
  assert.equal(sent[0]?.path.endsWith(':streamGenerateContent?alt=sse'), true);
  return JSON.parse(String(sent[0]?.body)) as Record<string, unknown>;
}

const CONFIG = { maxOutputTokens: 1, temperature: 0, thinkingConfig: { thinkingBudget: 0 } };
const PLAIN = {
  contents: [{ role: 'user', parts: [{ text: 'Hi' }] }],
  systemInstruction: { parts: [{ text: 'You are Mordane.' }] },
  generationConfig: CONFIG,
};

const BODIES: readonly (readonly [string, Partial<GenerateRequest>, object, object])[] = [
  ['nothing but what is known', { minP: 0.1, repetitionPenalty: 1.1 }, {}, PLAIN],
  [
    'sampling in its own words, and five stop strings',
    { topP: 0.9, seed: 7, stop: ['a', 'b', 'c', 'd', 'e', 'f'] },
    {},
    {
      ...PLAIN,
      generationConfig: { ...CONFIG, topP: 0.9, seed: 7, stopSequences: ['a', 'b', 'c', 'd', 'e'] },
    },
  ],
  [
    'the least of thinking, with room for it',
    {},
    { thinking: 'minimal', thinkingTokensMax: 100 },
    {
      ...PLAIN,
      generationConfig: { ...CONFIG, maxOutputTokens: 101, thinkingConfig: { thinkingLevel: 'MINIMAL' } },
    },
  ],
  [
    'nothing of thinking where it is left to the model',
    {},
    { thinking: 'unset' },
    { ...PLAIN, generationConfig: { maxOutputTokens: 1, temperature: 0 } },
  ],
  [
    'the schema that the answer must follow',
    { responseSchema: { type: 'object' } },
    {},
    {
      ...PLAIN,
      generationConfig: {
        ...CONFIG,
        responseMimeType: 'application/json',
        responseJsonSchema: { type: 'object' },
      },
    },
  ],
];

for (const [what, changes, options, expected] of BODIES) {
  test(`Gemini is sent ${what}`, async () => assert.deepEqual(await bodyOf(changes, options), expected));
}

test('Gemini is told from which harm on to block, for each kind', async () => {
  const { safetySettings } = (await bodyOf({}, { safetyThreshold: 'BLOCK_ONLY_HIGH' })) as {
    safetySettings: { threshold: string }[];
  };
  assert.deepEqual(
    safetySettings.map(({ threshold }) => threshold),
    Array(4).fill('BLOCK_ONLY_HIGH'),
  );
});

test('Gemini is asked in words to go on, after its own words', async () => {
  const { contents } = (await bodyOf({ assistantPrefix: 'I sell' })) as {
    contents: { role: string; parts: { text: string }[] }[];
  };
  assert.deepEqual(contents.at(-2), { role: 'model', parts: [{ text: 'I sell' }] });
  assert.match(contents.at(-1)?.parts[0]?.text ?? '', /^Go on from exactly where/);
});

test('a model may be named with its collection', async () => {
  const { sent, transport } = replying([event(said('Hm.', 'STOP'))]);
  await answerOver(gemini, {}, transport, () => {}, { model: 'tunedModels/inn keeper' });
  assert.equal(sent[0]?.path, '/v1beta/tunedModels/inn%20keeper:streamGenerateContent?alt=sse');
});

test('a sixth stop string ends the line on our side', async () => {
  await using double = await startGeminiDouble(async (exchange) => {
    exchange.begin('text/event-stream');
    for (;;) await exchange.send(event(said('One. Two. ', null)));
  });
  await using driver = openDriver(gemini, double.origin, {});
  const { text, reason } = await say(driver, { stop: ['1', '2', '3', '4', '5', 'Two'] });
  assert.deepEqual([text, reason], ['One. ', 'stop']);
  await double.untilRunning(0);
});

/** finishReason, finish */
const FINISHES = [
  ['STOP', 'stop'],
  ['MAX_TOKENS', 'length'],
  ['SAFETY', 'content_filter'],
  ['RECITATION', 'content_filter'],
  ['PROHIBITED_CONTENT', 'content_filter'],
  ['LANGUAGE', 'content_filter'],
] as const;

for (const [finishReason, reason] of FINISHES) {
  test(`the finishReason ${finishReason} is ${reason}`, async () => {
    const events = await answerOver(gemini, {}, replying([event(said('Hm.', finishReason))]).transport);
    const finish = events.at(-1);
    assert.equal(finish?.type === 'finish' && finish.reason, reason);
  });
}

for (const finishReason of ['OTHER', 'MALFORMED_FUNCTION_CALL', 'SOMETHING_NEW']) {
  test(`the finishReason ${finishReason} disowns the line`, async () => {
    await assert.rejects(
      answerOver(gemini, {}, replying([event(said('Hm.', finishReason))]).transport),
      (error) => error instanceof ServiceError && error.details['isDisowned'] === true,
    );
  });
}

test('a prompt that is blocked is a filtered answer without words', async () => {
  const blocked = { promptFeedback: { blockReason: 'SAFETY' }, usageMetadata: { promptTokenCount: 12 } };
  const events = await answerOver(gemini, {}, replying([event(blocked)]).transport);
  assert.equal(textOf(events), '');
  const finish = events.at(-1);
  assert.ok(
    finish?.type === 'finish' && finish.reason === 'content_filter' && finish.usage.promptTokens === 12,
  );
});

test('thoughts are not spoken, and count into the answer', async () => {
  const thought = { candidates: [{ content: { parts: [{ text: 'Hmm', thought: true }] } }] };
  const last = said('Yes.', 'STOP', 3, { thoughtsTokenCount: 40, cachedContentTokenCount: 5 });
  const events = await answerOver(gemini, {}, replying([event(thought), event(last)]).transport);
  assert.equal(textOf(events), 'Yes.');
  assert.deepEqual(events.at(-1), {
    type: 'finish',
    reason: 'stop',
    usage: {
      promptTokens: 7,
      cachedTokens: 5,
      completionTokens: 43,
      reasoningTokens: 40,
      source: 'reported',
    },
  });
});

const retryInfo = (retryDelay: string) => ({
  '@type': 'type.googleapis.com/google.rpc.RetryInfo',
  retryDelay,
});
const quota = (quotaId: string) => ({
  '@type': 'type.googleapis.com/google.rpc.QuotaFailure',
  violations: [{ quotaMetric: 'generativelanguage.googleapis.com/requests', quotaId }],
});

/** status, name, message, details, code, retryAfterMs */
const REFUSALS: readonly (readonly [number, string, string, readonly unknown[], string, number?])[] = [
  [
    429,
    'RESOURCE_EXHAUSTED',
    'Quota exceeded',
    [quota('RequestsPerMinute'), retryInfo('59s')],
    'overloaded',
    59_000,
  ],
  [429, 'RESOURCE_EXHAUSTED', 'Quota exceeded', [retryInfo('0.25s')], 'overloaded', 250],
  [429, 'RESOURCE_EXHAUSTED', 'Quota exceeded', [retryInfo('999999s')], 'overloaded', 3_600_000],
  [429, 'RESOURCE_EXHAUSTED', 'Quota exceeded', [retryInfo('-3s')], 'overloaded'],
  [
    429,
    'RESOURCE_EXHAUSTED',
    'Quota exceeded',
    [quota('RequestsPerDayPerProject-FreeTier')],
    'engine_account',
  ],
  [429, 'RESOURCE_EXHAUSTED', 'Your project has exceeded its spending cap', [], 'engine_account'],
  [503, 'UNAVAILABLE', 'The model is overloaded', [], 'overloaded'],
  [400, 'INVALID_ARGUMENT', 'API key not valid', [{ reason: 'API_KEY_INVALID' }], 'engine_account'],
  [400, 'FAILED_PRECONDITION', 'User location is not supported', [], 'engine_account'],
  [
    400,
    'INVALID_ARGUMENT',
    'The input token count (2000000) exceeds the maximum number of tokens allowed (1048576).',
    [],
    'context_length_exceeded',
  ],
  [400, 'INVALID_ARGUMENT', 'Budget 0 is invalid', [], 'bad_request'],
  [402, 'UNKNOWN', 'Pay', [], 'engine_account'],
  [403, 'PERMISSION_DENIED', 'No', [], 'engine_account'],
  [404, 'NOT_FOUND', 'models/m is not found', [], 'unknown_model'],
  [500, 'INTERNAL', 'An internal error has occurred', [], 'engine_error'],
  [504, 'DEADLINE_EXCEEDED', 'Too slow', [], 'engine_error'],
];

for (const [status, name, message, details, code, retryAfterMs] of REFUSALS) {
  test(`Gemini's ${status} ${name} with ${JSON.stringify(details)} ${message.slice(0, 30)} is ${code}`, async () => {
    const text = JSON.stringify(errorBody(status, name, message, details));
    await assert.rejects(answerOver(gemini, {}, replying([text], { status }).transport), (error) => {
      assert.ok(error instanceof ServiceError);
      assert.equal(error.code, code);
      assert.equal(error.details['retryAfterMs'], retryAfterMs);
      return true;
    });
  });
}

test("a proxy's page in place of Google's error is read as everywhere", async () => {
  await assert.rejects(
    answerOver(gemini, {}, replying(['<html>Bad gateway</html>'], { status: 502 }).transport),
    (error) =>
      error instanceof ServiceError && error.code === 'engine_error' && /Bad gateway/.test(error.message),
  );
});

test('the probe asks for the model, which proves the key too', async () => {
  await using double = await startGeminiDouble();
  await using driver = openDriver(gemini, double.origin, {});
  assert.deepEqual((await driver.probe.models(signal))[1], {
    id: 'gemini-3-flash',
    maxModelTokens: 1_048_576,
    parent: null,
  });
  assert.equal(await driver.probe.version(signal), 'unknown');
  assert.equal(await driver.probe.load(signal), null);
  assert.ok((await driver.counter.count('Good evening.', signal)) > 2);
  await driver.probe.live(signal);
  await driver.probe.ready(signal);
  await using absent = openDriver(gemini, double.origin, {}, { model: 'absent' });
  await assert.rejects(
    absent.probe.ready(signal),
    (error) => error instanceof ServiceError && error.code === 'not_ready',
  );
  await using stranger = openDriver(gemini, double.origin, {}, { apiKey: 'other' });
  await assert.rejects(
    stranger.probe.ready(signal),
    (error) => error instanceof ServiceError && error.code === 'engine_account',
  );
});

test("the vendor's own client talks to the double: whole, streamed, looked up, refused", async () => {
  await using double = await startGeminiDouble();
  const client = new GoogleGenAI({ apiKey: 'test-key', httpOptions: { baseUrl: double.origin } });
  const asked = { model: 'm', contents: 'Hi', config: { maxOutputTokens: 3 } };
  const whole = await client.models.generateContent(asked);
  assert.deepEqual([whole.text, whole.candidates?.[0]?.finishReason], ['wörd0 wörd1 wörd2 ', 'MAX_TOKENS']);
  let text = '';
  let tokens = 0;
  for await (const part of await client.models.generateContentStream(asked)) {
    text += part.text ?? '';
    tokens = part.usageMetadata?.candidatesTokenCount ?? 0;
  }
  assert.deepEqual([text, tokens], ['wörd0 wörd1 wörd2 ', 3]);
  assert.equal((await client.models.get({ model: 'm' })).inputTokenLimit, 1_048_576);
  await assert.rejects(
    client.models.generateContent({ ...asked, model: 'absent' }),
    (error) => error instanceof ApiError && error.status === 404,
  );
});

test("the vendor's own client takes our double's failures for what they are", async () => {
  await using double = await startGeminiDouble(async (exchange) => {
    if (exchange.path.endsWith(':generateContent')) {
      refuse(exchange, 429, 'RESOURCE_EXHAUSTED', 'Quota exceeded', [retryInfo('59s')]);
      return;
    }
    exchange.begin('text/event-stream');
    await exchange.send(event(said('Hm', null)));
    await exchange.send(event(errorBody(503, 'UNAVAILABLE', 'The model is overloaded')));
    exchange.response.end();
  });
  const client = new GoogleGenAI({ apiKey: 'test-key', httpOptions: { baseUrl: double.origin } });
  const asked = { model: 'm', contents: 'Hi' };
  await assert.rejects(
    client.models.generateContent(asked),
    (error) => error instanceof ApiError && error.status === 429 && /59s/.test(error.message),
  );
});
