/**
 * The trace in the formats of others' load tools, for whom an entry is a prompt, a time and a length; hints, reconnects,
 * hang-ups and events are lost, and so is what our own door is told. `node bench/npc-trace/convert.ts --to aiperf`.
 *
 * - `aiperf`: AIPerf 0.13 `--custom-dataset-type mooncake_trace`, its variant with `messages` (docs/benchmark-modes/
 *   trace-replay.md and MooncakeTrace in src/aiperf/dataset/loader/models.py at 0109a64). Words and times are kept.
 * - `vllm`: `vllm bench serve --dataset-name custom` (CustomDataset in vllm/benchmarks/datasets/datasets.py at 003cf02):
 *   words, already in ChatML since that tool would make one user message of them; no times.
 * - `vllm-timed`: `vllm bench serve --dataset-name timed_trace` (vllm-project/vllm#39795), which is Mooncake's format:
 *   times, and lengths with hashes of blocks, so that what shares a beginning still does; no words.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { hash32 } from '../../src/cast/seeded.ts';
import { messagesOf, readTrace, type SayEntry, type Trace, type TraceMessage } from './trace.ts';

export type Format = 'aiperf' | 'vllm' | 'vllm-timed';
export const FORMATS: readonly Format[] = ['aiperf', 'vllm', 'vllm-timed'];

/** Tokens of one block of `vllm-timed`; to be given as `--timed-trace-chunk-hash-size`. */
export const BLOCK_TOKENS = 16;
/** Of the texts of this trace, by SmolLM2's tokenizer; other tokenizers of English are near. */
const BYTES_PER_TOKEN = 3.95;

/** The says of a trace as JSON lines of `format`, in the order of time; each line ends with a line break. */
export function convert({ header, entries }: Trace, format: Format): string {
  const says = entries.filter((entry) => entry.kind === 'say');
  const lines = says.map((entry) => {
    const messages = messagesOf(header, entry);
    if (format === 'aiperf') return asAiperf(entry, messages);
    return format === 'vllm' ? asVllm(entry, messages) : asVllmTimed(entry, messages);
  });
  return lines.map((line) => `${JSON.stringify(line)}\n`).join('');
}

/** Without a session: entries that share one would wait for each other, and the load would not be open any more. */
function asAiperf(entry: SayEntry, messages: readonly TraceMessage[]) {
  return {
    timestamp: entry.atMs,
    messages,
    output_length: entry.maxTokens,
    extra: { stop: ['\n'] },
  };
}

function asVllm(entry: SayEntry, messages: readonly TraceMessage[]) {
  return { prompt: chatMl(messages), output_tokens: entry.maxTokens };
}

function asVllmTimed(entry: SayEntry, messages: readonly TraceMessage[]) {
  const text = Buffer.from(chatMl(messages));
  const tokens = Math.ceil(text.length / BYTES_PER_TOKEN);
  const hashIds: number[] = [];
  // A block is known by all that stands before it, as in a prefix cache.
  for (let block = 1; block <= Math.ceil(tokens / BLOCK_TOKENS); block += 1)
    hashIds.push(hash32(text.toString('latin1', 0, Math.floor(block * BLOCK_TOKENS * BYTES_PER_TOKEN))));
  return { timestamp: entry.atMs, input_length: tokens, output_length: entry.maxTokens, hash_ids: hashIds };
}

/** The template of SmolLM2 and Qwen, open for the answer. */
function chatMl(messages: readonly TraceMessage[]): string {
  const said = messages.map(({ role, content }) => `<|im_start|>${role}\n${content}<|im_end|>\n`);
  return `${said.join('')}<|im_start|>assistant\n`;
}

/** Throws for a format that is not known. */
export function formatOf(name: string | undefined): Format {
  const format = FORMATS.find((each) => each === name);
  if (format === undefined) throw new Error(`--to is ${name ?? 'missing'}; expected ${FORMATS.join(', ')}`);
  return format;
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      to: { type: 'string' },
      trace: { type: 'string', default: join(import.meta.dirname, 'published.jsonl') },
      out: { type: 'string' },
    },
  });
  const text = convert(readTrace(values.trace), formatOf(values.to));
  if (values.out === undefined) process.stdout.write(text);
  else writeFileSync(values.out, text);
}
