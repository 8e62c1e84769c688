/**
 * What both transports of the double share: which models are loaded, how many requests run, what was asked, and the
 * faults a test may order.
 */
import type { RepositoryEntry } from '../core/tensors.ts';
import type { Tensor } from '../lib/oip/tensor.ts';
import { DOUBLE_MODELS, type DoubleModel, OipRefusal } from './oip-models.ts';

export class DoubleRepository {
  readonly #unloaded = new Set<string>();
  /** Requests under way, as Triton's pending count; past it the queue is full. */
  maxQueue = Number.POSITIVE_INFINITY;
  running = 0;
  /** What was asked for, oldest first: model, version and parameters as they came. */
  readonly asked: { readonly model: string; readonly version: string; readonly parameters: object }[] = [];

  isReady(name: string, version: string): boolean {
    const model = DOUBLE_MODELS[name];
    return (
      model !== undefined && !this.#unloaded.has(name) && (version === '' || model.versions.includes(version))
    );
  }

  /** The model, and the version that answers: the newest when none is named. Throws what Triton says. */
  find(name: string, version: string): { readonly model: DoubleModel; readonly version: string } {
    const model = DOUBLE_MODELS[name];
    if (model === undefined || this.#unloaded.has(name))
      throw new OipRefusal(404, 'not_found', `Request for unknown model: '${name}' is not found`);
    if (version !== '' && !model.versions.includes(version))
      throw new OipRefusal(
        404,
        'not_found',
        `Request for unknown model: '${name}' version ${version} is not found`,
      );
    return { model, version: version === '' ? (model.versions.at(-1) ?? '1') : version };
  }

  async infer(
    request: {
      readonly model: string;
      readonly version: string;
      readonly inputs: readonly Tensor[];
      /** Empty: all. */
      readonly outputs: readonly string[];
      readonly parameters: object;
    },
    closed: AbortSignal,
  ): Promise<{ readonly version: string; readonly outputs: readonly Tensor[] }> {
    const { model, version } = this.find(request.model, request.version);
    this.asked.push({ model: request.model, version: request.version, parameters: request.parameters });
    for (const { name, datatype } of request.inputs) {
      const declared = model.inputs.find((input) => input.name === name);
      if (declared === undefined)
        throw new OipRefusal(
          400,
          'invalid_argument',
          `unexpected inference input '${name}' for model '${request.model}'`,
        );
      if (declared.datatype !== datatype)
        throw new OipRefusal(
          400,
          'invalid_argument',
          `inference input '${name}' data-type is '${datatype}', but model '${request.model}' expects '${declared.datatype}'`,
        );
    }
    if (this.running >= this.maxQueue) throw new OipRefusal(503, 'unavailable', 'Exceeds maximum queue size');
    this.running += 1;
    try {
      const outputs = await model.run(request.inputs, version, closed);
      for (const wanted of request.outputs)
        if (!model.outputs.some(({ name }) => name === wanted))
          throw new OipRefusal(
            400,
            'invalid_argument',
            `unexpected inference output '${wanted}' for model '${request.model}'`,
          );
      return {
        version,
        outputs:
          request.outputs.length === 0
            ? outputs
            : outputs.filter(({ name }) => request.outputs.includes(name)),
      };
    } finally {
      this.running -= 1;
    }
  }

  index(readyOnly: boolean): RepositoryEntry[] {
    return Object.entries(DOUBLE_MODELS).flatMap(([name, { versions }]): RepositoryEntry[] => {
      if (!this.#unloaded.has(name))
        return versions.map((version) => ({ name, version, state: 'READY', reason: '' }));
      return readyOnly
        ? []
        : versions.map((version) => ({ name, version, state: 'UNAVAILABLE', reason: 'unloaded' }));
    });
  }

  load(name: string): void {
    if (DOUBLE_MODELS[name] === undefined)
      throw new OipRefusal(
        400,
        'invalid_argument',
        `failed to load '${name}', failed to poll from model repository`,
      );
    this.#unloaded.delete(name);
  }

  unload(name: string): void {
    if (DOUBLE_MODELS[name] !== undefined) this.#unloaded.add(name);
  }
}
