/**
 * What the configuration can say about a text model behind Triton: which backend runs it, hence what its tensors are
 * called. A name can be replaced one by one; an empty name means that the model has no such tensor.
 */
import { z } from 'zod';
import { TEMPLATE_NAMES } from './prompt-template.ts';

/** Names of tensors; null: the model has none. */
export interface TritonFields {
  readonly prompt: string;
  readonly stream: string;
  readonly text: string;
  readonly maxTokens: string | null;
  readonly temperature: string | null;
  readonly topP: string | null;
  readonly minP: string | null;
  readonly repetitionPenalty: string | null;
  readonly seed: string | null;
  readonly stop: string | null;
  /** Sampling goes as one JSON text under this name, with the names above inside. */
  readonly samplingJson: string | null;
  readonly finishReason: string | null;
  readonly promptTokens: string | null;
  readonly completionTokens: string | null;
  /** Sent with every request. */
  readonly constants: Readonly<Record<string, boolean>>;
}

/** engines.md §7.7; the vLLM backend's names are those of its `model.py` (26.08). */
const BACKENDS = {
  'tensorrtllm-ensemble': {
    prompt: 'text_input',
    stream: 'stream',
    text: 'text_output',
    maxTokens: 'max_tokens',
    temperature: 'temperature',
    topP: 'top_p',
    minP: null,
    repetitionPenalty: 'repetition_penalty',
    seed: 'random_seed',
    stop: 'stop_words',
    samplingJson: null,
    finishReason: null,
    promptTokens: null,
    completionTokens: null,
    constants: { exclude_input_in_output: true },
  },
  'tensorrtllm-llmapi': {
    prompt: 'text_input',
    stream: 'streaming',
    text: 'text_output',
    maxTokens: 'sampling_param_max_tokens',
    temperature: 'sampling_param_temperature',
    topP: 'sampling_param_top_p',
    minP: null,
    repetitionPenalty: null,
    seed: 'sampling_param_seed',
    stop: 'sampling_param_stop',
    samplingJson: null,
    finishReason: 'finish_reason',
    promptTokens: null,
    completionTokens: null,
    constants: { return_finish_reason: true },
  },
  vllm: {
    prompt: 'text_input',
    stream: 'stream',
    text: 'text_output',
    maxTokens: 'max_tokens',
    temperature: 'temperature',
    topP: 'top_p',
    minP: 'min_p',
    repetitionPenalty: 'repetition_penalty',
    seed: 'seed',
    stop: 'stop',
    samplingJson: 'sampling_parameters',
    finishReason: 'finish_reason',
    promptTokens: 'num_input_tokens',
    completionTokens: 'num_output_tokens',
    constants: {
      exclude_input_in_output: true,
      return_finish_reason: true,
      return_num_input_tokens: true,
      return_num_output_tokens: true,
    },
  },
} as const satisfies Record<string, TritonFields>;

const tensorName = z.string().max(200);

export const tritonTextOptions = z.strictObject({
  backend: z
    .enum(['tensorrtllm-ensemble', 'tensorrtllm-llmapi', 'vllm'])
    .default('tensorrtllm-llmapi')
    .describe(
      'What runs the model behind Triton, which decides the names of its tensors: the C++ backend as an ensemble, its LLM-API form (model.yaml), or vLLM.',
    ),
  template: z
    .enum(TEMPLATE_NAMES)
    .default('chatml')
    .describe('The chat template that the model was trained with; Triton itself applies none.'),
  modelVersion: z.string().min(1).max(100).optional().describe('Version of the model; left out, the newest.'),
  fields: z
    .strictObject({
      prompt: tensorName,
      stream: tensorName,
      text: tensorName,
      maxTokens: tensorName,
      temperature: tensorName,
      topP: tensorName,
      minP: tensorName,
      repetitionPenalty: tensorName,
      seed: tensorName,
      stop: tensorName,
      finishReason: tensorName,
      promptTokens: tensorName,
      completionTokens: tensorName,
    })
    .partial()
    .default({})
    .describe(
      'Names of tensors that differ from those of the backend; "" for one that the model does not have.',
    ),
  inputs: z
    .record(z.string(), z.union([z.string(), z.number(), z.boolean()]))
    .default({})
    .describe('Further inputs sent with every request, such as lora_task_id.'),
});

export type TritonTextOptions = z.infer<typeof tritonTextOptions>;

/** The names in force; those that every answer needs cannot be taken away. */
export function fieldsOf(options: TritonTextOptions): TritonFields {
  const fields: Record<string, unknown> = { ...BACKENDS[options.backend] };
  for (const [key, name] of Object.entries(options.fields)) {
    if (name !== '') fields[key] = name;
    else if (key !== 'prompt' && key !== 'stream' && key !== 'text') fields[key] = null;
  }
  return fields as unknown as TritonFields;
}
