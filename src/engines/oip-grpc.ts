/**
 * The Open Inference Protocol v2 over gRPC: the same contract as over HTTP, and a caller that leaves stops the server's
 * work. Tensors go raw; messages are bounded both ways.
 */
import { type Client, Code, ConnectError, createClient, type Interceptor } from '@connectrpc/connect';
import { createGrpcTransport, Http2SessionManager } from '@connectrpc/connect-node';
import { ServiceError } from '../core/errors.ts';
import type {
  InferReply,
  InferRequest,
  ModelMetadata,
  RepositoryEntry,
  ServerMetadata,
  TensorDescription,
  TensorEngine,
} from '../core/tensors.ts';
import { type Tensor, TensorFormatError, tensorToBytes } from '../lib/oip/tensor.ts';
import { oipGrpcCode, untrusted } from './oip-errors.ts';
import { parametersFromWire, parametersToWire, tensorsOf } from './oip-grpc-tensors.ts';
import { inferParameters } from './oip-options.ts';
import { GRPCInferenceService } from './oip-wire/inference_pb.ts';

export interface OipGrpcOptions {
  readonly name: string;
  readonly kind: string;
  /** `http://host:8001`: HTTP/2 without TLS; https with. */
  readonly baseUrl: string;
  /** Sent with every call: the server's API key. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Largest reply that is read, in bytes. */
  readonly replyBytesMax: number;
  /** Largest request that is sent, in bytes. */
  readonly requestBytesMax: number;
}

/** An idle connection is pinged, so that a server that vanished is noticed before a request is lost on it. */
const PING_INTERVAL_MS = 30_000;
const PING_TIMEOUT_MS = 2_000;

export function createOipGrpc(options: OipGrpcOptions): TensorEngine {
  return new OipGrpc(options);
}

class OipGrpc implements TensorEngine {
  readonly name: string;
  readonly kind: string;
  readonly #baseUrl: string;
  readonly #sessions: Http2SessionManager;
  readonly #client: Client<typeof GRPCInferenceService>;

