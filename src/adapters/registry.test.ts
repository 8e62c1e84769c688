/** The registry with real staging and a real store: what comes in, what is refused, and that a record always has its files. */
import assert from 'node:assert/strict';
import { appendFile, mkdir, mkdtemp, readdir, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, it } from 'node:test';
import { adapterId } from '../core/adapter.ts';
import { ServiceError } from '../core/errors.ts';
import { realRuntime } from '../runtime.ts';
import { type OpenedStore, openStore } from '../store/store.ts';
import { silentLogger } from '../telemetry/log.ts';
import { type AdapterService, adapterService, addition, TINY_BASE } from '../testing/adapter-service.ts';
import { rejectsWith } from '../testing/store-conformance.ts';
import { changeDesired, publishVersion, startRemoving } from './desired.ts';
import type { AdapterProgress } from './views.ts';

const never = new AbortController().signal;
const quiet = () => {};
const data = await mkdtemp(path.join(tmpdir(), 'greenroom-registry-'));
after(() => rm(data, { recursive: true, force: true }));
let stores = 0;

interface Opened extends AdapterService {
  readonly store: OpenedStore;
}

async function open(): Promise<Opened> {
  const directory = path.join(data, `${stores++}`);
  const store = await openStore({ url: undefined, directory, log: silentLogger, ...realRuntime }, never);
  const service = adapterService(store);
  return {
    ...service,
    store,
    [Symbol.asyncDispose]: async () => {
      await service[Symbol.asyncDispose]();
      await store[Symbol.asyncDispose]();
    },
  };
}

const exists = (file: string) =>
  stat(file).then(
    () => true,
    () => false,
  );

it('brings an adapter in with its progress, whole files and a record of everything', async () => {
  await using at = await open();
  const source = await at.write('lich', 1);
  const steps: AdapterProgress[] = [];
  const request = addition('lich@7', source, { notes: 'cold', trainingRun: 'run-3', addedBy: 'ops' });
  const { record, isNew, sameBytes } = await at.registry.add(request, (step) => steps.push(step), never);
  assert.deepEqual([isNew, sameBytes], [true, []]);
  const { digest, bytes, ggufBytes, addedAtMs, ...rest } = record;
  assert.deepEqual(rest, {
    ...{ name: 'lich', version: '7', base: TINY_BASE, baseDigest: null, architecture: 'llama' },
    ...{ layers: 2, rank: 4, alpha: record.alpha, targetModules: ['q_proj', 'v_proj'] },
    ...{ licence: 'CC0-1.0', trainingRun: 'run-3', notes: 'cold', source, addedBy: 'ops' },
  });
  assert.ok(bytes > 0 && ggufBytes > 0 && addedAtMs > 0);
  assert.deepEqual(await at.registry.files.missing(digest), []);
  assert.deepEqual(await readdir(path.join(at.root, '.incoming')), []);
  assert.ok(steps.some(({ stage, percent }) => stage === 'fetching' && percent === 100));
  assert.equal(steps.at(-1)?.stage, 'staging');
  const again = await at.registry.add(addition('lich@7', source, { notes: 'other' }), quiet, never);
  assert.deepEqual([again.isNew, again.record], [false, record]);
});

it("refuses a version that stands for other bytes and leaves nothing of them; a relative path is the gateway's", async () => {
  await using at = await open();
  await at.write('one', 1);
  await at.write('two', 2);
  const { record } = await at.registry.add(addition('lich@7', './one'), quiet, never);
  assert.equal(record.source, path.join(at.home, 'one'));
  const error = await rejectsWith(
    'adapter_conflict',
    at.registry.add(addition('lich@7', './two'), quiet, never),
  );
  assert.match(error.message, /lich@7 stands for digest/);
  const folders = (await readdir(at.root)).filter((name) => !name.startsWith('.'));
  assert.deepEqual(folders, [record.digest]);
});

it('is won by one of two that add a version with other bytes at the same instant', async () => {
  await using at = await open();
  const sources = await Promise.all([1, 2, 3, 4].map((seed) => at.write(`s${seed}`, seed)));
  const outcomes = await Promise.allSettled(
    sources.map((source) => at.registry.add(addition('lich@7', source), quiet, never)),
  );
  const won = outcomes.filter((outcome) => outcome.status === 'fulfilled');
  assert.equal(won.length, 1);
  const digest = won[0]?.value.record.digest ?? '';
  assert.equal((await at.store.adapters.get('lich', '7'))?.digest, digest);
  assert.deepEqual(await at.registry.files.missing(digest), []);
  const folders = (await readdir(at.root)).filter((name) => !name.startsWith('.'));
  assert.deepEqual(folders, [digest]);
});

