/**
 * Reads what clients of OpenAI's API send, as little as we need: this path is measured against gateways that only pass
 * bytes on. The body is kept as it came, so that what the engine gets is what the client wrote.
 */
import { ServiceError } from '../core/errors.ts';

/** Which address a body came to. */
export type OpenAiRoute = '/v1/chat/completions' | '/v1/completions' | '/v1/embeddings';

export interface OpenAiBody {
  readonly bytes: Uint8Array;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly model: string;
  readonly stream: boolean;
}

/** Throws `malformed_json`, or `bad_request` with the field. */
export function parseOpenAiBody(bytes: Buffer, route: OpenAiRoute): OpenAiBody {
  const fields = parse(bytes);
  const { model, stream } = fields as { model?: unknown; stream?: unknown };
  if (typeof model !== 'string' || model === '')
    throw wrong('model', model, 'expected the name of a model, or npc:<id>; see GET /v1/models');
  if (stream !== undefined && stream !== null && typeof stream !== 'boolean')
    throw wrong('stream', stream, 'expected true or false');
  if (
    route === '/v1/chat/completions' &&
    !(Array.isArray(fields['messages']) && fields['messages'].length > 0)
  )
    throw wrong('messages', fields['messages'], 'expected a list with at least one message');
  if (route === '/v1/completions' && fields['prompt'] === undefined)
    throw wrong('prompt', undefined, 'expected a string or a list');
  if (route === '/v1/embeddings' && fields['input'] === undefined)
    throw wrong('input', undefined, 'expected a string or a list');
  return { bytes, fields, model, stream: stream === true };
}

function parse(bytes: Buffer): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8'));
  } catch (error) {
    throw new ServiceError(
      'malformed_json',
      `the body is not JSON: ${(error as Error).message.slice(0, 200)}`,
    );
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new ServiceError('bad_request', 'the body is not a JSON object; expected {"model": …}');
  return value as Readonly<Record<string, unknown>>;
}

/** `bad_request` that names the field as OpenAI's `param`. */
export function wrong(field: string, value: unknown, expected: string): ServiceError {
  const shown = value === undefined ? 'missing' : (JSON.stringify(value) ?? typeof value).slice(0, 60);
  return new ServiceError('bad_request', `${field} is ${shown}; ${expected}`, { details: { field } });
}
