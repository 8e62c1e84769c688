import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Ollama } from 'ollama';
import type { GenerateRequest } from '../core/engine.ts';
import { ServiceError } from '../core/errors.ts';
import { openDriver, openForConformance, say } from '../testing/driver-harness.ts';
import { engineConformance, lineRequest } from '../testing/engine-conformance.ts';
import { answerOver, replying, wireFaults } from '../testing/wire-faults.ts';
import { head, line, said, startOllamaDouble } from '../testing/wires/ollama.ts';
import { ollama } from './ollama.ts';

const signal = new AbortController().signal;

engineConformance('Ollama behind a double', () => openForConformance(ollama, startOllamaDouble, {}));

const body = { model: 'm' };
const WORDS = line({ ...head(body), message: said('Grüß '), done: false });
const DONE = line({
  ...head(body),
  message: said(''),
  done: true,
  done_reason: 'stop',
  prompt_eval_count: 9,
  eval_count: 2,
});

wireFaults(
  ollama,
  {},
  {
    contentType: 'application/x-ndjson',
    answer: WORDS + line({ ...head(body), message: said('dich 🧛'), done: false }) + DONE,
    text: 'Grüß dich 🧛',
    words: WORDS,
    failure: line({ error: 'llama runner process has terminated: signal: killed' }),
    failureCode: 'engine_error',
    frameStart: '{"model":"m","message":{"role":"assistant","content":"',
    saysItsEnd: true,
  },
);

async function bodyOf(changes: Partial<GenerateRequest>, options = {}) {
  const { sent, transport } = replying([DONE]);
  await answerOver(ollama, options, transport, () => {}, {
    messages: [{ role: 'user', content: 'Hi' }],
    maxTokens: 1,
    ...changes,
  });
  return JSON.parse(String(sent[0]?.body)) as Record<string, unknown>;
}

const PLAIN = {
  model: 'm',
  messages: [{ role: 'user', content: 'Hi' }],
  stream: true,
  think: false,
  truncate: false,
  keep_alive: -1,
  options: { num_ctx: 4_096, num_predict: 1, temperature: 0 },
};

test('Ollama is sent nothing but what is known', async () => assert.deepEqual(await bodyOf({}), PLAIN));

test('Ollama is sent sampling in its own words', async () => {
  const changes = { topP: 0.9, minP: 0.05, repetitionPenalty: 1.1, seed: 7, stop: ['\n'] };
  assert.deepEqual((await bodyOf(changes))['options'], {
    ...PLAIN.options,
    top_p: 0.9,
    min_p: 0.05,
    repeat_penalty: 1.1,
    seed: 7,
    stop: ['\n'],
  });
});

test('Ollama is sent the schema as format, and what its options say', async () => {
  const sent = await bodyOf(
    { responseSchema: { type: 'object' } },
    { keepAlive: '30m', numCtx: 512, numGpu: 0 },
  );
  assert.deepEqual(sent, {
    ...PLAIN,
    keep_alive: '30m',
    format: { type: 'object' },
    options: { ...PLAIN.options, num_ctx: 512, num_gpu: 0 },
  });
});

test('Ollama goes on natively where the template can, and is asked to in words elsewhere', async () => {
  const changes = { assistantPrefix: 'I sell' };
  const natively = (await bodyOf(changes, { continuesAssistant: true }))['messages'] as { role: string }[];
  assert.deepEqual(natively.at(-1), { role: 'assistant', content: 'I sell' });
  const asked = (await bodyOf(changes))['messages'] as { role: string; content: string }[];
  assert.equal(asked.at(-2)?.content, 'I sell');
  assert.match(asked.at(-1)?.content ?? '', /^Go on from exactly where/);
});

test('a model is loaded once, whatever is asked of it', async () => {
  await using double = await startOllamaDouble();
  await using driver = openDriver(ollama, double.origin, { numCtx: 2_048 });
  await driver.prepare?.(signal);
  for (const changes of [
    { maxTokens: 3 },
    { maxTokens: 5, temperature: 1, seed: 4 },
    { maxTokens: 2, topP: 0.5 },
  ])
    await say(driver, changes);
  assert.equal(double.loads, 1);
});

test('counts that are left out are zero for the answer and unknown for the prompt', async () => {
  const done = line({ ...head(body), message: said(''), done: true, done_reason: 'length' });
  const events = await answerOver(ollama, {}, replying([done]).transport);
  const finish = events.at(-1);
  assert.ok(finish?.type === 'finish' && finish.usage.promptTokens > 10);
  assert.deepEqual(
    [finish.reason, finish.usage.completionTokens, finish.usage.source],
    ['length', 0, 'estimated'],
  );
});

test('what a line has cost so far is told before each word', async () => {
  const events = await answerOver(ollama, {}, replying([WORDS, WORDS, DONE]).transport);
  const running = events.filter((event) => event.type === 'usage').map(({ usage }) => usage.completionTokens);
  assert.deepEqual(running, [1, 2]);
  assert.deepEqual(events.at(-1), {
    type: 'finish',
    reason: 'stop',
    usage: { promptTokens: 9, cachedTokens: 0, completionTokens: 2, source: 'reported' },
  });
});

