/**
 * The models behind our double of the Open Inference Protocol, and how it words its refusals: as Triton 2.x does, so that
 * the driver is tried on the words it will meet. A real Triton serves models of the same names (`engines:triton`).
 */
import type { Tensor } from '../lib/oip/tensor.ts';

/** A model version as the double serves it. */
export interface DoubleModel {
  readonly platform: string;
  readonly versions: readonly string[];
  readonly inputs: readonly {
    readonly name: string;
    readonly datatype: string;
    readonly shape: readonly number[];
  }[];
  readonly outputs: readonly {
    readonly name: string;
    readonly datatype: string;
    readonly shape: readonly number[];
  }[];
  /** `closed` aborts when the caller left, where the transport can tell. */
  run(inputs: readonly Tensor[], version: string, closed: AbortSignal): Promise<readonly Tensor[]>;
}

/** A refusal with both its forms. */
export class OipRefusal extends Error {
  readonly status: number;
  readonly grpc: 'invalid_argument' | 'not_found' | 'unavailable' | 'internal' | 'unimplemented';

  constructor(status: number, grpc: OipRefusal['grpc'], message: string) {
    super(message);
    this.status = status;
    this.grpc = grpc;
  }
}

/** Gives each input back as the output of the same name with OUT for IN. */
function echo(datatypes: readonly string[]): DoubleModel {
  const tensors = (side: string) =>
    datatypes.map((datatype) => ({ name: `${side}_${datatype}`, datatype, shape: [-1] }));
  return {
    platform: 'double',
    versions: ['1', '2'],
    inputs: tensors('IN'),
    outputs: tensors('OUT'),
    run: (inputs) =>
      Promise.resolve(inputs.map((tensor) => ({ ...tensor, name: tensor.name.replace(/^IN_/, 'OUT_') }))),
  };
}

/** One vector per text: counts of its bytes by residue, so that equal texts have equal vectors. */
const embed: DoubleModel = {
  platform: 'double',
  versions: ['1'],
  inputs: [{ name: 'TEXT', datatype: 'BYTES', shape: [-1, 1] }],
  outputs: [{ name: 'EMBEDDING', datatype: 'FP32', shape: [-1, 8] }],
  run: ([texts]) => {
    if (texts?.datatype !== 'BYTES')
      throw new OipRefusal(400, 'invalid_argument', "unexpected inference input 'TEXT'");
    const data = new Float32Array(texts.data.length * 8);
    for (const [row, bytes] of texts.data.entries())
      for (const byte of bytes) data[row * 8 + (byte % 8)] = (data[row * 8 + (byte % 8)] ?? 0) + 1;
    return Promise.resolve([{ name: 'EMBEDDING', datatype: 'FP32', shape: [texts.data.length, 8], data }]);
  },
};

/** Scores for three classes from the bytes of an image: the first byte says which wins. */
const classify: DoubleModel = {
  platform: 'double',
  versions: ['1', '3'],
  inputs: [{ name: 'IMAGE', datatype: 'UINT8', shape: [-1, -1] }],
  outputs: [{ name: 'SCORES', datatype: 'FP32', shape: [-1, 3] }],
  run: ([image], version) => {
    const first = image?.datatype === 'UINT8' ? (image.data[0] ?? 0) : 0;
    const data = new Float32Array(3);
    data[first % 3] = version === '3' ? 4 : 2;
    return Promise.resolve([{ name: 'SCORES', datatype: 'FP32', shape: [1, 3], data }]);
  },
};

/** Runs until its caller leaves, which proves that cancelling reaches the work. */
const endless: DoubleModel = {
  platform: 'double',
  versions: ['1'],
  inputs: [{ name: 'IN', datatype: 'INT32', shape: [1] }],
  outputs: [{ name: 'OUT', datatype: 'INT32', shape: [1] }],
  run: (_inputs, _version, closed) =>
    new Promise((_resolve, reject) => {
      const stop = () => reject(new OipRefusal(400, 'invalid_argument', 'request cancelled'));
      if (closed.aborted) stop();
      else closed.addEventListener('abort', stop, { once: true });
    }),
};

const FIXED = [
  'BOOL',
  'UINT8',
  'UINT16',
  'UINT32',
  'UINT64',
  'INT8',
  'INT16',
  'INT32',
  'INT64',
  'FP32',
  'FP64',
];

export const DOUBLE_MODELS: Readonly<Record<string, DoubleModel>> = {
  echo: echo([...FIXED, 'FP16', 'BF16', 'BYTES']),
  embed,
  classify,
  endless,
};
