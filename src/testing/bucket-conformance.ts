/**
 * What fetching from an object store must do, whichever store it is: run for the double in this tree, and for a store that
 * others wrote where one is installed.
 */
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import { parseSource } from '../adapters/sources/address.ts';
import { fetchAdapter } from '../adapters/sources/fetch.ts';
import { realRuntime } from '../runtime.ts';
import { type CuttingRelay, startCuttingRelay } from './cutting-relay.ts';
import {
  CONFIG,
  emptyFolder,
  failure,
  fetchOptions,
  idle,
  OTHER_WEIGHTS,
  sha256Of,
  WEIGHTS,
} from './raw-adapter.ts';

export interface OpenedStore extends AsyncDisposable {
  readonly port: number;
  /** Region and keys that may list and read everything; no endpoint. */
  readonly environment: Readonly<Record<string, string>>;
  /** Whether it checks what a request is signed with. */
  readonly checksKeys: boolean;
  readonly put: (bucket: string, key: string, bytes: Uint8Array) => Promise<void>;
}

const BUCKET = 'greenroom-crypt';

export function bucketConformance(
  name: string,
  openStore: () => Promise<OpenedStore>,
  skip: false | string = false,
): void {
  describe(`adapters from ${name}`, { skip }, () => {
    let store: OpenedStore;
    let relay: CuttingRelay;
    before(async () => {
      store = await openStore();
      relay = await startCuttingRelay(store.port);
      for (const [key, bytes] of [
        ['game/lich/README.md', Buffer.from('# Lich')],
        ['game/lich/adapter_config.json', CONFIG],
        ['game/lich/adapter_model.safetensors', WEIGHTS],
        ['game/lich/checkpoint-1/adapter_model.safetensors', OTHER_WEIGHTS],
        ['game/ghoul #1/Ghoul Ä+Q8.gguf', OTHER_WEIGHTS],
        ['game/pickle/adapter_config.json', CONFIG],
        ['game/pickle/adapter_model.bin', WEIGHTS],
        ['game/moving/adapter_config.json', CONFIG],
        ['game/moving/adapter_model.safetensors', WEIGHTS],
      ] as const)
        await store.put(BUCKET, key, bytes);
    });
    after(async () => {
      await relay?.[Symbol.asyncDispose]();
      await store?.[Symbol.asyncDispose]();
    });

    const environment = (more: Record<string, string> = {}) => ({
      ...store.environment,
      AWS_ENDPOINT_URL_S3: `http://127.0.0.1:${relay.port}`,
      ...more,
    });
    const fetchInto = (into: string, text: string, more: Record<string, string> = {}) =>
      fetchAdapter(parseSource(text), fetchOptions(into, { environment: environment(more) }), idle());

    it('gives config and weights of a prefix, and nothing below or beside them', async (context: TestContext) => {
      const into = await emptyFolder(context);
      const fetched = await fetchInto(into, `s3://${BUCKET}/game/lich/`);
      assert.equal(fetched.format, 'peft');
      assert.equal(fetched.source.address, `s3://${BUCKET}/game/lich`);
      assert.equal(fetched.source.weightsSha256, sha256Of(WEIGHTS));
      assert.match(fetched.source.revision ?? '', /^"[^"]+"$/);
      assert.deepEqual((await readdir(into)).sort(), ['adapter_config.json', 'adapter_model.safetensors']);
      assert.deepEqual(await readFile(join(into, 'adapter_config.json')), CONFIG);
      assert.deepEqual(await readFile(join(into, 'adapter_model.safetensors')), WEIGHTS);
    });

    it('gives a single file by its key, and the one GGUF of a prefix, whatever the key holds', async (context: TestContext) => {
      for (const key of ['game/ghoul #1', 'game/ghoul #1/Ghoul Ä+Q8.gguf']) {
        const into = await emptyFolder(context);
        const fetched = await fetchInto(into, `s3://${BUCKET}/${key}#sha256=${sha256Of(OTHER_WEIGHTS)}`);
        assert.equal(fetched.path, join(into, 'adapter.gguf'));
        assert.deepEqual(await readdir(into), ['adapter.gguf']);
      }
      const into = await emptyFolder(context);
      const named = await fetchInto(into, `s3://${BUCKET}/game/lich/adapter_model.safetensors`);
      assert.equal(named.format, 'peft');
    });

    it('goes on after a cut where it ended', async (context: TestContext) => {
      const into = await emptyFolder(context);
      const received: number[] = [];
      let monotonicMs = 0;
      relay.cutAfter(700_000);
      await fetchAdapter(
        parseSource(`s3://${BUCKET}/game/lich`),
        fetchOptions(into, {
          environment: environment(),
          clock: { ...realRuntime.clock, monotonicMs: () => (monotonicMs += 1_000) },
          onProgress: (progress) => {
            if (progress.file === 'adapter_model.safetensors' && progress.stage === 'fetching')
              received.push(progress.receivedBytes);
          },
        }),
        idle(),
      );
      assert.deepEqual(await readFile(join(into, 'adapter_model.safetensors')), WEIGHTS);
      // Never back to the beginning: that is what resuming means.
      assert.deepEqual(
        received,
        received.toSorted((left, right) => left - right),
      );
    });

    it('keeps what came when it is stopped, and fetches anew what has changed since', async (context: TestContext) => {
      const into = await emptyFolder(context);
      const source = parseSource(`s3://${BUCKET}/game/moving`);
      const stopped = async () => {
        const stop = new AbortController();
        let monotonicMs = 0;
        const fetching = fetchAdapter(
          source,
          fetchOptions(into, {
            environment: environment(),
            clock: { ...realRuntime.clock, monotonicMs: () => (monotonicMs += 1_000) },
            onProgress: (progress) => {
              if (progress.file === 'adapter_model.safetensors' && progress.receivedBytes > 0) stop.abort();
            },
          }),
          stop.signal,
        );
        await assert.rejects(fetching, stop.signal.reason);
        const left = await readFile(join(into, 'adapter_model.safetensors.partial'));
        assert.ok(left.length > 0 && left.length < WEIGHTS.length);
      };
      await stopped();
      await fetchAdapter(source, fetchOptions(into, { environment: environment() }), idle());
      assert.deepEqual(await readFile(join(into, 'adapter_model.safetensors')), WEIGHTS);
      await stopped();
      await store.put(BUCKET, 'game/moving/adapter_model.safetensors', OTHER_WEIGHTS);
      const fetched = await fetchAdapter(source, fetchOptions(into, { environment: environment() }), idle());
      assert.equal(fetched.source.weightsSha256, sha256Of(OTHER_WEIGHTS));
      assert.deepEqual(await readFile(join(into, 'adapter_model.safetensors')), OTHER_WEIGHTS);
    });

    const refusals: readonly (readonly [string, string, string, RegExp])[] = [
      [
        'an unknown bucket',
        's3://nobody-has-this/lich',
        'adapter_invalid',
        /there is no bucket nobody-has-this/,
      ],
      [
        'an empty prefix',
        `s3://${BUCKET}/game/nobody`,
        'adapter_invalid',
        /holds no adapter: .*found no file/,
      ],
      [
        'an unknown key',
        `s3://${BUCKET}/game/x.gguf`,
        'adapter_invalid',
        /there is no object game\/x\.gguf in/,
      ],
      ['a pickle', `s3://${BUCKET}/game/pickle`, 'adapter_invalid', /adapter_model\.bin, a pickle file/],
      [
        'other bytes than wanted',
        `s3://${BUCKET}/game/lich#sha256=${'0'.repeat(64)}`,
        'digest_mismatch',
        /what came has SHA-256/,
      ],
    ];
    for (const [what, text, code, expected] of refusals) {
      it(`says what is wrong with ${what}`, async (context: TestContext) => {
        const error = await failure(fetchInto(await emptyFolder(context), text));
        assert.equal(error.code, code, error.message);
        assert.match(error.message, expected);
      });
    }

    it('says which keys are refused', async (context: TestContext) => {
      if (!store.checksKeys) return context.skip('this store checks no keys');
      const into = await emptyFolder(context);
      const text = `s3://${BUCKET}/game/lich`;
      const unknown = await failure(fetchInto(into, text, { AWS_ACCESS_KEY_ID: 'NOBODY' }));
      assert.equal(unknown.code, 'adapter_unavailable', unknown.message);
      // Amazon says 403, some stores 404.
      assert.match(unknown.message, /40[34] .*check AWS_ACCESS_KEY_ID/);
      const wrong = await failure(fetchInto(into, text, { AWS_SECRET_ACCESS_KEY: 'guessed' }));
      assert.match(wrong.message, /403 SignatureDoesNotMatch.*check AWS_ACCESS_KEY_ID/);
      const elsewhere = await failure(fetchInto(into, text, { AWS_REGION: 'ap-south-2' }));
      assert.match(elsewhere.message, /not in the region ap-south-2/);
    });
  });
}
