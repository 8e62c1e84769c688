/**
 * One body of the Open Inference Protocol over HTTP, request or reply: JSON, and behind it the bytes of the tensors that
 * travel binary, as long as the header Inference-Header-Content-Length says the JSON is. Client, server and door use the
 * same two functions, so what one writes the others read.
 */
import { parseExactJson, tensorDataJson, tensorFromJson } from './json-tensor.ts';
import { isDatatype, type Tensor, TensorFormatError, tensorFromBytes, tensorToBytes } from './tensor.ts';

/** Bytes of the JSON part, when tensors follow it. Any case on the wire. */
export const JSON_LENGTH_HEADER = 'inference-header-content-length';
export const BINARY_CONTENT_TYPE = 'application/octet-stream';

/** Where the tensors stand: `inputs` in a request, `outputs` in a reply. */
export type TensorField = 'inputs' | 'outputs';

export interface EncodedMessage {
  readonly body: Uint8Array;
  readonly headers: Readonly<Record<string, string>>;
}

export interface DecodedMessage {
  /** The JSON without its tensors. */
  readonly head: Readonly<Record<string, unknown>>;
  readonly tensors: readonly Tensor[];
}

/** Puts a body together. `isBinary` says per tensor how it travels; FP16 and BF16 can only go binary. */
export function encodeMessage(
  head: Readonly<Record<string, unknown>>,
  field: TensorField,
  tensors: readonly Tensor[],
  isBinary: (tensor: Tensor) => boolean,
): EncodedMessage {
  const raw: Uint8Array[] = [];
  const entries = tensors.map((tensor) => {
    const start = `{"name":${JSON.stringify(tensor.name)},"datatype":"${tensor.datatype}","shape":[${tensor.shape.join(',')}],`;
    const bytes = tensorToBytes(tensor);
    if (!isBinary(tensor)) return `${start}"data":${tensorDataJson(tensor)}}`;
    raw.push(bytes);
    return `${start}"parameters":{"binary_data_size":${bytes.byteLength}}}`;
  });
  const before = JSON.stringify(head).slice(0, -1);
  const json = Buffer.from(`${before}${before === '{' ? '' : ','}"${field}":[${entries.join(',')}]}`);
  if (raw.length === 0) return { body: json, headers: { 'content-type': 'application/json' } };
  return {
    body: Buffer.concat([json, ...raw]),
    headers: { 'content-type': BINARY_CONTENT_TYPE, [JSON_LENGTH_HEADER]: String(json.byteLength) },
  };
}

/** The value of the header as a count, null when it is absent. Throws TensorFormatError for anything else. */
export function jsonLengthOf(value: string | readonly string[] | undefined): number | null {
  if (value === undefined) return null;
  if (typeof value === 'string' && /^\d{1,15}$/.test(value.trim())) return Number(value);
  throw new TensorFormatError(
    `${JSON_LENGTH_HEADER} is ${JSON.stringify(value).slice(0, 60)}; expected a count of bytes`,
  );
}

/**
 * Takes a body apart. `jsonBytes` null means that all of it is JSON. Every tensor is checked against its shape, and no
 * byte may be left over. Throws TensorFormatError.
 */
export function decodeMessage(
  body: Uint8Array,
  field: TensorField,
  jsonBytes: number | null,
): DecodedMessage {
  const bytes = new Uint8Array(body.buffer, body.byteOffset, body.byteLength);
  const jsonEnd = jsonBytes ?? body.byteLength;
  if (jsonEnd > body.byteLength)
    throw new TensorFormatError(
      `the JSON part should have ${jsonEnd} bytes; the body has ${body.byteLength}`,
    );
  const { [field]: list, ...head } = jsonObject(bytes.subarray(0, jsonEnd));
  if (!Array.isArray(list)) throw new TensorFormatError(`the body has no list of ${field}`);
  let at = jsonEnd;
  const tensors = list.map((entry: unknown): Tensor => {
    const { name, datatype, shape, data, parameters } = (entry ?? {}) as Readonly<Record<string, unknown>>;
    if (typeof name !== 'string' || name === '')
      throw new TensorFormatError(`one of the ${field} has no name; expected a string`);
    if (!isDatatype(datatype))
      throw new TensorFormatError(
        `tensor ${name} has the datatype ${JSON.stringify(datatype)}, which is none`,
      );
    const dimensions = shapeOf(name, shape);
    const size = (parameters as { binary_data_size?: unknown } | undefined)?.binary_data_size;
    if (size === undefined) {
      if ((parameters as { shared_memory_region?: unknown } | undefined)?.shared_memory_region !== undefined)
        throw new TensorFormatError(
          `tensor ${name} lies in shared memory, which is not taken over a network`,
        );
      return tensorFromJson(name, datatype, dimensions, data);
    }
    if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0 || at + size > body.byteLength)
      throw new TensorFormatError(
        `tensor ${name} should have ${JSON.stringify(size)} bytes; ${body.byteLength - at} are left in the body`,
      );
    if (data !== undefined) throw new TensorFormatError(`tensor ${name} has both data and binary_data_size`);
    at += size;
    return tensorFromBytes(name, datatype, dimensions, bytes.subarray(at - size, at));
  });
  if (at !== body.byteLength)
    throw new TensorFormatError(`${body.byteLength - at} bytes are left after the last of the ${field}`);
  return { head, tensors };
}

function jsonObject(bytes: Uint8Array): Record<string, unknown> {
  let value: unknown;
  try {
    value = parseExactJson(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    throw new TensorFormatError(`the body is not JSON: ${(error as Error).message.slice(0, 200)}`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new TensorFormatError('the body is not a JSON object');
  return value as Record<string, unknown>;
}

/** Some servers write dimensions as strings, as protobuf's JSON form has 64-bit integers. */
function shapeOf(name: string, shape: unknown): number[] {
  if (!Array.isArray(shape))
    throw new TensorFormatError(`tensor ${name} has no shape; expected a list of counts`);
  return shape.map((dimension: unknown) =>
    typeof dimension === 'string' && /^\d{1,15}$/.test(dimension) ? Number(dimension) : (dimension as number),
  );
}
