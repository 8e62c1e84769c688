import assert from 'node:assert/strict';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import type http from 'node:http';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import tls from 'node:tls';
import { realRuntime } from '../../runtime.ts';
import {
  type Answer,
  cutAfter,
  etagOf,
  type FileServer,
  refuseWith,
  sendFile,
  startFileServer,
} from '../../testing/file-server.ts';
import { ManualClock } from '../../testing/manual-clock.ts';
import {
  CONFIG,
  emptyFolder,
  failure,
  fetchOptions,
  idle,
  OTHER_WEIGHTS,
  sha256Of,
  WEIGHTS,
} from '../../testing/raw-adapter.ts';
import { selfSigned } from '../../testing/self-signed.ts';
import { parseSource } from './address.ts';
import { fetchAdapter } from './fetch.ts';

const WEIGHTS_PATH = /adapter_model\.safetensors$/;

async function lichServer(context: TestContext): Promise<FileServer> {
  const server = await startFileServer();
  context.after(() => server[Symbol.asyncDispose]());
  server.files.set('/lich/adapter_config.json', { bytes: CONFIG });
  server.files.set('/lich/adapter_model.safetensors', { bytes: WEIGHTS });
  server.files.set('/lich.gguf', { bytes: WEIGHTS });
  return server;
}

/** The ranges asked for of the weights, in order; `whole` where there was none. */
const weightsAsked = (server: FileServer) =>
  server.seen
    .filter((each) => WEIGHTS_PATH.test(each.target.replace(/\?.*/, '')))
    .map((each) => each.headers.range ?? 'whole');

test('a folder on a web server gives config and weights, with the query that signs both', async (context) => {
  const server = await lichServer(context);
  const into = await emptyFolder(context);
  const fetched = await fetchAdapter(
    parseSource(`${server.url}/lich/?sig=secret`),
    fetchOptions(into),
    idle(),
  );
  assert.deepEqual(fetched, {
    format: 'peft',
    path: into,
    files: [
      { name: 'adapter_config.json', bytes: CONFIG.length, sha256: sha256Of(CONFIG) },
      {
        name: 'adapter_model.safetensors',
        bytes: WEIGHTS.length,
        sha256: sha256Of(WEIGHTS),
      },
    ],
    source: {
      kind: 'web',
      address: `${server.url}/lich/`,
      revision: etagOf(WEIGHTS),
      weightsSha256: sha256Of(WEIGHTS),
    },
  });
  assert.deepEqual((await readdir(into)).sort(), ['adapter_config.json', 'adapter_model.safetensors']);
  assert.deepEqual(await readFile(join(into, 'adapter_model.safetensors')), WEIGHTS);
  assert.deepEqual(
    server.seen.map((each) => each.target),
    ['/lich/adapter_config.json?sig=secret', '/lich/adapter_model.safetensors?sig=secret'],
  );
});

test('a single GGUF file is fetched from its own address', async (context) => {
  const server = await lichServer(context);
  const into = await emptyFolder(context);
  const source = parseSource(`${server.url}/lich.gguf#sha256=${sha256Of(WEIGHTS)}`);
  const fetched = await fetchAdapter(source, fetchOptions(into), idle());
  assert.equal(fetched.path, join(into, 'adapter.gguf'));
  assert.deepEqual(await readdir(into), ['adapter.gguf']);
});

test('a cut connection is resumed from the byte where it ended, and only for the same version', async (context) => {
  const server = await lichServer(context);
  const into = await emptyFolder(context);
  for (let cut = 0; cut < 2; cut++)
    server.faults.push({ path: WEIGHTS_PATH, answer: cutAfter({ bytes: WEIGHTS }, 500_000) });
  await fetchAdapter(parseSource(`${server.url}/lich/`), fetchOptions(into), idle());
  assert.deepEqual(await readFile(join(into, 'adapter_model.safetensors')), WEIGHTS);
  const asked = weightsAsked(server);
  assert.equal(asked.length, 3);
  assert.equal(asked[0], 'whole');
  for (const range of asked.slice(1)) assert.match(range, /^bytes=[1-9]\d*-$/);
  for (const each of server.seen.slice(2)) assert.equal(each.headers['if-range'], etagOf(WEIGHTS));
});

