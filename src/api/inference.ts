/**
 * The Open Inference Protocol v2 at our own door: any of its clients can ask us as it would ask Triton, and gets lanes,
 * keys and versions on the way. Tensors are decoded once and go on in the server's own form, HTTP or gRPC.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { ServiceError } from '../core/errors.ts';
import type { InferReply, InferRequest, TensorParameter, WantedOutput } from '../core/tensors.ts';
import { isBinaryOnly } from '../lib/oip/json-tensor.ts';
import {
  BINARY_CONTENT_TYPE,
  type DecodedMessage,
  decodeMessage,
  encodeMessage,
  JSON_LENGTH_HEADER,
  jsonLengthOf,
} from '../lib/oip/message.ts';
import { type Tensor, TensorFormatError } from '../lib/oip/tensor.ts';
import type { Door, DoorContext } from './door.ts';
import { untilHangUp } from './hang-up.ts';
import { shown } from './problem.ts';
import {
  inferShort,
  NO_SHORT_WORK,
  SHORT_WORK_BODY_BYTES_MAX,
  type ShortWork,
  versionOf,
  withVersions,
} from './short-work.ts';

interface ModelParams {
  readonly model: string;
  readonly version?: string;
}
type ModelRequest = FastifyRequest<{ Params: ModelParams }>;

const TAGS = ['tensors'];
const game = { access: 'game' } as const;
const operator = { access: 'operator' } as const;

export const inferenceDoor: Door = (scope, context) => {
  const { services } = context;
  const work = services.shortWork ?? NO_SHORT_WORK;
  keepBytes(scope);
  failAsOip(scope, context);
  scope.get(
    '/v2',
    { config: { access: 'public' }, schema: { summary: 'The server of tensors', tags: TAGS } },
    () => ({
      name: 'greenroom',
      version: services.version,
      extensions: ['model_repository', 'binary_tensor_data', 'parameters'],
    }),
  );
  scope.get(
    '/v2/health/live',
    { config: { access: 'public' }, schema: { summary: 'The process runs', tags: TAGS } },
    () => ({ live: true }),
  );
  scope.get(
    '/v2/health/ready',
    { config: game, schema: { summary: 'Every server of tensors is ready', tags: TAGS } },
    async (_request, reply) => {
      using life = untilHangUp(reply.raw);
      const answers = await Promise.allSettled(work.routes.map(({ engine }) => engine.ready(life.signal)));
      const ready = answers.every((answer) => answer.status === 'fulfilled' && answer.value);
      return await reply.code(ready ? 200 : 400).send({ ready });
    },
  );
  repository(scope, work);
  for (const path of ['/v2/models/:model', '/v2/models/:model/versions/:version']) {
    scope.get<{ Params: ModelParams }>(
      path,
      { config: game, schema: { summary: 'A model: versions and tensors', tags: TAGS } },
      async (request, reply) => {
        using life = untilHangUp(reply.raw);
        const { model, version } = named(request);
        const { engine } = await work.find(model, life.signal);
        return await engine.modelMetadata(model, version, life.signal).catch(async (error: unknown) => {
          throw await withVersions(error, engine, model, version, life.signal);
        });
      },
    );
    scope.get<{ Params: ModelParams }>(
      `${path}/ready`,
      { config: game, schema: { summary: 'Whether a model is ready', tags: TAGS } },
      async (request, reply) => {
        using life = untilHangUp(reply.raw);
        const { model, version } = named(request);
        const { engine } = await work.find(model, life.signal);
        const ready = await engine.modelReady(model, version, life.signal);
        return await reply.code(ready ? 200 : 400).send({ name: model, ready });
      },
    );
    scope.post<{ Params: ModelParams }>(
      `${path}/infer`,
      {
        config: game,
        bodyLimit: SHORT_WORK_BODY_BYTES_MAX,
        schema: { summary: 'Tensors in, tensors out', tags: TAGS },
      },
      (request, reply) => infer({ shortWork: work, clock: services.clock }, request, reply, named(request)),
    );
  }
};

/** Bodies stay bytes: tensors are read by us. */
export function keepBytes(scope: FastifyInstance): void {
  scope.removeAllContentTypeParsers();
  scope.addContentTypeParser(
    ['application/json', BINARY_CONTENT_TYPE],
    { parseAs: 'buffer' },
    (_request, bytes, done) => done(null, bytes),
  );
}

