/**
 * What every engine of tensors must do, whatever is behind it and by whatever transport: exact tensors both ways, refusals
 * with a code, no work left behind. Run for our double over HTTP and gRPC, and for a real Triton.
 */
import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { after, before, describe, it } from 'node:test';
import { ServiceError } from '../core/errors.ts';
import type { TensorEngine } from '../core/tensors.ts';
import { type Datatype, type Tensor, tensorFromBytes, tensorToBytes, textTensor } from '../lib/oip/tensor.ts';

export interface OpenedTensorEngine extends AsyncDisposable {
  readonly engine: TensorEngine;
  /** A model that gives back IN_<datatype> as OUT_<datatype>, of any length, for these datatypes. */
  readonly echo: {
    readonly model: string;
    readonly versions: readonly string[];
    readonly datatypes: readonly Datatype[];
  };
  /** A request that would run for a minute or more by itself. */
  readonly slow: { readonly model: string; readonly inputs: readonly Tensor[] };
  /** Whether `timeoutMs` ends a request that waits or runs too long. */
  readonly endsLate: boolean;
  /** Whether models can be loaded and unloaded by call. */
  readonly controls: boolean;
  /** Resolves once the slow request is being worked on. */
  untilStarted(): Promise<void>;
  /** Resolves once the server works on nothing slow; null where leaving does not stop it (Triton over HTTP). */
  readonly untilIdle: (() => Promise<void>) | null;
}

const never = new AbortController().signal;

/** Two elements each; edges of the type where it has some. */
export function sampleTensor(datatype: Datatype): Tensor {
  const name = `IN_${datatype}`;
  const shape = [2];
  switch (datatype) {
    case 'BYTES':
      return textTensor(name, shape, ['Grüß Gott, \u{1F9DB}', '']);
    case 'BOOL':
      return { name, datatype, shape, data: Uint8Array.of(1, 0) };
    case 'INT64':
      return { name, datatype, shape, data: BigInt64Array.of(-(2n ** 63n), 9_007_199_254_740_993n) };
    case 'UINT64':
      return { name, datatype, shape, data: BigUint64Array.of(2n ** 64n - 1n, 0n) };
    case 'FP32':
      return { name, datatype, shape, data: Float32Array.of(0.1, -3.4e38) };
    case 'FP64':
      return { name, datatype, shape, data: Float64Array.of(0.1, Number.MAX_VALUE) };
    default:
      // The bits of small and large whole numbers, and of half floats.
      return tensorFromBytes(name, datatype, shape, new Uint8Array(2 * widthOf(datatype)).fill(0x7b));
  }
}

function widthOf(datatype: Datatype): number {
  return /8$/.test(datatype) ? 1 : /16$/.test(datatype) ? 2 : 4;
}

const failsAs =
  (...codes: readonly string[]) =>
  (error: unknown) => {
    assert.ok(error instanceof ServiceError, String(error));
    assert.ok(codes.includes(error.code), `${error.code}: ${error.message}`);
    return true;
  };

