/**
 * A small true server of the Open Inference Protocol v2 for tests: HTTP and gRPC over the same models, on loopback. As
 * Triton it takes tensors as JSON and as bytes and answers in the form that was asked for; as KServe (`flavour`) it has
 * JSON health bodies, no binary extension and its list of models at /v2/models.
 */
import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import { isBinaryOnly } from '../lib/oip/json-tensor.ts';
import {
  BINARY_CONTENT_TYPE,
  decodeMessage,
  encodeMessage,
  JSON_LENGTH_HEADER,
  jsonLengthOf,
} from '../lib/oip/message.ts';
import { type Tensor, TensorFormatError } from '../lib/oip/tensor.ts';
import { oipGrpcHandler } from './oip-grpc-server.ts';
import { DOUBLE_MODELS, OipRefusal } from './oip-models.ts';
import { DoubleRepository } from './oip-repository.ts';

export interface OipServer extends AsyncDisposable {
  readonly httpUrl: string;
  readonly grpcUrl: string;
  readonly repository: DoubleRepository;
  /** Metadata of the last gRPC call and headers of the last HTTP request. */
  readonly heard: { headers: Readonly<Record<string, string | undefined>> };
  /** When set, the next HTTP replies are these bytes, whatever was asked. */
  broken: {
    readonly status: number;
    readonly headers: Record<string, string>;
    readonly body: Uint8Array;
  } | null;
}

export interface OipServerOptions {
  readonly flavour?: 'triton' | 'kserve';
}