  constructor(options: OipGrpcOptions) {
    this.name = options.name;
    this.kind = options.kind;
    this.#baseUrl = options.baseUrl;
    this.#sessions = new Http2SessionManager(options.baseUrl, {
      pingIntervalMs: PING_INTERVAL_MS,
      pingTimeoutMs: PING_TIMEOUT_MS,
    });
    this.#client = createClient(
      GRPCInferenceService,
      createGrpcTransport({
        baseUrl: options.baseUrl,
        sessionManager: this.#sessions,
        readMaxBytes: options.replyBytesMax,
        writeMaxBytes: options.requestBytesMax,
        interceptors: [withHeaders(options.headers ?? {})],
      }),
    );
  }

  async infer(request: InferRequest, signal: AbortSignal): Promise<InferReply> {
    const rawInputContents = request.inputs.map(bytesOf);
    const reply = await this.#call(request.model, signal, () =>
      this.#client.modelInfer(
        {
          modelName: request.model,
          modelVersion: request.version ?? '',
          id: request.id ?? '',
          parameters: parametersToWire(inferParameters(request)),
          inputs: request.inputs.map(({ name, datatype, shape }) => ({
            name,
            datatype,
            shape: shape.map(BigInt),
          })),
          outputs: (request.outputs ?? []).map(({ name, parameters }) => ({
            name,
            parameters: parametersToWire(parameters ?? {}),
          })),
          rawInputContents,
        },
        {
          signal,
          ...(request.timeoutMs === undefined
            ? {}
            : { timeoutMs: Math.max(1, Math.round(request.timeoutMs)) }),
          ...(request.version === undefined ? {} : { headers: { 'x-model-version': request.version } }),
        },
      ),
    );
    let outputs: Tensor[];
    try {
      outputs = tensorsOf(reply.outputs, reply.rawOutputContents);
    } catch (error) {
      throw untrusted(this.name, `the reply of model ${request.model}`, error);
    }
    return {
      ...(reply.id === '' ? {} : { id: reply.id }),
      model: reply.modelName === '' ? request.model : reply.modelName,
      version: reply.modelVersion === '' ? null : reply.modelVersion,
      outputs,
      parameters: parametersFromWire(reply.parameters),
    };
  }

  async live(signal: AbortSignal): Promise<boolean> {
    return (await this.#call(undefined, signal, () => this.#client.serverLive({}, { signal }))).live;
  }

  async ready(signal: AbortSignal): Promise<boolean> {
    return (await this.#call(undefined, signal, () => this.#client.serverReady({}, { signal }))).ready;
  }

  async modelReady(model: string, version: string | undefined, signal: AbortSignal): Promise<boolean> {
    try {
      const asked = { name: model, version: version ?? '' };
      return (await this.#call(model, signal, () => this.#client.modelReady(asked, { signal }))).ready;
    } catch (error) {
      if (error instanceof ServiceError && (error.code === 'unknown_model' || error.code === 'not_ready'))
        return false;
      throw error;
    }
  }

  async modelMetadata(
    model: string,
    version: string | undefined,
    signal: AbortSignal,
  ): Promise<ModelMetadata> {
    const asked = { name: model, version: version ?? '' };
    const { name, versions, platform, inputs, outputs } = await this.#call(model, signal, () =>
      this.#client.modelMetadata(asked, { signal }),
    );
    return { name, versions, platform, inputs: inputs.map(described), outputs: outputs.map(described) };
  }

  async serverMetadata(signal: AbortSignal): Promise<ServerMetadata> {
    const { name, version, extensions } = await this.#call(undefined, signal, () =>
      this.#client.serverMetadata({}, { signal }),
    );
    return { name, version, extensions };
  }

  async repositoryIndex(signal: AbortSignal): Promise<readonly RepositoryEntry[]> {
    const { models } = await this.#call(undefined, signal, () =>
      this.#client.repositoryIndex({}, { signal }),
    );
    return models.map(({ name, version, state, reason }) => ({ name, version, state, reason }));
  }

  async loadModel(model: string, signal: AbortSignal): Promise<void> {
    await this.#call(model, signal, () => this.#client.repositoryModelLoad({ modelName: model }, { signal }));
  }

  async unloadModel(model: string, signal: AbortSignal): Promise<void> {
    await this.#call(model, signal, () =>
      this.#client.repositoryModelUnload({ modelName: model }, { signal }),
    );
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#sessions.abort(new Error(`engine ${this.name} is closed`));
    return Promise.resolve();
  }

  async #call<T>(model: string | undefined, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    signal.throwIfAborted();
    try {
      return await work();
    } catch (error) {
      signal.throwIfAborted();
      throw this.#failure(error, model);
    }
  }

  #failure(error: unknown, model: string | undefined): ServiceError {
    if (error instanceof ServiceError) return error;
    const failure = ConnectError.from(error);
    const details = { engine: this.name, ...(model === undefined ? {} : { model }) };
    const said = failure.rawMessage.slice(0, 1_000);
    if (/configured readMaxBytes/.test(said)) return untrusted(this.name, 'the reply', said);
    if (/configured writeMaxBytes/.test(said))
      return new ServiceError('body_too_large', `the tensors are too large for ${this.name}: ${said}`, {
        details,
      });
    // What the library found by itself has the socket's error as its cause; what the server said has none.
    if (failure.cause !== undefined && isOfTheSocket(failure.cause))
      return new ServiceError('engine_unavailable', `no reply from ${this.#baseUrl}: ${said}`, {
        cause: error,
        details,
      });
    const grpc = Code[failure.code].replace(
      /[A-Z]/g,
      (letter, at: number) => `${at === 0 ? '' : '_'}${letter.toLowerCase()}`,
    );
    return new ServiceError(oipGrpcCode(grpc, said), `${this.name} answered ${grpc}: ${said}`, {
      cause: error,
      details,
    });
  }
}

function isOfTheSocket(cause: unknown): boolean {
  return (
    cause instanceof Error &&
    /^(?:E[A-Z_]+|ERR_HTTP2_\w+|ERR_SSL_\w+|UND_\w+)$/.test((cause as NodeJS.ErrnoException).code ?? '')
  );
}

function bytesOf(tensor: Tensor): Uint8Array {
  try {
    return tensorToBytes(tensor);
  } catch (error) {
    if (!(error instanceof TensorFormatError)) throw error;
    throw new ServiceError('bad_request', error.message, { cause: error });
  }
}

function described(tensor: { name: string; datatype: string; shape: bigint[] }): TensorDescription {
  return { name: tensor.name, datatype: tensor.datatype, shape: tensor.shape.map(Number) };
}

function withHeaders(headers: Readonly<Record<string, string>>): Interceptor {
  return (next) => (request) => {
    for (const [name, value] of Object.entries(headers)) request.header.set(name, value);
    return next(request);
  };
}