/** Errors have the protocol's own form, which its clients read, and our code beside it. */
export function failAsOip(scope: FastifyInstance, { services, limits }: DoorContext): void {
  scope.setErrorHandler(async (error, request, reply) => {
    const bytesMax = request.method === 'POST' ? SHORT_WORK_BODY_BYTES_MAX : limits.bodyBytesMax;
    const { status, code, message, details } = shown(error, services.log, bytesMax);
    if (status === 503) reply.header('retry-after', 1);
    if (status === 401) reply.header('www-authenticate', 'Bearer realm="greenroom"');
    const { available } = details;
    return await reply
      .code(status)
      .serializer(JSON.stringify)
      .type('application/json; charset=utf-8')
      .send({ error: message, code, ...(available === undefined ? {} : { available }) });
  });
}

function repository(scope: FastifyInstance, work: ShortWork): void {
  scope.post(
    '/v2/repository/index',
    { config: game, schema: { summary: 'Model versions on every server', tags: TAGS } },
    async (request, reply) => {
      using life = untilHangUp(reply.raw);
      const { ready } = jsonOf(request.body) as { ready?: unknown };
      const entries = await work.index(life.signal);
      return ready === true ? entries.filter(({ state }) => state === 'READY') : entries;
    },
  );
  for (const order of ['load', 'unload'] as const)
    scope.post<{ Params: ModelParams }>(
      `/v2/repository/models/:model/${order}`,
      {
        config: operator,
        schema: { summary: `${order === 'load' ? 'Load' : 'Unload'} a model`, tags: TAGS },
      },
      async (request, reply) => {
        using life = untilHangUp(reply.raw);
        const { model } = request.params;
        // A model that is not loaded may be missing in an index: with one server there is no doubt whose it is.
        const [only, ...others] = work.routes;
        const { engine } =
          only !== undefined && others.length === 0 ? only : await work.find(model, life.signal);
        await (order === 'load'
          ? engine.loadModel(model, life.signal)
          : engine.unloadModel(model, life.signal));
        work.forget();
        return {};
      },
    );
}

/** The model and version of an address; the header counts where the address names none. */
function named(request: ModelRequest): { readonly model: string; readonly version: string | undefined } {
  const { model, version } = request.params;
  const header = versionOf(request);
  if (version !== undefined && header !== undefined && version !== header)
    throw new ServiceError(
      'bad_request',
      `the address names version ${JSON.stringify(version)} and x-model-version ${JSON.stringify(header)}; name one`,
      { details: { field: 'x-model-version' } },
    );
  return { model, version: version ?? header };
}

const MICROSECONDS = 1_000;

/** Decodes, asks and answers in the form that was asked for. Shared with generic paths. */
export async function infer(
  lane: Parameters<typeof inferShort>[0],
  request: FastifyRequest,
  reply: FastifyReply,
  { model, version }: { readonly model: string; readonly version: string | undefined },
): Promise<unknown> {
  using life = untilHangUp(reply.raw);
  const { head, tensors } = decoded(request);
  const { id, parameters, outputs } = head;
  const asked = parametersOf(parameters);
  const { binary_data_output: allBinary, timeout, ...passed } = asked;
  const wanted = wantedOf(outputs);
  const inferRequest: InferRequest = {
    model,
    ...(version === undefined ? {} : { version }),
    ...(typeof id === 'string' ? { id } : {}),
    ...(typeof timeout === 'number' && timeout > 0 ? { timeoutMs: timeout / MICROSECONDS } : {}),
    inputs: tensors,
    outputs: wanted.map(({ output }) => output),
    parameters: passed,
  };
  const answer = await inferShort(lane, inferRequest, life.signal);
  const isBinary = ({ name, datatype }: Tensor) =>
    isBinaryOnly(datatype) ||
    (wanted.find(({ output }) => output.name === name)?.isBinary ?? allBinary === true);
  return await sent(answer, isBinary, reply);
}

