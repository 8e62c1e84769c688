/** The trace in others' formats: every field that their readers ask for, and nothing that they refuse. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { BLOCK_TOKENS, convert, formatOf } from './convert.ts';
import { messagesOf, readTrace, type SayEntry } from './trace.ts';

const trace = readTrace(join(import.meta.dirname, 'published.jsonl'));
const says = trace.entries.filter((entry): entry is SayEntry => entry.kind === 'say');

function linesOf(text: string): Record<string, unknown>[] {
  assert.ok(text.endsWith('}\n'));
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

test('AIPerf gets each line with its time and its messages, and exactly one kind of input', () => {
  const lines = linesOf(convert(trace, 'aiperf'));
  assert.equal(lines.length, says.length);
  let lastMs = 0;
  for (const [index, line] of lines.entries()) {
    const entry = says[index] as SayEntry;
    assert.deepEqual(Object.keys(line).toSorted(), ['extra', 'messages', 'output_length', 'timestamp']);
    assert.deepEqual(line['messages'], messagesOf(trace.header, entry));
    assert.equal(line['output_length'], entry.maxTokens);
    assert.ok((line['timestamp'] as number) >= lastMs);
    lastMs = line['timestamp'] as number;
  }
});

test('vLLM gets prompts that need no template, and how long the answers may be', () => {
  const lines = linesOf(convert(trace, 'vllm'));
  assert.equal(lines.length, says.length);
  for (const [index, line] of lines.entries()) {
    const prompt = line['prompt'] as string;
    const messages = messagesOf(trace.header, says[index] as SayEntry);
    assert.ok(prompt.startsWith(`<|im_start|>system\n${messages[0]?.content}<|im_end|>\n`));
    assert.ok(prompt.endsWith(`${messages.at(-1)?.content}<|im_end|>\n<|im_start|>assistant\n`));
    assert.equal(prompt.split('<|im_start|>').length - 2, messages.length);
    assert.ok(Number.isInteger(line['output_tokens']));
  }
});

test('in vLLM’s timed format lines that share a prefix share its blocks, and equal prompts all of theirs', () => {
  const lines = linesOf(convert(trace, 'vllm-timed'));
  const byPrefix = Map.groupBy(says, ({ prefix }) => prefix);
  const idsOf = (entry: SayEntry) => lines[says.indexOf(entry)]?.['hash_ids'] as number[];
  for (const line of lines) {
    const { input_length: length, hash_ids: ids } = line as { input_length: number; hash_ids: number[] };
    assert.equal(ids.length, Math.ceil(length / BLOCK_TOKENS));
    assert.equal(new Set(ids).size, ids.length);
  }
  for (const [prefix, [one, other]] of byPrefix) {
    if (one === undefined || other === undefined) continue;
    const shared = idsOf(one).filter((id, index) => idsOf(other)[index] === id).length;
    const prefixTokens = Buffer.byteLength(
      (trace.header.prefixes.find(({ id }) => id === prefix)?.messages ?? []).map((m) => m.content).join(''),
    );
    assert.ok(shared * BLOCK_TOKENS * 4 >= prefixTokens * 0.8, `${prefix}: ${shared} blocks are shared`);
  }
});

test('a format that is not known is refused by name', () => {
  assert.throws(() => formatOf('locust'), /--to is locust; expected aiperf, vllm, vllm-timed/);
  assert.throws(() => formatOf(undefined), /--to is missing/);
});
