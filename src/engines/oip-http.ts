/**
 * The Open Inference Protocol v2 over HTTP: NVIDIA Triton, KServe's runtimes, anything that answers /v2. Tensors travel
 * as bytes where the server says it can (`binary_tensor_data`), as JSON where not; what comes back is checked against its
 * own shape before anybody sees it. Closing the connection does not stop Triton's work (engines.md §9.6).
 */
import { ServiceError } from '../core/errors.ts';
import type {
  InferReply,
  InferRequest,
  ModelMetadata,
  RepositoryEntry,
  ServerMetadata,
  TensorEngine,
  TensorParameter,
} from '../core/tensors.ts';
import { readBody, type Transport, type WireRequest } from '../core/transport.ts';
import {
  type DecodedMessage,
  decodeMessage,
  encodeMessage,
  JSON_LENGTH_HEADER,
  jsonLengthOf,
} from '../lib/oip/message.ts';
import { oipRefusal, untrusted } from './oip-errors.ts';
import { metadataOf, parametersOf, repositoryOf, serverMetadataOf } from './oip-metadata.ts';
import { inferParameters } from './oip-options.ts';

export interface OipHttpOptions {
  readonly name: string;
  readonly kind: string;
  /** Its own connections: short work must not wait behind a stream for a socket. Closed with the engine. */
  readonly transport: Transport;
  /** `auto` asks the server once which it can. */
  readonly encoding: 'auto' | 'binary' | 'json';
  /** Largest reply that is read, in bytes. */
  readonly replyBytesMax: number;
}

const BINARY_EXTENSION = 'binary_tensor_data';
/** Metadata and indexes of thousands of models fit; a page of a lost proxy does too. */
const METADATA_BYTES_MAX = 4_000_000;
const JSON_TYPE = { 'content-type': 'application/json', accept: 'application/json' } as const;

export function createOipHttp(options: OipHttpOptions): TensorEngine {
  return new OipHttp(options);
}

/** `/v2/models/m` or `/v2/models/m/versions/3`. */
function modelPath(model: string, version: string | undefined): string {
  const base = `/v2/models/${encodeURIComponent(model)}`;
  return version === undefined ? base : `${base}/versions/${encodeURIComponent(version)}`;
}

class OipHttp implements TensorEngine {
  readonly name: string;
  readonly kind: string;
  readonly #options: OipHttpOptions;
  #isBinary: boolean | null;

  constructor(options: OipHttpOptions) {
    this.name = options.name;
    this.kind = options.kind;
    this.#options = options;
    this.#isBinary = options.encoding === 'auto' ? null : options.encoding === 'binary';
  }

