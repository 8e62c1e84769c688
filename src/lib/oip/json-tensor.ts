/**
 * The JSON form of a tensor's elements: flat or nested rows, booleans, numbers, strings. 64-bit integers keep every digit
 * both ways, which JSON.parse and JSON.stringify alone would not (engines.md §9.2).
 */
import {
  type Datatype,
  ELEMENT_BYTES,
  elementCount,
  type FixedDatatype,
  fixedTensor,
  type Tensor,
  TensorFormatError,
} from './tensor.ts';

/** An integer too long for a double, standing by itself: the sign that the slower reader is needed. */
const LONG_INTEGER = /(?<![\d.])\d{16,}(?![\d.eE])/;

const RANGES: Readonly<Partial<Record<FixedDatatype, readonly [number, number]>>> = {
  UINT8: [0, 2 ** 8 - 1],
  UINT16: [0, 2 ** 16 - 1],
  UINT32: [0, 2 ** 32 - 1],
  INT8: [-(2 ** 7), 2 ** 7 - 1],
  INT16: [-(2 ** 15), 2 ** 15 - 1],
  INT32: [-(2 ** 31), 2 ** 31 - 1],
};
const BIG_RANGES: Readonly<Partial<Record<FixedDatatype, readonly [bigint, bigint]>>> = {
  UINT64: [0n, 2n ** 64n - 1n],
  INT64: [-(2n ** 63n), 2n ** 63n - 1n],
};

/** JSON.parse that gives integers beyond 2^53 as bigint. Throws SyntaxError. */
export function parseExactJson(text: string): unknown {
  if (!LONG_INTEGER.test(text)) return JSON.parse(text);
  const revive = (_key: string, value: unknown, context?: { readonly source?: string }) =>
    typeof value === 'number' && !Number.isSafeInteger(value) && /^-?\d+$/.test(context?.source ?? '')
      ? BigInt(context?.source ?? '')
      : value;
  return JSON.parse(text, revive);
}

/** Whether this datatype has no JSON form and must travel as bytes. */
export function isBinaryOnly(datatype: Datatype): boolean {
  return datatype === 'FP16' || datatype === 'BF16';
}

/** The elements as JSON text. Throws TensorFormatError for what JSON cannot say: half floats, NaN, bytes that are no text. */
export function tensorDataJson(tensor: Tensor): string {
  if (isBinaryOnly(tensor.datatype))
    throw new TensorFormatError(
      `tensor ${tensor.name} is ${tensor.datatype}, which has no JSON form; use binary data`,
    );
  switch (tensor.datatype) {
    case 'BYTES':
      return JSON.stringify(tensor.data.map((element) => textOf(tensor.name, element)));
    case 'BOOL':
      return `[${Array.from(tensor.data, (value) => (value === 0 ? 'false' : 'true')).join(',')}]`;
    case 'FP32':
    case 'FP64':
      if (!tensor.data.every((value) => Number.isFinite(value)))
        throw new TensorFormatError(
          `tensor ${tensor.name} holds NaN or infinity, which JSON cannot say; use binary data`,
        );
      return `[${tensor.data.join(',')}]`;
    default:
      return `[${tensor.data.join(',')}]`;
  }
}

function textOf(name: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new TensorFormatError(`tensor ${name} holds bytes that are no UTF-8 text; use binary data`);
  }
}

/** A tensor from the elements of a JSON body, flat or nested. Throws TensorFormatError naming the first that does not fit. */
export function tensorFromJson(
  name: string,
  datatype: Datatype,
  shape: readonly number[],
  data: unknown,
): Tensor {
  const count = elementCount(name, shape);
  if (isBinaryOnly(datatype))
    throw new TensorFormatError(`tensor ${name} is ${datatype}, which has no JSON form; use binary data`);
  if (!Array.isArray(data)) throw new TensorFormatError(`tensor ${name} has no data; expected a list`);
  const flat: unknown[] = [];
  flatten(data, shape.length, count, flat, name);
  if (flat.length !== count)
    throw new TensorFormatError(
      `tensor ${name} has ${flat.length} elements; its shape [${shape.join(', ')}] has ${count}`,
    );
  if (datatype === 'BYTES') {
    const encoder = new TextEncoder();
    return {
      name,
      datatype,
      shape,
      data: flat.map((value) =>
        typeof value === 'string' ? encoder.encode(value) : refuse(name, datatype, value),
      ),
    };
  }
  const bytes = new Uint8Array(count * ELEMENT_BYTES[datatype]);
  const tensor = fixedTensor(name, datatype, shape, bytes);
  fill(tensor.data as { [index: number]: number | bigint }, flat, name, datatype);
  return tensor;
}

/** Rows may be nested as deep as the shape says, or not at all; a hostile depth is not followed. */
function flatten(
  rows: readonly unknown[],
  depth: number,
  count: number,
  flat: unknown[],
  name: string,
): void {
  for (const value of rows) {
    if (Array.isArray(value) && depth > 1) flatten(value, depth - 1, count, flat, name);
    else if (flat.length < count) flat.push(value);
    else throw new TensorFormatError(`tensor ${name} has more than the ${count} elements of its shape`);
  }
}

function fill(
  target: { [index: number]: number | bigint },
  values: readonly unknown[],
  name: string,
  datatype: FixedDatatype,
): void {
  const big = BIG_RANGES[datatype];
  for (const [index, value] of values.entries())
    target[index] = big === undefined ? smallOf(value, name, datatype) : bigOf(value, big, name, datatype);
}

function smallOf(value: unknown, name: string, datatype: FixedDatatype): number {
  if (datatype === 'BOOL') {
    if (typeof value === 'boolean') return value ? 1 : 0;
    return value === 0 || value === 1 ? value : refuse(name, datatype, value);
  }
  const number = typeof value === 'bigint' ? Number(value) : value;
  if (typeof number !== 'number') return refuse(name, datatype, value);
  const range = RANGES[datatype];
  if (range === undefined) return number;
  return Number.isInteger(number) && number >= range[0] && number <= range[1]
    ? number
    : refuse(name, datatype, value);
}

function bigOf(
  value: unknown,
  range: readonly [bigint, bigint],
  name: string,
  datatype: FixedDatatype,
): bigint {
  const big = Number.isSafeInteger(value) ? BigInt(value as number) : value;
  if (typeof big !== 'bigint' || big < range[0] || big > range[1]) return refuse(name, datatype, value);
  return big;
}

function refuse(name: string, datatype: Datatype, value: unknown): never {
  const shown = typeof value === 'bigint' ? `${value}` : (JSON.stringify(value) ?? typeof value).slice(0, 40);
  throw new TensorFormatError(`tensor ${name} holds ${shown}, which is no ${datatype}`);
}
