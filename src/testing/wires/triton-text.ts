/**
 * A double of Triton's generate extension with a language model behind it, in the three forms of engines.md §7.7 (26.08):
 * `m` with the tensor names of the LLM-API form, `ensemble` with those of the C++ one, `vllm` with those of the vLLM
 * backend. Unknown inputs are refused, as Triton refuses what the model has no tensor for.
 */
import { startWireServer, type WireExchange, type WireHandler, type WireServer } from './wire-server.ts';
import { answerOf, tokens } from './words.ts';

export interface TritonDouble extends WireServer {
  /** What `/ready` says; the server still lives. */
  readonly models: Set<string>;
}

const INPUTS: Readonly<Record<string, ReadonlySet<string>>> = {
  m: new Set([
    'text_input',
    'streaming',
    'return_finish_reason',
    ...['max_tokens', 'temperature', 'top_p', 'seed', 'stop'].map((name) => `sampling_param_${name}`),
  ]),
  ensemble: new Set([
    'text_input',
    'stream',
    'max_tokens',
    'temperature',
    'top_p',
    'repetition_penalty',
    'random_seed',
    'stop_words',
    'exclude_input_in_output',
  ]),
  vllm: new Set([
    'text_input',
    'stream',
    'sampling_parameters',
    'exclude_input_in_output',
    'return_finish_reason',
    'return_num_input_tokens',
    'return_num_output_tokens',
  ]),
};

/** `generate` replaces how it speaks, byte by byte. */
export async function startTritonTextDouble(generate: WireHandler = speak): Promise<TritonDouble> {
  const models = new Set(Object.keys(INPUTS));
  const server = await startWireServer(async (exchange) => {
    const { path, method, body, json, response } = exchange;
    const empty = (status: number) => response.writeHead(status).end();
    if (path === '/v2') {
      json(200, { name: 'triton', version: '2.61.0', extensions: ['classification', 'generate'] });
      return;
    }
    if (path === '/v2/health/live') {
      empty(200);
      return;
    }
    const [, model = '', verb = ''] =
      /^\/v2\/models\/([^/]+)(?:\/versions\/1)?(?:\/(\w+))?$/.exec(path) ?? [];
    if (verb === 'ready') empty(models.has(model) ? 200 : 400);
    else if (!models.has(model)) json(400, { error: `Request for unknown model: '${model}' is not found` });
    else if (method === 'GET')
      json(200, { name: model, versions: ['1'], platform: 'python', inputs: [], outputs: [] });
    else {
      const unknown = Object.keys(body).find((name) => INPUTS[model]?.has(name) !== true);
      if (unknown === undefined) await generate(exchange);
      else json(400, { error: `unexpected inference input '${unknown}' for model '${model}'` });
    }
  });
  return Object.defineProperty(server, 'models', { value: models }) as TritonDouble;
}

interface Sampling {
  readonly max_tokens?: number;
  readonly stop?: readonly string[];
}

async function speak(exchange: WireExchange): Promise<void> {
  const { path, body, send, response, work, closed } = exchange;
  const model = path.split('/')[3] ?? '';
  const sampling = samplingOf(model, body);
  const prompt = String(body['text_input']);
  const { pieces, end } = answerOf({
    // What stands behind the last mark is the assistant's own.
    said: tokens(prompt.slice(prompt.lastIndexOf('\n') + 1)).length,
    tokensMax: sampling.max_tokens ?? 16,
    stops: sampling.stop ?? [],
    structure: null,
  });
  exchange.begin('text/event-stream; charset=utf-8');
  const last = pieces.length - 1;
  const finish = end === 'limit' ? 'length' : 'stop';
  let index = 0;
  for await (const piece of work.run(pieces, closed)) {
    await send(
      event({
        ...base(model),
        text_output: piece,
        ...outputs(model, index === last ? finish : null, prompt),
      }),
    );
    index += 1;
  }
  response.end();
}

function samplingOf(model: string, body: WireExchange['body']): Sampling {
  if (model === 'vllm')
    return JSON.parse((body['sampling_parameters'] as string | undefined) ?? '{}') as Sampling;
  const [maxTokens, stop] =
    model === 'm' ? ['sampling_param_max_tokens', 'sampling_param_stop'] : ['max_tokens', 'stop_words'];
  return {
    max_tokens: Number(body[String(maxTokens)]),
    stop: (body[String(stop)] ?? []) as readonly string[],
  };
}

function outputs(model: string, finishReason: string | null, prompt: string) {
  if (model === 'ensemble')
    return { sequence_end: finishReason !== null, sequence_id: 0, sequence_start: false };
  const counts = model === 'vllm' ? { num_input_tokens: tokens(prompt).length, num_output_tokens: 1 } : {};
  return { finish_reason: finishReason ?? (model === 'vllm' ? 'None' : ''), ...counts };
}

function base(model: string) {
  return { model_name: model, model_version: '1' };
}

export function event(outputTensors: unknown): string {
  return `data: ${JSON.stringify(outputTensors)}\n\n`;
}