test('weights that are exchanged between two pieces are fetched from their beginning', async (context) => {
  const server = await lichServer(context);
  const into = await emptyFolder(context);
  server.faults.push({
    path: WEIGHTS_PATH,
    answer: (request, response) => {
      cutAfter({ bytes: WEIGHTS }, 500_000)(request, response);
      server.files.set('/lich/adapter_model.safetensors', { bytes: OTHER_WEIGHTS });
    },
  });
  const fetched = await fetchAdapter(parseSource(`${server.url}/lich/`), fetchOptions(into), idle());
  assert.deepEqual(await readFile(join(into, 'adapter_model.safetensors')), OTHER_WEIGHTS);
  assert.equal(fetched.source.revision, etagOf(OTHER_WEIGHTS));
});

test('a server that continues another version of the file is not believed', async (context) => {
  const server = await lichServer(context);
  const into = await emptyFolder(context);
  server.faults.push({ path: WEIGHTS_PATH, answer: cutAfter({ bytes: WEIGHTS }, 500_000) });
  server.faults.push({
    path: WEIGHTS_PATH,
    answer: (request, response) => {
      // It has never heard of If-Range.
      delete request.headers['if-range'];
      sendFile(request, response, { bytes: OTHER_WEIGHTS });
    },
  });
  await fetchAdapter(parseSource(`${server.url}/lich/`), fetchOptions(into), idle());
  assert.deepEqual(await readFile(join(into, 'adapter_model.safetensors')), WEIGHTS);
});

test('without a strong ETag what came is never continued, unless a digest would tell', async (context) => {
  for (const etag of [null, 'W/"1"']) {
    const server = await lichServer(context);
    const file = { bytes: WEIGHTS, etag };
    server.files.set('/lich/adapter_model.safetensors', file);
    const into = await emptyFolder(context);
    server.faults.push({ path: WEIGHTS_PATH, answer: cutAfter(file, 500_000) });
    const source = parseSource(`${server.url}/lich/`);
    await fetchAdapter(source, fetchOptions(into), idle());
    assert.deepEqual(weightsAsked(server), ['whole', 'whole']);
    server.seen.length = 0;
    server.faults.push({ path: WEIGHTS_PATH, answer: cutAfter(file, 500_000) });
    await fetchAdapter(
      { ...source, sha256: sha256Of(WEIGHTS) },
      fetchOptions(await emptyFolder(context)),
      idle(),
    );
    assert.match(weightsAsked(server)[1] ?? '', /^bytes=/);
  }
});

test('a server that takes no ranges sends the file again from its beginning', async (context) => {
  const server = await lichServer(context);
  const file = { bytes: WEIGHTS, takesRanges: false };
  server.files.set('/lich/adapter_model.safetensors', file);
  server.faults.push({ path: WEIGHTS_PATH, answer: cutAfter(file, 500_000) });
  const into = await emptyFolder(context);
  await fetchAdapter(parseSource(`${server.url}/lich/`), fetchOptions(into), idle());
  assert.deepEqual(await readFile(join(into, 'adapter_model.safetensors')), WEIGHTS);
});

test('a stopped fetch keeps what came, and the next one asks for the rest alone', async (context) => {
  const server = await lichServer(context);
  const into = await emptyFolder(context);
  const stop = new AbortController();
  server.faults.push({
    path: WEIGHTS_PATH,
    answer: (_request, response) => {
      response.writeHead(200, { 'content-length': WEIGHTS.length, etag: etagOf(WEIGHTS) });
      response.write(WEIGHTS.subarray(0, 500_000));
    },
  });
  const source = parseSource(`${server.url}/lich/`);
  // So that each piece is told of.
  let monotonicMs = 0;
  const reason = new Error('the operator has changed his mind');
  await assert.rejects(
    fetchAdapter(
      source,
      fetchOptions(into, {
        clock: { ...realRuntime.clock, monotonicMs: () => (monotonicMs += 1_000) },
        onProgress: (progress) => {
          if (progress.file === 'adapter_model.safetensors' && progress.receivedBytes > 0) stop.abort(reason);
        },
      }),
      stop.signal,
    ),
    reason,
  );
  const left = await readFile(join(into, 'adapter_model.safetensors.partial'));
  assert.ok(left.length > 0 && left.equals(WEIGHTS.subarray(0, left.length)));
  server.seen.length = 0;
  await fetchAdapter(source, fetchOptions(into), idle());
  assert.deepEqual(
    server.seen.map((each) => [each.target, each.headers.range, each.headers['if-none-match']]),
    [
      ['/lich/adapter_config.json', undefined, etagOf(CONFIG)],
      ['/lich/adapter_model.safetensors', `bytes=${left.length}-`, undefined],
    ],
  );
  assert.deepEqual((await readdir(into)).sort(), ['adapter_config.json', 'adapter_model.safetensors']);
  assert.deepEqual(await readFile(join(into, 'adapter_model.safetensors')), WEIGHTS);
});

