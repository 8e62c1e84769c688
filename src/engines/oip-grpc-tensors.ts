/**
 * Tensors of a gRPC message: raw bytes beside the message, or typed contents inside it, never both (engines.md §9.4). We
 * send raw, Triton answers raw; other servers may answer typed, so both are read. Both sides of the wire use this.
 */
import { create } from '@bufbuild/protobuf';
import type { TensorParameter } from '../core/tensors.ts';
import {
  type Datatype,
  ELEMENT_BYTES,
  elementCount,
  fixedTensor,
  isDatatype,
  type Tensor,
  TensorFormatError,
  tensorFromBytes,
} from '../lib/oip/tensor.ts';
import {
  type InferParameter,
  InferParameterSchema,
  type InferTensorContents,
} from './oip-wire/inference_pb.ts';

interface WireTensor {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly bigint[];
  readonly contents?: InferTensorContents | undefined;
}

/** Which field of the typed contents holds a datatype. Half floats have none. */
const CONTENTS = {
  BOOL: 'boolContents',
  INT8: 'intContents',
  INT16: 'intContents',
  INT32: 'intContents',
  INT64: 'int64Contents',
  UINT8: 'uintContents',
  UINT16: 'uintContents',
  UINT32: 'uintContents',
  UINT64: 'uint64Contents',
  FP32: 'fp32Contents',
  FP64: 'fp64Contents',
  BYTES: 'bytesContents',
} as const;

/** Tensors of a message and the raw bytes beside it. Throws TensorFormatError when either does not fit the shapes. */
export function tensorsOf(tensors: readonly WireTensor[], raw: readonly Uint8Array[]): Tensor[] {
  if (raw.length > 0 && raw.length !== tensors.length)
    throw new TensorFormatError(
      `${raw.length} raw contents came for ${tensors.length} tensors; expected as many`,
    );
  return tensors.map((tensor, index) => {
    const { name, datatype } = tensor;
    if (!isDatatype(datatype))
      throw new TensorFormatError(`tensor ${name} has the datatype "${datatype}", which is none`);
    const shape = tensor.shape.map(Number);
    const bytes = raw[index];
    if (bytes === undefined) return typedTensor(name, datatype, shape, tensor.contents);
    if (tensor.contents !== undefined && hasContents(tensor.contents))
      throw new TensorFormatError(`tensor ${name} has both raw and typed contents`);
    return tensorFromBytes(name, datatype, shape, bytes);
  });
}

function hasContents(contents: InferTensorContents): boolean {
  return Object.values(CONTENTS).some((field) => contents[field].length > 0);
}

function typedTensor(
  name: string,
  datatype: Datatype,
  shape: readonly number[],
  contents: InferTensorContents | undefined,
): Tensor {
  const count = elementCount(name, shape);
  if (datatype === 'FP16' || datatype === 'BF16')
    throw new TensorFormatError(
      `tensor ${name} is ${datatype}, which has no typed contents; raw contents are needed`,
    );
  const values = contents?.[CONTENTS[datatype]] ?? [];
  if (values.length !== count)
    throw new TensorFormatError(
      `tensor ${name} has ${values.length} elements; its shape [${shape.join(', ')}] has ${count}`,
    );
  if (datatype === 'BYTES') return { name, datatype, shape, data: values as readonly Uint8Array[] };
  const tensor = fixedTensor(name, datatype, shape, new Uint8Array(count * ELEMENT_BYTES[datatype]));
  const target = tensor.data as { [index: number]: number | bigint };
  for (const [index, value] of values.entries()) {
    const given = typeof value === 'boolean' ? Number(value) : (value as number | bigint);
    target[index] = given;
    // A typed array wraps what does not fit; a sender that does that is not to be believed.
    if (datatype !== 'FP32' && target[index] !== given && !Number.isNaN(given))
      throw new TensorFormatError(`tensor ${name} holds ${given}, which is no ${datatype}`);
  }
  return tensor;
}

/** A parameter in its wire form. Whole numbers go as int64, which is what Triton expects of priority and timeout. */
export function parameterToWire(value: TensorParameter): InferParameter {
  const choice =
    typeof value === 'boolean'
      ? ({ case: 'boolParam', value } as const)
      : typeof value === 'string'
        ? ({ case: 'stringParam', value } as const)
        : Number.isSafeInteger(value)
          ? ({ case: 'int64Param', value: BigInt(value) } as const)
          : ({ case: 'doubleParam', value } as const);
  return create(InferParameterSchema, { parameterChoice: choice });
}

export function parametersToWire(
  parameters: Readonly<Record<string, TensorParameter>>,
): Record<string, InferParameter> {
  return Object.fromEntries(
    Object.entries(parameters).map(([name, value]) => [name, parameterToWire(value)]),
  );
}

/** 64-bit integers that a double cannot hold come as decimal text. */
export function parametersFromWire(
  parameters: Readonly<Record<string, InferParameter>>,
): Record<string, TensorParameter> {
  const values: Record<string, TensorParameter> = {};
  for (const [name, { parameterChoice }] of Object.entries(parameters)) {
    const { value } = parameterChoice;
    if (value === undefined) continue;
    if (typeof value === 'bigint') {
      const number = Number(value);
      values[name] = Number.isSafeInteger(number) ? number : value.toString();
    } else values[name] = value;
  }
  return values;
}
