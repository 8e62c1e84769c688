/**
 * Texts as vectors from a model on a server of tensors, in the words of OpenAI's embeddings call, and the generic paths
 * that stand for one model each. A path whose model is a text engine's is passed through to that engine.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { ServiceError } from '../core/errors.ts';
import type { InferReply } from '../core/tensors.ts';
import { type FixedTensor, type Tensor, textTensor } from '../lib/oip/tensor.ts';
import type { Door, DoorContext } from './door.ts';
import { untilHangUp } from './hang-up.ts';
import { failAsOip, infer, keepBytes } from './inference.ts';
import type { OpenAiRoute } from './openai-body.ts';
import { parseOpenAiBody } from './openai-body.ts';
import { passThrough } from './pass-through.ts';
import { sendError, shown } from './problem.ts';
import {
  inferShort,
  NO_SHORT_WORK,
  SHORT_WORK_BODY_BYTES_MAX,
  type ShortWork,
  versionOf,
} from './short-work.ts';
import type { GenericPath } from './short-work-options.ts';
import { validator } from './validate.ts';

const TEXTS_MAX = 2_048;

const embeddingsSchema = z.looseObject({
  input: z.union([z.string().min(1), z.array(z.string().min(1)).min(1).max(TEXTS_MAX)]),
  encoding_format: z.enum(['float', 'base64']).default('float'),
});
const validate = validator(embeddingsSchema);

const ROUTES: Readonly<Record<Exclude<NonNullable<GenericPath['as']>, 'infer'>, OpenAiRoute>> = {
  embeddings: '/v1/embeddings',
  completions: '/v1/completions',
  chat: '/v1/chat/completions',
};

/** What is spoken at a path that does not say. */
function spokenAt(path: string): NonNullable<GenericPath['as']> {
  const last = path.slice(path.lastIndexOf('/') + 1);
  if (last === 'embeddings' || last === 'completions' || last === 'chat') return last;
  return 'infer';
}

export const genericPathsDoor: Door = async (scope, context) => {
  const work = context.services.shortWork ?? NO_SHORT_WORK;
  for (const [path, target] of Object.entries(work.paths)) {
    const as = target.as ?? spokenAt(path);
    const schema = { summary: `Model ${target.model}, as ${as}`, tags: ['tensors'] };
    const options = { config: { access: 'game' }, bodyLimit: SHORT_WORK_BODY_BYTES_MAX, schema } as const;
    // Each in a scope of its own: errors have the form of what is spoken there.
    await scope.register((own, _options, done) => {
      keepBytes(own);
      if (as === 'infer') {
        failAsOip(own, context);
        own.post(path, options, (request, reply) =>
          infer({ shortWork: work, clock: context.services.clock }, request, reply, {
            model: target.model,
            version: versionOf(request, target.version),
          }),
        );
      } else {
        own.setErrorHandler((error, _request, reply) =>
          sendError(reply, shown(error, context.services.log, SHORT_WORK_BODY_BYTES_MAX)),
        );
        own.post(path, options, (request, reply) =>
          as === 'embeddings' && work.embeddings[target.model] !== undefined
            ? embed(context, target, request, reply)
            : passOn(context, ROUTES[as], target, request, reply),
        );
      }
      done();
    });
  }
};

