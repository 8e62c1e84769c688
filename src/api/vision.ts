/**
 * The door for vision: an image in, what a model sees in it out. A task is a name in the configuration that stands for a
 * model and its tensors, so that a game server knows neither.
 */
import type { FastifyRequest } from 'fastify';
import { ServiceError } from '../core/errors.ts';
import { tensorDataJson } from '../lib/oip/json-tensor.ts';
import { type Tensor, TensorFormatError } from '../lib/oip/tensor.ts';
import { decodePng, PngError } from '../lib/png.ts';
import type { Door, DoorContext } from './door.ts';
import { untilHangUp } from './hang-up.ts';
import { sendError, shown } from './problem.ts';
import { inferShort, NO_SHORT_WORK, SHORT_WORK_BODY_BYTES_MAX, versionOf } from './short-work.ts';
import type { VisionTask } from './short-work-options.ts';

const JSON_TYPE = /^application\/json\b/i;
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;
/** 4K by 2K; at three bytes a pixel this is 25 MB. */
const PIXELS_MAX = 4_096 * 2_048;

export const visionDoor: Door = (scope, context) => {
  const { services } = context;
  const work = services.shortWork ?? NO_SHORT_WORK;
  scope.removeAllContentTypeParsers();
  scope.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, bytes, done) => done(null, bytes));
  scope.setErrorHandler((error, _request, reply) =>
    sendError(reply, shown(error, services.log, SHORT_WORK_BODY_BYTES_MAX)),
  );
  scope.post<{ Params: { task: string } }>(
    '/v1/vision/:task',
    {
      config: { access: 'game' },
      bodyLimit: SHORT_WORK_BODY_BYTES_MAX,
      schema: {
        summary: 'What a model sees in an image',
        description:
          'The body is the image itself, or JSON `{"image": "<base64>"}`. `x-model-version` picks a version of the model.',
        tags: ['tensors'],
      },
    },
    async (request, reply) => {
      using life = untilHangUp(reply.raw);
      const { task: name } = request.params;
      const task = work.vision[name];
      if (task === undefined) {
        const available = Object.keys(work.vision);
        throw new ServiceError(
          'unknown_model',
          `no vision task ${JSON.stringify(name.slice(0, 80))}; there is ${available.length === 0 ? 'none: set vision in the configuration' : available.join(', ')}`,
          { details: { available } },
        );
      }
      return await see({ shortWork: work, clock: services.clock }, context, name, task, request, life.signal);
    },
  );
};

async function see(
  lane: Parameters<typeof inferShort>[0],
  { services }: DoorContext,
  name: string,
  task: VisionTask,
  request: FastifyRequest,
  signal: AbortSignal,
): Promise<Readonly<Record<string, unknown>>> {
  const version = versionOf(request, task.version);
  const startedMonoMs = services.clock.monotonicMs();
  const asked = [...new Set([...(task.outputs ?? []), ...(task.labels === undefined ? [] : [task.scores])])];
  const reply = await inferShort(
    lane,
    {
      id: request.id,
      model: task.model,
      ...(version === undefined ? {} : { version }),
      inputs: [imageTensor(task, imageOf(request))],
      outputs: asked.map((output) => ({ name: output })),
    },
    signal,
  );
  const shownOutputs = reply.outputs.filter(
    (output) => task.outputs?.includes(output.name) ?? task.labels === undefined,
  );
  return {
    task: name,
    model: reply.model,
    model_version: reply.version,
    ...(task.labels === undefined ? {} : { labels: bestLabels(task, task.labels, reply.outputs) }),
    ...(shownOutputs.length === 0 ? {} : { outputs: shownOutputs.map(outputJson) }),
    timing: { total_ms: Math.round((services.clock.monotonicMs() - startedMonoMs) * 10) / 10 },
  };
}

function imageOf(request: FastifyRequest): Uint8Array {
  const { body } = request;
  if (!Buffer.isBuffer(body) || body.length === 0)
    throw new ServiceError('bad_request', 'the body is empty; expected an image, or {"image": "<base64>"}');
  if (!JSON_TYPE.test(request.headers['content-type'] ?? '')) return body;
  let image: unknown;
  try {
    ({ image } = JSON.parse(body.toString('utf8')) as { image?: unknown });
  } catch {
    throw new ServiceError('malformed_json', 'the body is not a JSON object; expected {"image": "<base64>"}');
  }
  const base64 = typeof image === 'string' ? image.replace(/^data:[\w/+.-]+;base64,/, '') : '';
  if (base64 === '' || !BASE64.test(base64))
    throw new ServiceError('bad_request', 'image is no base64 text', { details: { field: 'image' } });
  return Buffer.from(base64, 'base64');
}

function imageTensor({ input: { name, form, isBatched } }: VisionTask, image: Uint8Array): Tensor {
  const batch = isBatched ? [1] : [];
  if (form === 'file') return { name, datatype: 'BYTES', shape: [...batch, 1], data: [image] };
  if (form === 'file-uint8')
    return { name, datatype: 'UINT8', shape: [...batch, image.length], data: Uint8Array.from(image) };
  try {
    const { width, height, rgb } = decodePng(image, PIXELS_MAX);
    return { name, datatype: 'UINT8', shape: [...batch, height, width, 3], data: rgb };
  } catch (error) {
    if (error instanceof PngError)
      throw new ServiceError('bad_request', error.message, { details: { field: 'image' } });
    throw error;
  }
}

/** The best labels first, each with its score as the model gave it. Throws `engine_error` when they do not fit. */
function bestLabels(task: VisionTask, labels: readonly string[], outputs: readonly Tensor[]): object[] {
  const scores = outputs.find((output) => output.name === task.scores);
  if (scores === undefined || scores.datatype === 'BYTES' || scores.data.length !== labels.length)
    throw new ServiceError(
      'engine_error',
      `model ${task.model} gave ${scores?.data.length ?? 'no'} scores in ${task.scores} for ${labels.length} labels; correct vision.*.labels`,
    );
  const { data } = scores;
  return labels
    .map((label, index) => ({ label, score: Number(data[index]) }))
    .toSorted((one, other) => other.score - one.score)
    .slice(0, task.top);
}

function outputJson(tensor: Tensor): Readonly<Record<string, unknown>> {
  const { name, datatype, shape } = tensor;
  try {
    return { name, datatype, shape, data: JSON.parse(tensorDataJson(tensor)) as unknown };
  } catch (error) {
    if (!(error instanceof TensorFormatError)) throw error;
    throw new ServiceError(
      'engine_error',
      `${error.message}; name other tensors in vision.*.outputs, or ask at /v2 with binary data`,
    );
  }
}