  async infer(request: InferRequest, signal: AbortSignal): Promise<InferReply> {
    const isBinary = await this.#speaksBinary(signal);
    const encoded = this.#encode(request, isBinary);
    const reply = await this.#exchange(
      {
        method: 'POST',
        path: `${modelPath(request.model, request.version)}/infer`,
        headers: {
          ...encoded.headers,
          ...(request.version === undefined ? {} : { 'x-model-version': request.version }),
        },
        body: encoded.body,
      },
      this.#options.replyBytesMax,
      signal,
    );
    if (reply.status !== 200) throw this.#refused(reply, request.model);
    let message: DecodedMessage;
    try {
      message = decodeMessage(reply.body, 'outputs', jsonLengthOf(header(reply, JSON_LENGTH_HEADER)));
    } catch (error) {
      throw untrusted(this.name, `the reply of model ${request.model}`, error);
    }
    const { id, model_name: model, model_version: version, parameters } = message.head;
    return {
      ...(typeof id === 'string' && id !== '' ? { id } : {}),
      model: typeof model === 'string' ? model : request.model,
      version: typeof version === 'string' && version !== '' ? version : null,
      outputs: message.tensors,
      parameters: parametersOf(parameters),
    };
  }

  live(signal: AbortSignal): Promise<boolean> {
    return this.#isTrue('/v2/health/live', 'live', signal);
  }

  ready(signal: AbortSignal): Promise<boolean> {
    return this.#isTrue('/v2/health/ready', 'ready', signal);
  }

  modelReady(model: string, version: string | undefined, signal: AbortSignal): Promise<boolean> {
    return this.#isTrue(`${modelPath(model, version)}/ready`, 'ready', signal);
  }

  async modelMetadata(
    model: string,
    version: string | undefined,
    signal: AbortSignal,
  ): Promise<ModelMetadata> {
    return metadataOf(
      this.name,
      await this.#json('GET', modelPath(model, version), undefined, signal, model),
    );
  }

  async serverMetadata(signal: AbortSignal): Promise<ServerMetadata> {
    return serverMetadataOf(this.name, await this.#json('GET', '/v2', undefined, signal));
  }

  /** Servers without Triton's repository list their models at /v2/models (KServe). */
  async repositoryIndex(signal: AbortSignal): Promise<readonly RepositoryEntry[]> {
    const reply = await this.#call('POST', '/v2/repository/index', {}, signal);
    if (reply.status === 404 || reply.status === 405 || reply.status === 501)
      return repositoryOf(this.name, await this.#json('GET', '/v2/models', undefined, signal));
    return repositoryOf(this.name, this.#parsed(reply, 'the repository index'));
  }

  async loadModel(model: string, signal: AbortSignal): Promise<void> {
    await this.#order(`/v2/repository/models/${encodeURIComponent(model)}/load`, model, signal);
  }

  async unloadModel(model: string, signal: AbortSignal): Promise<void> {
    await this.#order(`/v2/repository/models/${encodeURIComponent(model)}/unload`, model, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#options.transport[Symbol.asyncDispose]();
  }

  #encode(request: InferRequest, isBinary: boolean) {
    const parameters: Record<string, TensorParameter> = {
      ...inferParameters(request),
      ...(isBinary ? { binary_data_output: true } : {}),
    };
    try {
      return encodeMessage(
        {
          ...(request.id === undefined ? {} : { id: request.id }),
          ...(Object.keys(parameters).length === 0 ? {} : { parameters }),
          // Naming outputs switches `binary_data_output` off for them in some servers: each says it for itself.
          ...(request.outputs === undefined || request.outputs.length === 0
            ? {}
            : {
                outputs: request.outputs.map((output) => ({
                  name: output.name,
                  ...(isBinary || output.parameters !== undefined
                    ? { parameters: { ...output.parameters, ...(isBinary ? { binary_data: true } : {}) } }
                    : {}),
                })),
              }),
        },
        'inputs',
        request.inputs,
        () => isBinary,
      );
    } catch (error) {
      throw new ServiceError('bad_request', (error as Error).message, { cause: error });
    }
  }

  async #speaksBinary(signal: AbortSignal): Promise<boolean> {
    if (this.#isBinary !== null) return this.#isBinary;
    const { extensions } = await this.serverMetadata(signal);
    this.#isBinary = extensions.includes(BINARY_EXTENSION);
    return this.#isBinary;
  }

  /** 200 with nothing (Triton) or with `{"ready": true}` (KServe) is yes; 400, 404 and 503 are no. */
  async #isTrue(path: string, field: string, signal: AbortSignal): Promise<boolean> {
    const reply = await this.#call('GET', path, undefined, signal);
    if ([400, 404, 503].includes(reply.status)) return false;
    if (reply.status !== 200) throw this.#refused(reply);
    if (reply.body.length === 0) return true;
    const said = this.#parsed(reply, path) as Record<string, unknown> | null;
    // Some runtimes answer with the name alone; only a plain no is a no.
    return said?.[field] !== false;
  }

  async #order(path: string, model: string, signal: AbortSignal): Promise<void> {
    const reply = await this.#call('POST', path, {}, signal);
    if (reply.status !== 200) throw this.#refused(reply, model);
  }

  async #json(
    method: WireRequest['method'],
    path: string,
    body: object | undefined,
    signal: AbortSignal,
    model?: string,
  ): Promise<unknown> {
    const reply = await this.#call(method, path, body, signal);
    if (reply.status !== 200) throw this.#refused(reply, model);
    return this.#parsed(reply, path);
  }

  #parsed(reply: WholeReply, what: string): unknown {
    if (reply.status !== 200) throw this.#refused(reply);
    try {
      return JSON.parse(reply.body.toString('utf8'));
    } catch (error) {
      throw untrusted(this.name, what, error);
    }
  }

  #refused(reply: WholeReply, model?: string): ServiceError {
    return oipRefusal(this.name, reply.status, reply.body.toString('utf8'), model);
  }

  #call(
    method: WireRequest['method'],
    path: string,
    body: object | undefined,
    signal: AbortSignal,
  ): Promise<WholeReply> {
    return this.#exchange(
      { method, path, headers: JSON_TYPE, ...(body === undefined ? {} : { body: JSON.stringify(body) }) },
      METADATA_BYTES_MAX,
      signal,
    );
  }

  async #exchange(request: WireRequest, bytesMax: number, signal: AbortSignal): Promise<WholeReply> {
    signal.throwIfAborted();
    const reply = await this.#options.transport.exchange(request, signal);
    try {
      return { status: reply.status, headers: reply.headers, body: await readBody(reply.body, bytesMax) };
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof ServiceError) throw error;
      throw untrusted(this.name, `the reply to ${request.method} ${request.path}`, error);
    }
  }
}

interface WholeReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
}

/** Header names come in lower case from the transport. */
function header(reply: WholeReply, name: string): string | string[] | undefined {
  return reply.headers[name];
}