test('an answer that only loaded or unloaded is none', async () => {
  const loaded = line({ ...head(body), message: said(''), done: true, done_reason: 'load' });
  await assert.rejects(
    answerOver(ollama, {}, replying([loaded]).transport),
    (error) => error instanceof ServiceError && error.details['isDisowned'] === true,
  );
});

/** status, body, code */
const REFUSALS: readonly (readonly [number, string, string])[] = [
  [404, '{"error":"model \'m\' not found"}', 'unknown_model'],
  [400, '{"error":"the input length exceeds the context length"}', 'context_length_exceeded'],
  [400, '{"error":"\\"m\\" does not support chat"}', 'bad_request'],
  [503, '{"error":"server busy, please try again.  maximum pending requests exceeded"}', 'overloaded'],
  [500, '{"error":"llama runner process has terminated: exit status 2"}', 'engine_error'],
];

for (const [status, text, code] of REFUSALS) {
  test(`Ollama's ${status} with ${text} is ${code}`, async () => {
    await assert.rejects(
      answerOver(ollama, {}, replying([text], { status }).transport),
      (error) => error instanceof ServiceError && error.code === code,
    );
  });
}

test('a full context or a full queue that it tells of in the stream keeps its meaning', async () => {
  for (const [text, code] of [
    ['the input length exceeds the context length', 'context_length_exceeded'],
    ['server busy, please try again.  maximum pending requests exceeded', 'overloaded'],
  ])
    await assert.rejects(
      answerOver(ollama, {}, replying([line({ error: text })]).transport),
      (error) => error instanceof ServiceError && error.code === code,
    );
});

test('it says its version and its models, and lives', async () => {
  await using double = await startOllamaDouble();
  await using driver = openDriver(ollama, double.origin, {});
  assert.equal(await driver.probe.version(signal), '0.33.0-rc2');
  assert.deepEqual(await driver.probe.models(signal), [
    { id: 'm', maxModelTokens: 4_096, parent: null },
    { id: 'spare:7b', maxModelTokens: null, parent: null },
  ]);
  await driver.probe.live(signal);
  assert.equal(await driver.probe.load(signal), null);
});

test('it is ready when the model is in memory, wholly on the GPU or wholly off it, with our context', async () => {
  await using double = await startOllamaDouble();
  await using driver = openDriver(ollama, double.origin, {});
  const notReady = (pattern: RegExp) =>
    assert.rejects(
      driver.probe.ready(signal),
      (error) => error instanceof ServiceError && error.code === 'not_ready' && pattern.test(error.message),
    );
  await notReady(/m is not in memory/);
  await driver.prepare?.(signal);
  await driver.probe.ready(signal);
  double.memory.sizeVram = 0;
  await driver.probe.ready(signal);
  double.memory.sizeVram = 1_000_000_000;
  await notReady(/only 1000000000 of 4000000000 bytes.*allowPartialOffload/);
  await openDriver(ollama, double.origin, { allowPartialOffload: true }).probe.ready(signal);
  await using wider = openDriver(ollama, double.origin, { numCtx: 8_192, allowPartialOffload: true });
  await assert.rejects(wider.probe.ready(signal), /context of 4096 tokens, ours is 8192/);
});

test("the vendor's own client talks to the double: list, chat, stream, pull, error", async () => {
  await using double = await startOllamaDouble();
  const client = new Ollama({ host: double.origin });
  assert.deepEqual(
    (await client.list()).models.map(({ name }) => name),
    ['m:latest', 'spare:7b'],
  );
  const asked = { model: 'm', messages: [{ role: 'user', content: 'Hi' }], options: { num_predict: 3 } };
  const answer = await client.chat(asked);
  assert.deepEqual([answer.message.content, answer.eval_count], ['wörd0 wörd1 wörd2 ', 3]);
  let text = '';
  let doneReason: string | undefined;
  for await (const part of await client.chat({ ...asked, stream: true })) {
    text += part.message.content;
    doneReason = part.done_reason;
  }
  assert.deepEqual([text, doneReason], ['wörd0 wörd1 wörd2 ', 'length']);
  assert.equal((await client.ps()).models[0]?.size_vram, 4_000_000_000);
  const statuses: string[] = [];
  for await (const part of await client.pull({ model: 'm', stream: true })) statuses.push(part.status);
  assert.deepEqual(statuses.slice(-2), ['writing manifest', 'success']);
  await assert.rejects(client.chat({ ...asked, model: 'absent' }), /model 'absent' not found/);
});

test("the vendor's own client takes our double's failure in the stream for one", async () => {
  await using double = await startOllamaDouble(async (exchange) => {
    exchange.begin('application/x-ndjson');
    await exchange.send(WORDS);
    await exchange.send(line({ error: 'llama runner process has terminated' }));
    exchange.response.end();
  });
  const client = new Ollama({ host: double.origin });
  const asked = { model: 'm', messages: [{ role: 'user', content: 'Hi' }], stream: true as const };
  await assert.rejects(async () => {
    for await (const _ of await client.chat(asked));
  }, /terminated/);
});

test('a line that is read to its end leaves its connection to the next', async () => {
  await using double = await startOllamaDouble();
  await using driver = openDriver(ollama, double.origin, {}, { connections: 1 });
  for (let index = 0; index < 3; index += 1)
    for await (const _ of driver.engine.generate(lineRequest({ maxTokens: 2 }), signal));
  assert.equal(double.connections, 1);
});