test('what another source left in the folder is not continued, nor what a broken record speaks of', async (context) => {
  const server = await lichServer(context);
  server.files.set('/ghoul/adapter_config.json', { bytes: CONFIG });
  server.files.set('/ghoul/adapter_model.safetensors', { bytes: OTHER_WEIGHTS });
  const into = await emptyFolder(context);
  const path = join(into, 'adapter_model.safetensors');
  for (const state of [
    JSON.stringify({
      address: `${server.url}/lich/adapter_model.safetensors`,
      version: etagOf(WEIGHTS),
      totalBytes: WEIGHTS.length,
      sha256: null,
    }),
    '{"address":',
    '[]',
  ]) {
    await writeFile(`${path}.partial`, WEIGHTS.subarray(0, 1_000));
    await writeFile(`${path}.state.json`, state);
    await fetchAdapter(parseSource(`${server.url}/ghoul/`), fetchOptions(into), idle());
    assert.deepEqual(await readFile(path), OTHER_WEIGHTS);
  }
  assert.deepEqual(weightsAsked(server), ['whole', 'whole', 'whole']);
});

test('kept bytes that were spoilt on the disk are noticed where a digest is known, and fetched anew', async (context) => {
  const server = await lichServer(context);
  const into = await emptyFolder(context);
  const path = join(into, 'adapter_model.safetensors');
  const lay = async () => {
    await writeFile(`${path}.partial`, Buffer.alloc(1_000, 7));
    await writeFile(
      `${path}.state.json`,
      JSON.stringify({
        address: `${server.url}/lich/adapter_model.safetensors`,
        version: etagOf(WEIGHTS),
        totalBytes: WEIGHTS.length,
        sha256: null,
      }),
    );
  };
  await lay();
  await fetchAdapter(
    parseSource(`${server.url}/lich/#sha256=${sha256Of(WEIGHTS)}`),
    fetchOptions(into),
    idle(),
  );
  assert.deepEqual(await readFile(path), WEIGHTS);
  assert.deepEqual(weightsAsked(server), ['bytes=1000-', 'whole']);
});

test('who asks for patience gets it, within a bound', async (context) => {
  const server = await lichServer(context);
  const into = await emptyFolder(context);
  const source = parseSource(`${server.url}/lich/`);
  const waits: number[] = [];
  const clock = new ManualClock();
  clock.sleep = (durationMs) => {
    waits.push(durationMs);
    return Promise.resolve();
  };
  server.faults.push({ path: WEIGHTS_PATH, answer: refuseWith(429, { 'retry-after': '7' }) });
  server.faults.push({
    path: WEIGHTS_PATH,
    answer: refuseWith(503, { 'retry-after': new Date(clock.nowMs() + 9_000).toUTCString() }),
  });
  server.faults.push({ path: WEIGHTS_PATH, answer: refuseWith(500) });
  await fetchAdapter(source, fetchOptions(into, { clock }), idle());
  assert.deepEqual(waits, [7_000, 9_000, 8]);
  server.faults.push({ path: WEIGHTS_PATH, answer: refuseWith(429, { 'retry-after': '61' }) });
  const error = await failure(
    fetchAdapter(source, fetchOptions(await emptyFolder(context), { clock }), idle()),
  );
  assert.equal(error.code, 'adapter_unavailable');
  assert.match(error.message, /answered 429 .* asks to come back after 61 s/);
});

