import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { prometheusSamples, prometheusSum } from './prometheus-text.ts';

/** As vLLM 0.29 writes it (2026-08-17), with two engines of a data-parallel server. */
const PAGE = `# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="a/b"} 3.0
vllm:num_requests_running{engine="1",model_name="a/b"} 2.0
vllm:num_requests_running_by{x="y"} 100
vllm:lora_requests_info{max_lora="4",running_lora_adapters="guard@1, \\"x\\"\\\\,}",waiting_lora_adapters=""} 1.7e+09 1700000000000
tgi_queue_size 7
process_open_fds NaN
up{} +Inf
`;

test('samples are read with their labels, escapes and times', () => {
  const samples = [...prometheusSamples(PAGE)];
  assert.equal(samples.length, 7);
  assert.deepEqual(samples[3], {
    name: 'vllm:lora_requests_info',
    labels: { max_lora: '4', running_lora_adapters: 'guard@1, "x"\\,}', waiting_lora_adapters: '' },
    value: 1.7e9,
  });
  assert.deepEqual(samples[4], { name: 'tgi_queue_size', labels: {}, value: 7 });
  assert.equal(samples[6]?.value, Number.POSITIVE_INFINITY);
});

test('one metric is the sum of its series, and of no other that begins alike', () => {
  assert.equal(prometheusSum(PAGE, 'vllm:num_requests_running'), 5);
  assert.equal(prometheusSum(PAGE, 'tgi_queue_size'), 7);
});

test('a metric that is not there, or is no number, has no sum', () => {
  assert.equal(prometheusSum(PAGE, 'vllm:num_requests_waiting'), null);
  assert.equal(prometheusSum(PAGE, 'process_open_fds'), null);
  assert.equal(prometheusSum('<html><body>Not found</body></html>', 'up'), null);
  assert.equal(prometheusSum('', 'up'), null);
});

test('a line that is broken hides no other', () => {
  const page = 'up{a="b 1\nup{a=b} 1\nup{a="b"}\nup x\nup\n1 up\nup{a="b",} 4 \nup 0x\r\nup 2\r\n';
  assert.equal(prometheusSum(page, 'up'), 6);
});

test('any series of good samples is read back', () => {
  const label = fc.string({ unit: 'grapheme' }).filter((text) => !/[\r\n]/.test(text));
  const escaped = (text: string) => text.replaceAll('\\', '\\\\').replaceAll('"', '\\"');
  fc.assert(
    fc.property(fc.array(fc.tuple(label, fc.integer()), { maxLength: 20 }), (series) => {
      const page = series.map(([value, number]) => `up{job="${escaped(value)}"} ${number}`).join('\n');
      assert.deepEqual(
        [...prometheusSamples(page)].map(({ labels, value }) => [labels['job'], value]),
        series,
      );
    }),
  );
});

test('no text makes it throw, wherever it is cut', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      for (const sample of prometheusSamples(text)) assert.equal(typeof sample.value, 'number');
    }),
  );
  for (let end = 0; end <= PAGE.length; end += 1) {
    const sum = prometheusSum(PAGE.slice(0, end), 'vllm:num_requests_running');
    assert.ok(sum === null || sum <= 5);
  }
});
