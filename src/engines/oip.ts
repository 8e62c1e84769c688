/** From the options of one server of tensors to its engine, with connections of its own. */
import type { TensorEngine } from '../core/tensors.ts';
import { createOipGrpc } from './oip-grpc.ts';
import { createOipHttp } from './oip-http.ts';
import type { OipOptions } from './oip-options.ts';
import { createTransport } from './transport.ts';

/** `apiKey` null: none is sent. What a request may weigh follows from the door's own limit. */
export function createTensorEngine(
  name: string,
  options: OipOptions,
  secrets: { readonly apiKey: string | null },
): TensorEngine {
  const { kind, baseUrl, replyBytesMax } = options;
  const headers: Record<string, string> =
    secrets.apiKey === null ? {} : { authorization: `Bearer ${secrets.apiKey}` };
  if (options.protocol === 'grpc')
    return createOipGrpc({ name, kind, baseUrl, headers, replyBytesMax, requestBytesMax: replyBytesMax });
  return createOipHttp({
    name,
    kind,
    encoding: options.encoding,
    replyBytesMax,
    transport: createTransport({
      baseUrl,
      connections: options.connections,
      connectTimeoutMs: options.connectTimeoutMs,
      headers,
    }),
  });
}