const say =
  (status: number, headers: http.OutgoingHttpHeaders, body: Uint8Array | string = ''): Answer =>
  (_request, response) =>
    response.writeHead(status, headers).end(body);

const failures: readonly {
  readonly name: string;
  readonly answer: Answer;
  readonly code?: string;
  readonly expected: RegExp;
}[] = [
  {
    name: '404',
    answer: refuseWith(404),
    code: 'adapter_invalid',
    expected: /answered 404 for \/lich\/adapter_model\.safetensors: there is no adapter_model/,
  },
  { name: '403', answer: refuseWith(403), expected: /answered 403 .*permission/ },
  { name: '500 for ever', answer: refuseWith(500), expected: /answered 500/ },
  { name: 'silence', answer: () => {}, expected: /nothing came for 0\.05 s/ },
  {
    name: 'silence in the body',
    answer: (_request, response) => {
      response.writeHead(200, { 'content-length': WEIGHTS.length, etag: '"1"' });
      response.write(WEIGHTS.subarray(0, 10));
    },
    expected: /nothing came for 0\.05 s/,
  },
  {
    name: 'a torn connection',
    answer: (request) => request.socket.destroy(),
    expected: /connection broke|hang up/,
  },
  {
    name: 'fewer bytes than it said',
    answer: (_request, response) => {
      response.writeHead(200, { 'content-length': 20 });
      response.write(WEIGHTS.subarray(0, 10), () => response.socket?.destroySoon());
    },
    expected: /connection broke|aborted|ended at/,
  },
  {
    name: 'a length over the limit',
    answer: (_request, response) =>
      response.writeHead(200, { 'content-length': 4_000_000_001 }).flushHeaders(),
    code: 'body_too_large',
    expected: /4000000001 bytes or more; at most 2000000/,
  },
  {
    name: 'no length, and more than the limit',
    answer: (_request, response) => {
      response.writeHead(200, { 'transfer-encoding': 'chunked' });
      response.write(WEIGHTS);
      response.end(WEIGHTS);
    },
    code: 'body_too_large',
    expected: /at most 2000000/,
  },
  {
    name: 'no length and no end',
    answer: (request, response) => {
      request.socket.end('HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nshort');
      response.destroy();
    },
    expected: /does not say how long/,
  },
  {
    name: 'a packed file',
    answer: say(200, { 'content-encoding': 'gzip', 'content-length': 3 }, 'abc'),
    expected: /sent the file packed \(content-encoding gzip\)/,
  },
  {
    name: 'a part that was not asked for',
    answer: say(206, { 'content-range': 'bytes 5-7/8', 'content-length': 3 }, 'abc'),
    expected: /a part of the file that was not asked for/,
  },
  {
    name: 'a redirect for ever',
    answer: say(302, { location: '?again' }),
    expected: /more than 5 redirects/,
  },
  {
    name: 'a redirect to a file',
    answer: say(302, { location: 'file:///etc/passwd' }),
    expected: /file:\/\/\/etc\/passwd", which is no web address/,
  },
  {
    name: 'a redirect to nowhere',
    answer: say(302, { location: 'http://' }),
    expected: /no web address/,
  },
  {
    name: 'a page that says 200',
    answer: say(200, { 'content-type': 'text/html' }, '<h1>Please log in</h1>'),
    code: 'digest_mismatch',
    expected: /what came has SHA-256/,
  },
];

for (const { name, answer, code, expected } of failures) {
  test(`a server that gives ${name} is given up with the reason, and no weights appear`, async (context) => {
    const server = await lichServer(context);
    // More often than anybody asks.
    for (let index = 0; index < 20; index++) server.faults.push({ path: WEIGHTS_PATH, answer });
    const into = await emptyFolder(context);
    const limits = { pauseMs: 1, silenceTimeoutMs: 50, weightsBytesMax: 2_000_000 };
    const error = await failure(
      fetchAdapter(
        parseSource(`${server.url}/lich/#sha256=${sha256Of(WEIGHTS)}`),
        fetchOptions(into, { limits }),
        idle(),
      ),
    );
    assert.equal(error.code, code ?? 'adapter_unavailable');
    assert.match(error.message, expected);
    assert.ok(!(await readdir(into)).includes('adapter_model.safetensors'));
  });
}