async function sent(
  answer: InferReply,
  isBinary: (tensor: Tensor) => boolean,
  reply: FastifyReply,
): Promise<unknown> {
  const head = {
    ...(answer.id === undefined ? {} : { id: answer.id }),
    model_name: answer.model,
    ...(answer.version === null ? {} : { model_version: answer.version }),
    ...(Object.keys(answer.parameters).length === 0 ? {} : { parameters: answer.parameters }),
  };
  const { body, headers } = encoded(() => encodeMessage(head, 'outputs', answer.outputs, isBinary), answer);
  return await reply.headers(headers).send(Buffer.from(body.buffer, body.byteOffset, body.byteLength));
}

/** Values that JSON cannot say are the model's; the caller is told to ask for bytes. */
function encoded<T>(work: () => T, answer: InferReply): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof TensorFormatError)) throw error;
    throw new ServiceError(
      'bad_request',
      `the reply of model ${answer.model} has no JSON form: ${error.message}; ask with parameters.binary_data_output`,
      { cause: error },
    );
  }
}

function decoded(request: FastifyRequest): DecodedMessage {
  const { body } = request;
  if (!Buffer.isBuffer(body))
    throw new ServiceError(
      'bad_request',
      'the body is missing; expected JSON, or JSON and tensors behind it',
    );
  try {
    return decodeMessage(body, 'inputs', jsonLengthOf(request.headers[JSON_LENGTH_HEADER]));
  } catch (error) {
    if (error instanceof TensorFormatError)
      throw new ServiceError('bad_request', error.message, { cause: error });
    throw error;
  }
}

function jsonOf(body: unknown): object {
  if (!Buffer.isBuffer(body) || body.length === 0) return {};
  try {
    const value = JSON.parse(body.toString('utf8')) as unknown;
    if (typeof value === 'object' && value !== null) return value;
  } catch {
    // Told below, as for every other value.
  }
  throw new ServiceError('malformed_json', 'the body is not a JSON object; expected {} or {"ready": true}');
}

function wantedOf(
  outputs: unknown,
): { readonly output: WantedOutput; readonly isBinary: boolean | undefined }[] {
  if (outputs === undefined) return [];
  if (!Array.isArray(outputs))
    throw new ServiceError('bad_request', 'outputs is no list; expected [{"name": …}]', {
      details: { field: 'outputs' },
    });
  return outputs.map((each: unknown) => {
    const { name, parameters } = (each ?? {}) as { name?: unknown; parameters?: unknown };
    if (typeof name !== 'string' || name === '')
      throw new ServiceError('bad_request', 'one of the outputs has no name', {
        details: { field: 'outputs' },
      });
    const { binary_data: isBinary, ...passed } = parametersOf(parameters);
    return {
      output: { name, ...(Object.keys(passed).length === 0 ? {} : { parameters: passed }) },
      isBinary: typeof isBinary === 'boolean' ? isBinary : undefined,
    };
  });
}

function parametersOf(value: unknown): Record<string, TensorParameter> {
  if (value === undefined) return {};
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new ServiceError('bad_request', 'parameters is no object', { details: { field: 'parameters' } });
  const parameters: Record<string, TensorParameter> = {};
  for (const [name, each] of Object.entries(value)) {
    if (typeof each !== 'string' && typeof each !== 'number' && typeof each !== 'boolean')
      throw new ServiceError('bad_request', `parameters.${name.slice(0, 60)} is no text, number or boolean`, {
        details: { field: 'parameters' },
      });
    parameters[name] = each;
  }
  return parameters;
}