export async function startOipServer(options: OipServerOptions = {}): Promise<OipServer> {
  const repository = new DoubleRepository();
  const heard: OipServer['heard'] = { headers: {} };
  const double: { broken: OipServer['broken'] } = { broken: null };
  const plain = http.createServer((request, response) => {
    heard.headers = request.headers as Record<string, string | undefined>;
    const closed = new AbortController();
    response.on('close', () => closed.abort(new Error('the client hung up')));
    answer(request, options.flavour ?? 'triton', repository, closed.signal)
      .catch((error: unknown): HttpReply => {
        if (error instanceof OipRefusal) return json({ error: error.message }, error.status);
        if (error instanceof TensorFormatError) return json({ error: error.message }, 400);
        return json({ error: String(error) }, 500);
      })
      .then((ours) => {
        const reply = double.broken ?? ours;
        response.writeHead(reply.status, reply.headers).end(reply.body);
      })
      .catch(() => response.destroy());
  });
  const sessions = new Set<http2.Http2Session>();
  const grpc = http2.createServer(oipGrpcHandler(repository, heard));
  grpc.on('session', (session) => {
    sessions.add(session);
    session.on('close', () => sessions.delete(session));
  });
  plain.listen(0, '127.0.0.1');
  grpc.listen(0, '127.0.0.1');
  await Promise.all([once(plain, 'listening'), once(grpc, 'listening')]);
  const urlOf = (server: http.Server | http2.Http2Server) =>
    `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    httpUrl: urlOf(plain),
    grpcUrl: urlOf(grpc),
    repository,
    heard,
    get broken() {
      return double.broken;
    },
    set broken(value) {
      double.broken = value;
    },
    [Symbol.asyncDispose]: async () => {
      const ends = [once(plain, 'close'), once(grpc, 'close')];
      plain.close();
      plain.closeAllConnections();
      grpc.close();
      for (const session of sessions) session.destroy();
      await Promise.all(ends);
    },
  };
}

interface HttpReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array | string;
}

function json(body: unknown, status = 200): HttpReply {
  return { status, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
}

const EMPTY: HttpReply = { status: 200, headers: {}, body: '' };
const MODEL_PATH = /^\/v2\/models\/([^/]+)(?:\/versions\/([^/]+))?(?:\/(ready|infer))?$/;
const REPOSITORY_PATH = /^\/v2\/repository\/models\/([^/]+)\/(load|unload)$/;

async function answer(
  request: http.IncomingMessage,
  flavour: 'triton' | 'kserve',
  repository: DoubleRepository,
  closed: AbortSignal,
): Promise<HttpReply> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const body = Buffer.concat(chunks);
  const isKserve = flavour === 'kserve';
  const { url = '', method } = request;
  const yes = (field: string) => (isKserve ? json({ [field]: true }) : EMPTY);
  if (url === '/v2')
    return json({
      name: isKserve ? 'mlserver' : 'triton',
      version: '2.58.0',
      extensions: isKserve ? [] : ['model_repository', 'binary_tensor_data', 'schedule_policy'],
    });
  if (url === '/v2/health/live') return yes('live');
  if (url === '/v2/health/ready') return yes('ready');
  if (url === '/v2/models' && isKserve) return json({ models: Object.keys(DOUBLE_MODELS) });
  if (url === '/v2/repository/index' && !isKserve && method === 'POST') {
    const asked = (body.length === 0 ? {} : JSON.parse(body.toString('utf8'))) as { ready?: boolean };
    return json(
      repository
        .index(asked.ready === true)
        .map((entry) => (entry.reason === '' ? { ...entry, reason: undefined } : entry)),
    );
  }
  const order = REPOSITORY_PATH.exec(url);
  if (order !== null && method === 'POST') {
    const name = decodeURIComponent(order[1] ?? '');
    if (order[2] === 'load') repository.load(name);
    else repository.unload(name);
    return EMPTY;
  }
  const found = MODEL_PATH.exec(url);
  if (found === null) return json({ error: 'Not Found' }, 404);
  const name = decodeURIComponent(found[1] ?? '');
  const version = decodeURIComponent(found[2] ?? '');
  if (found[3] === 'ready') {
    if (repository.isReady(name, version)) return isKserve ? json({ name, ready: true }) : EMPTY;
    return isKserve
      ? json({ error: `Model with name ${name} does not exist.` }, 404)
      : { ...EMPTY, status: 400 };
  }
  if (found[3] === undefined) {
    const { model } = repository.find(name, version);
    const { platform, inputs, outputs, versions } = model;
    return json({ name, ...(isKserve ? {} : { versions }), platform, inputs, outputs });
  }
  return await infer(name, version, request, body, repository, closed);
}

interface InferHead {
  readonly id?: string;
  readonly parameters?: { readonly binary_data_output?: boolean };
  readonly outputs?: readonly {
    readonly name: string;
    readonly parameters?: { readonly binary_data?: boolean };
  }[];
}

async function infer(
  model: string,
  version: string,
  request: http.IncomingMessage,
  body: Buffer,
  repository: DoubleRepository,
  closed: AbortSignal,
): Promise<HttpReply> {
  const { head, tensors } = decodeMessage(body, 'inputs', jsonLengthOf(request.headers[JSON_LENGTH_HEADER]));
  const { id, parameters = {}, outputs: wanted = [] } = head as InferHead;
  const { version: answered, outputs } = await repository.infer(
    { model, version, inputs: tensors, outputs: wanted.map(({ name }) => name), parameters },
    closed,
  );
  const isBinary = ({ name, datatype }: Tensor) =>
    isBinaryOnly(datatype) ||
    (wanted.find((output) => output.name === name)?.parameters?.binary_data ??
      parameters.binary_data_output === true);
  const encoded = encodeMessage(
    { ...(id === undefined ? {} : { id }), model_name: model, model_version: answered },
    'outputs',
    outputs,
    isBinary,
  );
  const headers: Record<string, string> = { ...encoded.headers };
  // Triton spells the header in capitals and so do we, to be read all the same.
  const length = headers[JSON_LENGTH_HEADER];
  if (length === undefined) return { status: 200, headers, body: encoded.body };
  return {
    status: 200,
    headers: { 'Content-Type': BINARY_CONTENT_TYPE, 'Inference-Header-Content-Length': length },
    body: encoded.body,
  };
}