test('an address where nobody listens, and a name that nobody has, are given up at once', async (context) => {
  const into = await emptyFolder(context);
  const refused = await failure(
    fetchAdapter(parseSource('http://127.0.0.1:1/lich.gguf'), fetchOptions(into), idle()),
  );
  assert.equal(refused.code, 'adapter_unavailable');
  assert.match(refused.message, /^http:\/\/127\.0\.0\.1:1\/lich\.gguf: .*refused \(ECONNREFUSED\)/);
});

test('weights larger than the disk are refused before they come, with what to do', async (context) => {
  const server = await lichServer(context);
  server.faults.push({
    path: WEIGHTS_PATH,
    answer: (_request, response) => response.writeHead(200, { 'content-length': 9e15 }).flushHeaders(),
  });
  const into = await emptyFolder(context);
  const error = await failure(
    fetchAdapter(
      parseSource(`${server.url}/lich/`),
      fetchOptions(into, { limits: { weightsBytesMax: 1e16 } }),
      idle(),
    ),
  );
  assert.equal(error.code, 'adapter_unavailable');
  assert.match(error.message, /the disk of .* is full: free some space, or move the adapters' folder/);
  assert.deepEqual(error.details['reason'], 'disk_full');
});

test('a fetch has an end, however slowly a server goes on giving', async (context) => {
  const server = await lichServer(context);
  server.faults.push({
    path: WEIGHTS_PATH,
    answer: (_request, response) => {
      response.writeHead(200, { 'content-length': WEIGHTS.length, etag: '"1"' });
      response.write(WEIGHTS.subarray(0, 10));
    },
  });
  const into = await emptyFolder(context);
  const error = await failure(
    fetchAdapter(
      parseSource(`${server.url}/lich/`),
      fetchOptions(into, { limits: { totalTimeoutMs: 200 } }),
      idle(),
    ),
  );
  assert.equal(error.code, 'adapter_unavailable');
  assert.match(error.message, /not here after 0\.2 s; what came is kept/);
  assert.ok((await readdir(into)).includes('adapter_model.safetensors.partial'));
});

test('a redirect is followed with the range, and from https to http never', async (context) => {
  const store = await lichServer(context);
  const certificate = selfSigned(Date.now());
  const trusted = tls.getCACertificates('default');
  tls.setDefaultCACertificates([...trusted, certificate.cert]);
  context.after(() => tls.setDefaultCACertificates(trusted));
  let target = store.url;
  const server = await startFileServer({
    tls: certificate,
    first: (request, response) => {
      if (target === '') return false;
      response.writeHead(302, { location: `${target}${request.url}` }).end();
      return true;
    },
  });
  context.after(() => server[Symbol.asyncDispose]());
  const into = await emptyFolder(context);
  const source = parseSource(`${server.url}/lich.gguf?sig=secret`);
  const error = await failure(fetchAdapter(source, fetchOptions(into), idle()));
  assert.match(error.message, /a redirect to "http:.*lich\.gguf\?…", from https to http/);
  assert.doesNotMatch(error.message, /secret/);
  assert.deepEqual(store.seen, []);

  target = '';
  server.files.set('/lich.gguf', { bytes: WEIGHTS });
  await fetchAdapter(source, fetchOptions(into), idle());
  const plain = await startFileServer({
    first: (request, response) => {
      response.writeHead(307, { location: `${server.url}${request.url}` }).end();
      return true;
    },
  });
  context.after(() => plain[Symbol.asyncDispose]());
  server.faults.push({ path: /lich\.gguf/, answer: cutAfter({ bytes: WEIGHTS }, 500_000) });
  const up = await fetchAdapter(
    parseSource(`${plain.url}/lich.gguf`),
    fetchOptions(await emptyFolder(context)),
    idle(),
  );
  assert.deepEqual(await readFile(up.path), WEIGHTS);
  assert.equal(server.seen.filter((each) => each.headers.range !== undefined).length, 1);
});
