/** The double's gRPC side: the same models, refusals as statuses, answers raw as Triton's or typed as others' may be. */
import { Code, ConnectError, type ConnectRouter } from '@connectrpc/connect';
import { connectNodeAdapter } from '@connectrpc/connect-node';
import { parametersFromWire, tensorsOf } from '../engines/oip-grpc-tensors.ts';
import { GRPCInferenceService } from '../engines/oip-wire/inference_pb.ts';
import { type Tensor, TensorFormatError, tensorToBytes } from '../lib/oip/tensor.ts';
import { OipRefusal } from './oip-models.ts';
import type { DoubleRepository } from './oip-repository.ts';

const MESSAGE_BYTES_MAX = 64_000_000;
const CODES = {
  invalid_argument: Code.InvalidArgument,
  not_found: Code.NotFound,
  unavailable: Code.Unavailable,
  internal: Code.Internal,
  unimplemented: Code.Unimplemented,
} as const;

/** A listener for `http2.createServer`. A request parameter `typed_reply` gets the reply in typed contents. */
export function oipGrpcHandler(
  repository: DoubleRepository,
  heard: { headers: Readonly<Record<string, string | undefined>> },
): ReturnType<typeof connectNodeAdapter> {
  const routes = (router: ConnectRouter) =>
    router.service(GRPCInferenceService, {
      serverLive: () => ({ live: true }),
      serverReady: () => ({ ready: true }),
      modelReady: ({ name, version }) => ({ ready: repository.isReady(name, version) }),
      serverMetadata: () => ({ name: 'triton', version: '2.58.0', extensions: ['model_repository'] }),
      modelMetadata: ({ name, version }) => {
        const { model } = refusing(() => repository.find(name, version));
        const described = (tensors: typeof model.inputs) =>
          tensors.map((tensor) => ({ ...tensor, shape: tensor.shape.map(BigInt) }));
        return {
          name,
          versions: [...model.versions],
          platform: model.platform,
          inputs: described(model.inputs),
          outputs: described(model.outputs),
        };
      },
      modelInfer: async (request, context) => {
        heard.headers = Object.fromEntries(context.requestHeader.entries());
        try {
          const parameters = parametersFromWire(request.parameters);
          const { version, outputs } = await repository.infer(
            {
              model: request.modelName,
              version: request.modelVersion,
              inputs: tensorsOf(request.inputs, request.rawInputContents),
              outputs: request.outputs.map(({ name }) => name),
              parameters,
            },
            context.signal,
          );
          const isTyped = parameters['typed_reply'] === true;
          return {
            modelName: request.modelName,
            modelVersion: version,
            id: request.id,
            outputs: outputs.map((tensor) => ({
              name: tensor.name,
              datatype: tensor.datatype,
              shape: tensor.shape.map(BigInt),
              ...(isTyped ? { contents: typed(tensor) } : {}),
            })),
            rawOutputContents: isTyped ? [] : outputs.map(tensorToBytes),
          };
        } catch (error) {
          throw statusOf(error);
        }
      },
      repositoryIndex: ({ ready }) => ({ models: repository.index(ready) }),
      repositoryModelLoad: ({ modelName }) => {
        refusing(() => repository.load(modelName));
        return {};
      },
      repositoryModelUnload: ({ modelName }) => {
        repository.unload(modelName);
        return {};
      },
    });
  return connectNodeAdapter({
    routes,
    readMaxBytes: MESSAGE_BYTES_MAX,
    writeMaxBytes: MESSAGE_BYTES_MAX,
    connect: false,
    grpcWeb: false,
  });
}

function refusing<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw statusOf(error);
  }
}

function statusOf(error: unknown): unknown {
  if (error instanceof OipRefusal) return new ConnectError(error.message, CODES[error.grpc]);
  if (error instanceof TensorFormatError) return new ConnectError(error.message, Code.InvalidArgument);
  return error;
}

function typed(tensor: Tensor): Record<string, unknown[]> {
  const { datatype } = tensor;
  const values: unknown[] = Array.from(tensor.data as ArrayLike<unknown>);
  if (datatype === 'BOOL') return { boolContents: values.map(Boolean) };
  if (datatype === 'BYTES') return { bytesContents: values };
  if (datatype === 'INT64' || datatype === 'UINT64') return { [`${datatype.toLowerCase()}Contents`]: values };
  if (datatype === 'FP32' || datatype === 'FP64') return { [`${datatype.toLowerCase()}Contents`]: values };
  return { [datatype.startsWith('U') ? 'uintContents' : 'intContents']: values };
}
