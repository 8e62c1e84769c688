import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { GenerateRequest } from '../core/engine.ts';
import { ServiceError } from '../core/errors.ts';
import { openDriver, openForConformance, say } from '../testing/driver-harness.ts';
import { engineConformance } from '../testing/engine-conformance.ts';
import { answerOver, replying, textOf, wireFaults } from '../testing/wire-faults.ts';
import { event, startTritonTextDouble } from '../testing/wires/triton-text.ts';
import { tritonText } from './triton-text.ts';

const signal = new AbortController().signal;

engineConformance("Triton's LLM-API model behind a double", () =>
  openForConformance(tritonText, startTritonTextDouble, {}),
);
for (const [model, backend] of [
  ['ensemble', 'tensorrtllm-ensemble'],
  ['vllm', 'vllm'],
] as const)
  engineConformance(`Triton's ${model} behind a double`, async () => ({
    ...(await openForConformance(tritonText, startTritonTextDouble, { backend })),
    model,
  }));

const said = (text: string, finishReason = '') => event({ text_output: text, finish_reason: finishReason });

wireFaults(
  tritonText,
  {},
  {
    contentType: 'text/event-stream; charset=utf-8',
    answer: said('Grüß ') + said('dich 🧛', 'stop'),
    text: 'Grüß dich 🧛',
    words: said('Grüß '),
    failure: event({ error: 'in ensemble, Exceeds maximum queue size' }),
    failureCode: 'overloaded',
    frameStart: 'data: {"text_output":"',
    saysItsEnd: true,
  },
);

wireFaults(
  tritonText,
  { backend: 'tensorrtllm-ensemble' },
  {
    contentType: 'text/event-stream',
    answer: event({ text_output: 'Grüß ' }) + event({ text_output: 'dich 🧛' }),
    text: 'Grüß dich 🧛',
    words: event({ text_output: 'Grüß ' }),
    failure: event({
      error: 'Encountered an error when fetching new request: prompt input length exceeds max_input_len',
    }),
    failureCode: 'context_length_exceeded',
    frameStart: 'data: {"text_output":"',
    saysItsEnd: false,
  },
);

async function sentFor(
  changes: Partial<GenerateRequest>,
  options: Parameters<typeof tritonText.options.parse>[0],
) {
  const { sent, transport } = replying([event({ text_output: 'Hm.', finish_reason: 'stop' })]);
  await answerOver(tritonText, options as object, transport, () => {}, {
    messages: [{ role: 'user', content: 'Hi' }],
    maxTokens: 5,
    topP: 0.9,
    minP: 0.1,
    repetitionPenalty: 1.1,
    seed: 7,
    stop: ['\n'],
    ...changes,
  });
  return { path: sent[0]?.path, body: JSON.parse(String(sent[0]?.body)) as Record<string, unknown> };
}

const PROMPT = '<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n';

test('the LLM-API model is sent its own names', async () => {
  const { path, body } = await sentFor({}, {});
  assert.equal(path, '/v2/models/m/generate_stream');
  assert.deepEqual(body, {
    text_input: PROMPT,
    streaming: true,
    return_finish_reason: true,
    sampling_param_max_tokens: 5,
    sampling_param_temperature: 0,
    sampling_param_top_p: 0.9,
    sampling_param_seed: 7,
    sampling_param_stop: ['\n'],
  });
});

test('the vLLM backend is sent its sampling as one text', async () => {
  const { body } = await sentFor({ stop: [] }, { backend: 'vllm' });
  assert.deepEqual(JSON.parse(String(body['sampling_parameters'])), {
    max_tokens: 5,
    temperature: 0,
    top_p: 0.9,
    min_p: 0.1,
    repetition_penalty: 1.1,
    seed: 7,
  });
  assert.equal(body['max_tokens'], undefined);
});

test('names, further inputs and the version are as the configuration says', async () => {
  const { path, body } = await sentFor(
    {},
    {
      backend: 'tensorrtllm-ensemble',
      modelVersion: '3',
      fields: { prompt: 'QUERY', stop: '', seed: '', text: '' },
      inputs: { lora_task_id: 4 },
    },
  );
  assert.equal(path, '/v2/models/m/versions/3/generate_stream');
  assert.deepEqual(body, {
    QUERY: PROMPT,
    stream: true,
    lora_task_id: 4,
    exclude_input_in_output: true,
    max_tokens: 5,
    temperature: 0,
    top_p: 0.9,
    repetition_penalty: 1.1,
  });
});

test("a model's own end mark ends the line and is not heard", async () => {
  const { transport } = replying([said('Well met.<|im_'), said('end|><|im_start|>user')]);
  const events = await answerOver(tritonText, {}, transport);
  assert.equal(textOf(events), 'Well met.');
});

test('without a finish_reason an answer that has its tensor is cut, one that has none goes by its tokens', async () => {
  await assert.rejects(
    answerOver(tritonText, {}, replying([said('Hm.')]).transport),
    /ended without a finish_reason/,
  );
  const options = { backend: 'tensorrtllm-ensemble' } as const;
  for (const [maxTokens, reason] of [
    [2, 'length'],
    [3, 'stop'],
  ] as const) {
    const { transport } = replying([event({ text_output: 'Hm' }), event({ text_output: ['.'] })]);
    const finish = (await answerOver(tritonText, options, transport, () => {}, { maxTokens })).at(-1);
    assert.equal(finish?.type === 'finish' && finish.reason, reason);
  }
  await assert.rejects(answerOver(tritonText, options, replying([]).transport), /ended without an answer/);
});

test('a finish_reason that nobody knows disowns the line', async () => {
  await assert.rejects(
    answerOver(tritonText, {}, replying([said('Hm.', 'cancelled')]).transport),
    (error) => error instanceof ServiceError && error.details['isDisowned'] === true,
  );
});

test('the vLLM backend counts both sides', async () => {
  await using double = await startTritonTextDouble();
  await using driver = openDriver(tritonText, double.origin, { backend: 'vllm' });
  const { usage } = await say(driver, { model: 'vllm', maxTokens: 4 });
  assert.ok(usage.promptTokens > 10);
  assert.deepEqual([usage.completionTokens, usage.source], [4, 'reported']);
});

test('it says its version, lives, and is ready when its model is', async () => {
  await using double = await startTritonTextDouble();
  await using driver = openDriver(tritonText, double.origin, {});
  assert.equal(await driver.probe.version(signal), '2.61.0');
  assert.deepEqual(await driver.probe.models(signal), [{ id: 'm', maxModelTokens: null, parent: null }]);
  assert.equal(await driver.probe.load(signal), null);
  assert.ok((await driver.counter.count('Good evening.', signal)) > 2);
  await driver.probe.live(signal);
  await driver.probe.ready(signal);
  double.models.delete('m');
  await driver.probe.live(signal);
  await assert.rejects(
    driver.probe.ready(signal),
    (error) => error instanceof ServiceError && error.code === 'not_ready',
  );
});