it('takes the same bytes under another name, says so, and keeps the files until the last name goes', async () => {
  await using at = await open();
  const source = await at.write('lich', 1);
  const { record } = await at.registry.add(addition('lich@7', source), quiet, never);
  const second = await at.registry.add(addition('ghoul@1', source), quiet, never);
  assert.deepEqual([second.isNew, second.sameBytes], [true, ['lich@7']]);
  await at.registry.remove({ name: 'lich', version: '7' });
  assert.deepEqual(await at.registry.files.missing(record.digest), []);
  await at.registry.remove({ name: 'ghoul', version: '1' });
  assert.equal(await exists(at.registry.files.folderOf(record.digest)), false);
  const error = await rejectsWith('unknown_adapter', at.registry.remove({ name: 'ghoul', version: '1' }));
  assert.match(error.message, /no adapter is registered as ghoul@1 and none is called ghoul/);
});

it('keeps record and files together while names of one digest come and go at once', async () => {
  await using at = await open();
  const source = await at.write('lich', 1);
  for (let round = 0; round < 8; round += 1) {
    const { record } = await at.registry.add(addition('lich@7', source), quiet, never);
    await Promise.all([
      at.registry.remove({ name: 'lich', version: '7' }),
      at.registry.add(addition('ghoul@1', source), quiet, never),
    ]);
    assert.deepEqual(await at.registry.files.missing(record.digest), [], `round ${round}`);
    await at.registry.verify({ name: 'ghoul', version: '1' }, { refetch: false }, quiet, never);
    await at.registry.remove({ name: 'ghoul', version: '1' });
  }
});

it('refuses what does not fit the base, is no adapter, has another digest, or names a base that nobody has', async () => {
  await using at = await open();
  const source = await at.write('lich', 1);
  const add = (changes: object, from = source) =>
    at.registry.add(addition('lich@7', from, changes), quiet, never);
  await rejectsWith('adapter_incompatible', add({ base: 'tiny-deep' }));
  await rejectsWith('digest_mismatch', add({ sha256: '0'.repeat(64) }));
  const error = await rejectsWith('bad_request', add({ base: 'gpt-5' }));
  assert.match(error.message, /no engine has the base model "gpt-5"; there is: tiny-llama, tiny-deep/);
  const empty = path.join(at.home, 'empty');
  await mkdir(empty);
  await writeFile(path.join(empty, 'adapter_model.bin'), 'pickle');
  await rejectsWith('adapter_invalid', add({}, empty));
  for (const changes of [
    { name: 'Lich' },
    { name: '../lich' },
    { version: 'stable' },
    { version: '' },
    { version: '7@8' },
    { sha256: 'abc' },
    { source: 'lich' },
    { source: 'ftp://x/y' },
  ])
    await rejectsWith('bad_request', add(changes));
  assert.equal((await at.store.adapters.list({ limit: 9 })).records.length, 0);
  assert.deepEqual(
    (await readdir(at.root)).filter((name) => !name.startsWith('.')),
    [],
  );
  assert.deepEqual(await readdir(path.join(at.root, '.incoming')), []);
});

it('does not remove what is published, nor publish what is being removed', async () => {
  await using at = await open();
  const source = await at.write('lich', 1);
  const { record } = await at.registry.add(addition('lich@7', source), quiet, never);
  await changeDesired(at.store.adapters, publishVersion(record, { atMs: 1 }));
  await rejectsWith('adapter_busy', at.registry.remove(record));
  assert.deepEqual(await at.registry.files.missing(record.digest), []);
  const next = (await at.registry.add(addition('lich@8', source), quiet, never)).record;
  await changeDesired(at.store.adapters, startRemoving('lich@8'));
  await rejectsWith('adapter_busy', changeDesired(at.store.adapters, publishVersion(next, { atMs: 1 })));
});

it('at the same instant either publishes or removes', async () => {
  await using at = await open();
  const source = await at.write('lich', 1);
  for (let round = 0; round < 10; round += 1) {
    const { record } = await at.registry.add(addition(`lich@${round}`, source), quiet, never);
    // It looked the record up before, and however late it comes: a version that is out is not published.
    const publish = changeDesired(at.store.adapters, publishVersion(record, { atMs: 1 }));
    const [removed, published] = await Promise.allSettled([at.registry.remove(record), publish]);
    if (removed.status === 'fulfilled')
      await rejectsWith(
        'adapter_busy',
        changeDesired(at.store.adapters, publishVersion(record, { atMs: 1 })),
      );
    assert.notEqual(removed.status, published.status, adapterId(record));
    const isThere = (await at.store.adapters.get('lich', `${round}`)) !== null;
    assert.equal(isThere, published.status === 'fulfilled');
  }
});

it('remembers a bounded number of those that are out', async () => {
  await using at = await open();
  const removing = Array.from({ length: 256 }, (_, index) => `x@${index}`);
  const now = await at.store.adapters.desired();
  await at.store.adapters.replaceDesired({ ...now, revision: 1, removing });
  const { record } = await at.registry.add(addition('lich@7', await at.write('lich', 1)), quiet, never);
  await at.registry.remove(record);
  const marks = (await at.store.adapters.desired()).removing;
  assert.deepEqual([marks.length, marks[0], marks.at(-1)], [256, 'x@1', 'lich@7']);
});