/** Registers the suite; `open` is called once for it. */
export function tensorConformance(
  title: string,
  open: () => Promise<OpenedTensorEngine>,
  options: { readonly skip?: boolean | string } = {},
): void {
  describe(`${title} is an engine of tensors`, options, () => {
    let opened: OpenedTensorEngine;
    before(async () => {
      opened = await open();
    });
    after(() => opened?.[Symbol.asyncDispose]());
    const echo = (inputs: readonly Tensor[], changes: object = {}, signal = never) =>
      opened.engine.infer({ model: opened.echo.model, inputs, ...changes }, signal);

    it('is live and ready, and says who it is', async () => {
      assert.equal(await opened.engine.live(never), true);
      assert.equal(await opened.engine.ready(never), true);
      assert.notEqual((await opened.engine.serverMetadata(never)).name, '');
    });

    it('gives every datatype back to the last bit', async () => {
      for (const datatype of opened.echo.datatypes) {
        const sent = sampleTensor(datatype);
        const { outputs } = await echo([sent], { outputs: [{ name: `OUT_${datatype}` }] });
        assert.equal(outputs.length, 1);
        const [back] = outputs;
        assert.equal(back?.name, `OUT_${datatype}`);
        assert.equal(back.datatype, datatype);
        assert.deepEqual(back.shape, [2]);
        assert.deepEqual(tensorToBytes(back), tensorToBytes(sent), datatype);
      }
    });

    it('takes a tensor of a megabyte and of no element', async () => {
      const large: Tensor = {
        name: 'IN_FP32',
        datatype: 'FP32',
        shape: [250_000],
        data: new Float32Array(250_000).fill(0.5),
      };
      const { outputs } = await echo([large], { outputs: [{ name: 'OUT_FP32' }] });
      assert.deepEqual(outputs[0]?.data, large.data);
      const none: Tensor = { name: 'IN_FP32', datatype: 'FP32', shape: [0], data: new Float32Array(0) };
      const empty = await echo([none], { outputs: [{ name: 'OUT_FP32' }] });
      assert.equal(empty.outputs[0]?.data.length, 0);
    });

    it('says which version answered, and answers with the one that was asked for', async () => {
      const input = [sampleTensor('FP32')];
      const wanted = { outputs: [{ name: 'OUT_FP32' }] };
      assert.equal((await echo(input, wanted)).version, opened.echo.versions.at(-1));
      for (const version of opened.echo.versions)
        assert.equal((await echo(input, { ...wanted, version })).version, version);
    });

    it('describes its models: versions, tensors, shapes', async () => {
      const { name, versions, inputs, outputs } = await opened.engine.modelMetadata(
        opened.echo.model,
        undefined,
        never,
      );
      assert.equal(name, opened.echo.model);
      assert.deepEqual(versions.toSorted(), opened.echo.versions.toSorted());
      assert.equal(inputs.find((input) => input.name === 'IN_FP32')?.datatype, 'FP32');
      assert.deepEqual(outputs.find((output) => output.name === 'OUT_FP32')?.shape, [-1]);
      assert.equal(await opened.engine.modelReady(opened.echo.model, undefined, never), true);
      const index = await opened.engine.repositoryIndex(never);
      assert.ok(index.some((entry) => entry.name === opened.echo.model && entry.state === 'READY'));
    });

    it('knows no model and no version that is not there', async () => {
      const inputs = [sampleTensor('FP32')];
      await assert.rejects(opened.engine.infer({ model: 'nobody', inputs }, never), failsAs('unknown_model'));
      await assert.rejects(echo(inputs, { version: '99' }), failsAs('unknown_model'));
      await assert.rejects(opened.engine.modelMetadata('nobody', undefined, never), failsAs('unknown_model'));
      assert.equal(await opened.engine.modelReady('nobody', undefined, never), false);
      assert.equal(await opened.engine.modelReady(opened.echo.model, '99', never), false);
    });

    it('refuses a tensor of another name, type or length as the fault of who asked', async () => {
      const good = sampleTensor('FP32');
      await assert.rejects(echo([{ ...good, name: 'NOBODY' }]), failsAs('bad_request'));
      await assert.rejects(echo([{ ...sampleTensor('INT32'), name: 'IN_FP32' }]), failsAs('bad_request'));
      await assert.rejects(echo([{ ...good, shape: [3] } as Tensor]), failsAs('bad_request'));
      await assert.rejects(echo([good], { parameters: { triton_secret: 1 } }), failsAs('bad_request'));
    });

    it('does not begin for who has gone already', async () => {
      const reason = new Error('gone before');
      await assert.rejects(
        echo([sampleTensor('FP32')], {}, AbortSignal.abort(reason)),
        (error) => error === reason,
      );
    });

    it('lets go with the reason of who leaves, and stops the work', async (context) => {
      const controller = new AbortController();
      const reason = new Error('left');
      const pending = opened.engine.infer(opened.slow, controller.signal);
      await Promise.race([opened.untilStarted(), pending]);
      controller.abort(reason);
      await assert.rejects(pending, (error) => error === reason);
      if (opened.untilIdle === null) return context.diagnostic('this server ends the work all the same');
      await opened.untilIdle();
    });

    it('gives up when the answer is of no more use', async (context) => {
      if (!opened.endsLate) return context.skip('this server has no deadlines');
      const controller = new AbortController();
      const first = opened.engine.infer(opened.slow, controller.signal);
      await Promise.race([opened.untilStarted(), first]);
      // The second waits behind the first, or runs beside it; either way its time runs out at the server.
      const late = opened.engine.infer({ ...opened.slow, timeoutMs: 50 }, never);
      await assert.rejects(late, failsAs('deadline_exceeded'));
      controller.abort(new Error('left'));
      await assert.rejects(first);
      await opened.untilIdle?.();
    });

    it('gives each of many at once its own answer', async () => {
      const answers = await Promise.all(
        [...Array(20)].map((_, index) =>
          echo([{ name: 'IN_INT32', datatype: 'INT32', shape: [1], data: Int32Array.of(index) }], {
            id: `r${index}`,
            outputs: [{ name: 'OUT_INT32' }],
          }),
        ),
      );
      assert.deepEqual(
        answers.map(({ outputs, id }) => [outputs[0]?.data[0], id]),
        [...Array(20)].map((_, index) => [index, `r${index}`]),
      );
    });

    it('unloads and loads a model by call', async (context) => {
      if (!opened.controls) return context.skip('this server takes no orders for models');
      const { engine } = opened;
      await engine.unloadModel(opened.echo.model, never);
      for (
        let look = 0;
        look < 1_000 && (await engine.modelReady(opened.echo.model, undefined, never));
        look += 1
      );
      assert.equal(await engine.modelReady(opened.echo.model, undefined, never), false);
      await assert.rejects(
        echo([sampleTensor('FP32')]),
        failsAs('unknown_model', 'not_ready', 'bad_request'),
      );
      await engine.loadModel(opened.echo.model, never);
      assert.equal(await engine.modelReady(opened.echo.model, undefined, never), true);
      await assert.rejects(
        engine.loadModel('nobody', never),
        failsAs('bad_request', 'unknown_model', 'engine_error'),
      );
    });

    it('lets go of the signal at the end', async () => {
      const controller = new AbortController();
      await echo([sampleTensor('FP32')], { outputs: [{ name: 'OUT_FP32' }] }, controller.signal);
      assert.deepEqual(getEventListeners(controller.signal, 'abort'), []);
    });
  });
}
