/**
 * Options of a server that speaks the Open Inference Protocol, and the parameters that every request carries on either
 * transport.
 */
import { z } from 'zod';
import { ServiceError } from '../core/errors.ts';
import type { InferRequest, TensorParameter } from '../core/tensors.ts';

export const oipOptionsSchema = z
  .strictObject({
    kind: z.enum(['triton', 'oip']),
    baseUrl: z
      .url({ protocol: /^https?$/ })
      .describe('Scheme, host and port, without /v2: http://127.0.0.1:8000, for gRPC http://127.0.0.1:8001.'),
    protocol: z
      .enum(['http', 'grpc'])
      .default('http')
      .describe('grpc stops the work of a caller that left; over HTTP Triton ends it first.'),
    encoding: z
      .enum(['auto', 'binary', 'json'])
      .default('auto')
      .describe('How tensors travel over HTTP; auto asks the server. JSON is about four times as long.'),
    models: z
      .array(z.string().min(1))
      .default([])
      .describe('Models it is asked for; empty: all that its repository lists.'),
    apiKeyEnv: z.string().optional().describe('Name of the environment variable that holds its API key.'),
    connections: z.int().min(1).max(4_096).default(16).describe('Most connections to it (HTTP).'),
    connectTimeoutMs: z.int().min(1).max(60_000).default(1_000).describe('Milliseconds to connect.'),
    replyBytesMax: z
      .int()
      .min(1_024)
      .max(1_000_000_000)
      .default(32_000_000)
      .describe('Largest reply in bytes; a larger one fails the request.'),
    maxInFlight: z.int().min(1).max(10_000).default(64).describe('Requests under way at once; more wait.'),
    maxQueued: z.int().min(0).max(100_000).default(256).describe('Requests that may wait; the next is 503.'),
    timeoutMs: z
      .int()
      .min(1)
      .max(600_000)
      .default(500)
      .describe('Milliseconds that an answer is of use, waiting for a place included (design: 500).'),
  })
  .describe('Triton, or another server of the Open Inference Protocol v2: embeddings and vision.');
export type OipOptions = z.output<typeof oipOptionsSchema>;

const MICROSECONDS = 1_000;

/** The caller's parameters, `priority` (1 goes first) and `timeout` in microseconds (engines.md §9.2). */
export function inferParameters(request: InferRequest): Record<string, TensorParameter> {
  const parameters: Record<string, TensorParameter> = { ...request.parameters };
  for (const name of Object.keys(parameters))
    if (name.startsWith('triton_'))
      throw new ServiceError('bad_request', `parameters.${name} is reserved for the server; leave it out`, {
        details: { field: `parameters.${name}` },
      });
  if (request.priority !== undefined) parameters['priority'] = request.priority;
  if (request.timeoutMs !== undefined)
    parameters['timeout'] = Math.max(1, Math.round(request.timeoutMs * MICROSECONDS));
  return parameters;
}