it('ends a removal that broke off in the middle, and lets the version be added anew meanwhile', async () => {
  await using at = await open();
  const source = await at.write('lich', 1);
  const { record } = await at.registry.add(addition('lich@7', source), quiet, never);
  await changeDesired(at.store.adapters, startRemoving('lich@7'));
  await at.registry.recover(never);
  assert.equal(await at.store.adapters.get('lich', '7'), null);
  assert.equal(await exists(at.registry.files.folderOf(record.digest)), false);

  await at.registry.add(addition('lich@7', source), quiet, never);
  assert.deepEqual((await at.store.adapters.desired()).removing, []);
  await at.registry.recover(never);
  assert.notEqual(await at.store.adapters.get('lich', '7'), null, 'the new one is not taken for the old');
});

it('names what is missing or damaged, and mends it from its source', async () => {
  await using at = await open();
  const source = await at.write('lich', 1);
  const { record } = await at.registry.add(addition('lich@7', source), quiet, never);
  const verify = (refetch: boolean) => at.registry.verify(record, { refetch }, quiet, never);
  const folder = at.registry.files.folderOf(record.digest);
  assert.equal(await verify(false), 'whole');
  await rm(path.join(folder, 'adapter.gguf'));
  const error = await rejectsWith('adapter_invalid', verify(false));
  assert.match(
    error.message,
    /^adapter\.gguf of lich@7 is missing in .*greenroom adapters verify lich@7 --refetch/,
  );
  assert.equal(await verify(true), 'mended');
  await appendFile(path.join(folder, 'adapter_model.safetensors'), 'x');
  await assert.rejects(verify(false));
  assert.equal(await verify(true), 'mended');
  await rm(folder, { recursive: true });
  assert.equal(await verify(true), 'mended');
  await rm(source, { recursive: true });
  await rename(await at.write('other', 2), source);
  await rm(folder, { recursive: true });
  await rejectsWith('digest_mismatch', verify(true));
  assert.deepEqual(
    (await readdir(at.root)).filter((name) => !name.startsWith('.')),
    [],
    'the other bytes are not kept',
  );
});

it('keeps what was fetched when the store is away, and sweeps what was left over', async () => {
  await using at = await open();
  const source = await at.write('lich', 1);
  await at.store[Symbol.asyncDispose]();
  await rejectsWith('store_unavailable', at.registry.add(addition('lich@7', source), quiet, never));
  const store = await openStore(
    { url: undefined, directory: path.join(data, `${stores++}`), log: silentLogger, ...realRuntime },
    never,
  );
  await using other = adapterService(store);
  await rename(at.root, other.root);
  const incoming = await readdir(path.join(other.root, '.incoming'));
  assert.equal(incoming.length, 1);
  const [digest = ''] = (await readdir(other.root)).filter((name) => !name.startsWith('.'));
  assert.equal(await other.registry.files.sweep(never), 0, 'it is too young');
  // A first add sweeps too, and finds nothing that is old enough.
  const { record } = await other.registry.add(
    addition('ghoul@1', await other.write('ghoul', 2)),
    quiet,
    never,
  );
  const old = new Date(realRuntime.clock.nowMs() - 8 * 24 * 3_600_000);
  for (const name of [digest, record.digest]) await utimes(path.join(other.root, name), old, old);
  await utimes(path.join(other.root, '.incoming', incoming[0] ?? ''), old, old);
  assert.equal(await other.registry.files.sweep(never), 2);
  assert.deepEqual(await readdir(path.join(other.root, '.incoming')), []);
  assert.deepEqual(await other.registry.files.missing(record.digest), []);
  await store[Symbol.asyncDispose]();
});

it('stops when it is told to, and leaves no record', async () => {
  await using at = await open();
  const source = await at.write('lich', 1);
  const stop = new AbortController();
  const stopping = at.registry.add(
    addition('lich@7', source),
    () => stop.abort(new Error('enough')),
    stop.signal,
  );
  await assert.rejects(stopping, /enough/);
  assert.equal(await at.store.adapters.get('lich', '7'), null);
  assert.equal((await at.registry.add(addition('lich@7', source), quiet, never)).isNew, true);
});

it('a store that was lost between the record and the end of the mark does not keep the version from being published', async () => {
  await using at = await open();
  const source = await at.write('lich', 1);
  const { store } = at.registry;
  const request = addition('lich@7', source);
  await at.registry.add(request, quiet, never);
  await at.registry.remove({ name: 'lich', version: '7' });
  const { replaceDesired } = store;
  store.replaceDesired = () => Promise.reject(new ServiceError('store_unavailable', 'away'));
  await rejectsWith('store_unavailable', at.registry.add(request, quiet, never));
  store.replaceDesired = replaceDesired;
  await at.registry.add(request, quiet, never);
  assert.deepEqual((await store.desired()).removing, []);
});