/** The body with the configured model in it, as if the client had named it. */
async function passOn(
  context: DoorContext,
  route: OpenAiRoute,
  target: GenericPath,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<unknown> {
  const version = versionOf(request, target.version);
  const model = version === undefined ? target.model : `${target.model}@${version}`;
  const named = Buffer.from(JSON.stringify({ ...jsonObject(request.body), model }));
  await passThrough(context, route, parseOpenAiBody(named, route), {
    id: request.id,
    caller: request.caller,
    headers: request.headers,
    body: named,
    raw: reply.raw,
    begin: () => void reply.hijack(),
  });
  return reply;
}

function jsonObject(body: unknown): object {
  try {
    const value = JSON.parse(Buffer.isBuffer(body) ? body.toString('utf8') : '') as unknown;
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  } catch {
    // Told below.
  }
  throw new ServiceError('malformed_json', 'the body is not a JSON object');
}

async function embed(
  context: DoorContext,
  target: GenericPath,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<unknown> {
  using life = untilHangUp(reply.raw);
  return await embedTexts(
    context,
    jsonObject(request.body),
    target.model,
    versionOf(request, target.version),
    life.signal,
  );
}

/** Whether this model's embeddings come from a server of tensors. */
export function isTensorEmbedding(shortWork: ShortWork, model: string): boolean {
  return shortWork.embeddings[model] !== undefined;
}

/**
 * Embeds the texts of an OpenAI embeddings body with a model on a server of tensors, and answers in OpenAI's form. Throws
 * `bad_request` for a body that is none, and what the lane and the engine throw.
 */
export async function embedTexts(
  { services }: DoorContext,
  body: object,
  model: string,
  version: string | undefined,
  signal: AbortSignal,
): Promise<Readonly<Record<string, unknown>>> {
  const checked = validate(body);
  if ('error' in checked) throw checked.error;
  const { input, encoding_format: format } = checked.value as z.output<typeof embeddingsSchema>;
  const texts = typeof input === 'string' ? [input] : input;
  const shortWork = services.shortWork ?? NO_SHORT_WORK;
  const names = shortWork.embeddings[model];
  if (names === undefined)
    throw new ServiceError('unknown_model', `no embedding model has the name "${model}"`);
  const picked = version ?? names.version;
  const reply = await inferShort(
    { shortWork, clock: services.clock },
    {
      model,
      ...(picked === undefined ? {} : { version: picked }),
      inputs: [textTensor(names.input, [texts.length, 1], texts)],
      outputs: [{ name: names.output }, ...(names.tokens === undefined ? [] : [{ name: names.tokens }])],
    },
    signal,
  );
  const vectors = vectorsOf(reply, names.output, texts.length);
  const tokens = names.tokens === undefined ? 0 : tokensOf(reply.outputs, names.tokens);
  return {
    object: 'list',
    model: reply.version === null ? reply.model : `${reply.model}@${reply.version}`,
    data: vectors.map((vector, index) => ({
      object: 'embedding',
      index,
      embedding:
        format === 'base64'
          ? Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength).toString('base64')
          : Array.from(vector),
    })),
    usage: { prompt_tokens: tokens, total_tokens: tokens },
  };
}

/** One row of 32-bit floats for each text. Throws `engine_error` when the tensor is not that. */
function vectorsOf(reply: InferReply, name: string, count: number): Float32Array[] {
  const tensor = reply.outputs.find((output) => output.name === name);
  const width = tensor === undefined ? 0 : tensor.data.length / count;
  if (
    tensor === undefined ||
    !isFloat(tensor) ||
    tensor.shape[0] !== count ||
    !Number.isInteger(width) ||
    width < 1
  )
    throw new ServiceError(
      'engine_error',
      `model ${reply.model} answered ${tensor === undefined ? 'nothing' : `${tensor.datatype} [${tensor.shape.join(', ')}]`} in ${name}; expected FP32 [${count}, d]`,
    );
  const data = tensor.datatype === 'FP32' ? tensor.data : Float32Array.from(tensor.data);
  return Array.from({ length: count }, (_none, row) => data.subarray(row * width, (row + 1) * width));
}

function isFloat(tensor: Tensor): tensor is Extract<FixedTensor, { datatype: 'FP32' | 'FP64' }> {
  return tensor.datatype === 'FP32' || tensor.datatype === 'FP64';
}

function tokensOf(outputs: readonly Tensor[], name: string): number {
  const tensor = outputs.find((output) => output.name === name);
  if (tensor === undefined || tensor.datatype === 'BYTES') return 0;
  let sum = 0;
  for (const value of tensor.data) sum += Number(value);
  return Math.max(0, sum);
}
