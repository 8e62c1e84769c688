/**
 * Reads and writes the header of a safetensors file: eight bytes of length, JSON, then the weights without gaps
 * (huggingface/safetensors, format description). Hostile until read: every name, shape and offset is checked, and the
 * weights must be covered exactly, so that nothing hides between them. What is written depends on its tensors alone.
 */
import type { FileHandle } from 'node:fs/promises';
import { type ArtefactLimits, invalid, shown, WEIGHT_BYTES, type WeightType } from './artefact.ts';
import { readExactly } from './matrix.ts';
import { isJsonObject, parseStrictJson } from './strict-json.ts';

export interface SafetensorsTensor {
  readonly name: string;
  readonly type: WeightType;
  readonly shape: readonly number[];
  /** Of its first byte in the file. */
  readonly position: number;
  readonly bytes: number;
}

export interface SafetensorsHeader {
  readonly metadata: Readonly<Record<string, string>>;
  /** In the order of their weights. */
  readonly tensors: readonly SafetensorsTensor[];
}

const LENGTH_BYTES = 8;
/** The header, its tensors, their shapes. */
const DEPTH_MAX = 4;
const METADATA_MAX = 1_024;
const DIMENSIONS_MAX = 2;

/** Throws `adapter_invalid` with the first fault. `fileBytes` is the file's size. */
export async function readSafetensorsHeader(
  handle: FileHandle,
  fileBytes: number,
  limits: ArtefactLimits,
  signal: AbortSignal,
): Promise<SafetensorsHeader> {
  if (fileBytes < LENGTH_BYTES + 2)
    throw invalid(`the safetensors file has ${fileBytes} bytes, too few for a header`);
  const head = await readExactly(handle, 0, LENGTH_BYTES, signal);
  const headerBytes = new DataView(head.buffer).getBigUint64(0, true);
  if (headerBytes > BigInt(limits.headerBytesMax))
    throw invalid(
      `the safetensors header says it has ${headerBytes} bytes; at most ${limits.headerBytesMax} are read`,
    );
  const start = LENGTH_BYTES + Number(headerBytes);
  if (start > fileBytes)
    throw invalid(
      `the safetensors file is cut off: its header has ${headerBytes} bytes, the file ${fileBytes}`,
    );
  const text = await readExactly(handle, LENGTH_BYTES, Number(headerBytes), signal);
  // The format says so: a reader that skips white space would take what others refuse.
  if (text[0] !== 0x7b) throw invalid('the safetensors header does not begin with {');
  let header: unknown;
  try {
    header = parseStrictJson(text, DEPTH_MAX);
  } catch (error) {
    throw invalid(`the safetensors header cannot be read: ${(error as Error).message}`, error);
  }
  if (!isJsonObject(header)) throw invalid('the safetensors header is no JSON object');
  return checkedHeader(header, start, fileBytes, limits);
}

function checkedHeader(
  header: Readonly<Record<string, unknown>>,
  start: number,
  fileBytes: number,
  limits: ArtefactLimits,
): SafetensorsHeader {
  const entries = Object.entries(header).filter(([name]) => name !== '__metadata__');
  if (entries.length > limits.tensorsMax)
    throw invalid(
      `the safetensors file has ${entries.length} tensors; at most ${limits.tensorsMax} are read`,
    );
  const tensors = entries
    .map(([name, entry]) => checkedTensor(name, entry, start))
    .sort((one, other) => one.position - other.position);
  let end = start;
  for (const tensor of tensors) {
    if (tensor.position !== end)
      throw invalid(
        tensor.position < end
          ? `tensor ${shown(tensor.name)} overlaps the one before it by ${end - tensor.position} bytes`
          : `${tensor.position - end} bytes before tensor ${shown(tensor.name)} belong to no tensor`,
      );
    end += tensor.bytes;
  }
  if (end !== fileBytes)
    throw invalid(
      end > fileBytes
        ? `the safetensors file is cut off: ${fileBytes} bytes, but its tensors end at ${end}`
        : `${fileBytes - end} bytes after the last tensor belong to no tensor`,
    );
  return { metadata: checkedMetadata(header['__metadata__'] ?? {}), tensors };
}

function checkedMetadata(value: unknown): Readonly<Record<string, string>> {
  if (!isJsonObject(value) || Object.keys(value).length > METADATA_MAX)
    throw invalid(`__metadata__ of the safetensors file is no object of at most ${METADATA_MAX} texts`);
  for (const [key, text] of Object.entries(value))
    if (typeof text !== 'string') throw invalid(`${shown(key)} in __metadata__ is no text`);
  return value as Readonly<Record<string, string>>;
}

function checkedTensor(name: string, entry: unknown, start: number): SafetensorsTensor {
  if (!isJsonObject(entry)) throw invalid(`tensor ${shown(name)} has no description`);
  const { dtype: type, shape, data_offsets: offsets, ...rest } = entry;
  const [extra] = Object.keys(rest);
  if (extra !== undefined) throw invalid(`tensor ${shown(name)} has the unknown field ${shown(extra)}`);
  if (typeof type !== 'string' || !Object.hasOwn(WEIGHT_BYTES, type))
    throw invalid(
      `tensor ${shown(name)} has the type ${typeof type === 'string' ? shown(type) : typeof type}; expected F32, F16 or BF16`,
    );
  if (!isSizes(shape) || shape.length < 1 || shape.length > DIMENSIONS_MAX)
    throw invalid(`tensor ${shown(name)} has a shape that is not one or two whole numbers`);
  if (!isSizes(offsets) || offsets.length !== 2)
    throw invalid(`tensor ${shown(name)} has data_offsets that are not two whole numbers`);
  const [from = 0, to = 0] = offsets;
  const bytes = shape.reduce((product, length) => product * length, WEIGHT_BYTES[type as WeightType]);
  if (to - from !== bytes)
    throw invalid(
      `tensor ${shown(name)} of ${shape.join(' × ')} ${type} has ${to - from} bytes; expected ${bytes}`,
    );
  return { name, type: type as WeightType, shape, position: start + from, bytes };
}

function isSizes(value: unknown): value is readonly number[] {
  return (
    Array.isArray(value) &&
    value.every((each) => typeof each === 'number' && Number.isSafeInteger(each) && each >= 0)
  );
}

/** The file up to its first weight; the weights follow in the order of `tensors`, without gaps. */
export function safetensorsHeader(
  metadata: Readonly<Record<string, string>>,
  tensors: readonly Pick<SafetensorsTensor, 'name' | 'type' | 'shape'>[],
): Uint8Array {
  const header: Record<string, unknown> = {
    __metadata__: Object.fromEntries(
      Object.entries(metadata).sort(([one], [other]) => (one < other ? -1 : 1)),
    ),
  };
  let end = 0;
  for (const { name, type, shape } of tensors) {
    const begin = end;
    end += shape.reduce((product, length) => product * length, WEIGHT_BYTES[type]);
    header[name] = { dtype: type, shape, data_offsets: [begin, end] };
  }
  const json = Buffer.from(JSON.stringify(header));
  // Spaces up to a multiple of eight, as every writer of the format does: then the weights are aligned.
  const text = Buffer.alloc(Math.ceil(json.length / 8) * 8, ' ');
  json.copy(text);
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text]);
}
