import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { realRuntime } from '../../runtime.ts';
import { cutAfter, refuseWith, sendFile } from '../../testing/file-server.ts';
import { type HubRepository, type HubServer, startHubServer } from '../../testing/hub-server.ts';
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
import { parseSource } from './address.ts';
import { fetchAdapter } from './fetch.ts';

const OLD = '1'.repeat(40);
const NEW = '2'.repeat(40);

function repository(access: HubRepository['access'] = 'public'): HubRepository {
  const peft = (weights: Buffer) => [
    ['README.md', Buffer.from('# Lich')] as const,
    ['adapter_config.json', CONFIG] as const,
    ['adapter_model.safetensors', weights] as const,
    ['training_args.bin', Buffer.from('pickle')] as const,
    ['gguf/Lich Q8.gguf', weights] as const,
    ['gguf/notes.txt', Buffer.from('x')] as const,
  ];
  return {
    commits: new Map([
      [OLD, new Map(peft(WEIGHTS))],
      [NEW, new Map(peft(OTHER_WEIGHTS))],
    ]),
    revisions: new Map([
      ['main', NEW],
      ['v1.0', OLD],
      ['refs/pr/3', OLD],
    ]),
    access,
  };
}

async function lichHub(context: TestContext): Promise<HubServer> {
  const hub = await startHubServer();
  context.after(() => hub[Symbol.asyncDispose]());
  hub.repositories.set('crypt/lich', repository());
  hub.repositories.set('crypt/private', repository('private'));
  hub.repositories.set('crypt/gated', repository('gated'));
  return hub;
}

test('a revision becomes a commit, and only the two files are fetched, by the digest of the listing', async (context) => {
  const hub = await lichHub(context);
  for (const [text, commit, weights] of [
    ['hf://crypt/lich', NEW, OTHER_WEIGHTS],
    ['hf://crypt/lich@v1.0', OLD, WEIGHTS],
    ['hf://crypt/lich@refs%2Fpr%2F3', OLD, WEIGHTS],
    [`hf://crypt/lich@${OLD}`, OLD, WEIGHTS],
  ] as const) {
    const into = await emptyFolder(context);
    hub.store.seen.length = 0;
    const environment = { HF_ENDPOINT: `${hub.url}/` };
    const fetched = await fetchAdapter(parseSource(text), fetchOptions(into, { environment }), idle());
    assert.equal(fetched.format, 'peft');
    assert.deepEqual(fetched.source, {
      kind: 'hub',
      address: text,
      revision: commit,
      weightsSha256: sha256Of(weights),
    });
    assert.deepEqual((await readdir(into)).sort(), ['adapter_config.json', 'adapter_model.safetensors']);
    assert.deepEqual(await readFile(join(into, 'adapter_model.safetensors')), weights);
    assert.equal(hub.store.seen.length, 1);
  }
});

test('a folder with one GGUF, and a file by its name, are found below the repository', async (context) => {
  const hub = await lichHub(context);
  const environment = { GREENROOM_HUB_URL: hub.url, HF_ENDPOINT: 'http://127.0.0.1:1' };
  for (const text of ['hf://crypt/lich@v1.0/gguf', 'hf://crypt/lich@v1.0/gguf/Lich Q8.gguf']) {
    const into = await emptyFolder(context);
    const { path } = await fetchAdapter(parseSource(text), fetchOptions(into, { environment }), idle());
    assert.equal(path, join(into, 'adapter.gguf'));
    assert.deepEqual(await readFile(path), WEIGHTS);
  }
  const into = await emptyFolder(context);
  const named = await fetchAdapter(
    parseSource('hf://crypt/lich/adapter_model.safetensors'),
    fetchOptions(into, { environment }),
    idle(),
  );
  assert.equal(named.format, 'peft');
});

test('the token goes to the hub and not to where it sends us on', async (context) => {
  const hub = await lichHub(context);
  const environment = { GREENROOM_HUB_URL: hub.url, HF_TOKEN: 'hf_right\n' };
  for (const name of ['private', 'gated']) {
    const into = await emptyFolder(context);
    await fetchAdapter(parseSource(`hf://crypt/${name}`), fetchOptions(into, { environment }), idle());
  }
  assert.ok(hub.hub.seen.length > 0 && hub.store.seen.length > 0);
  for (const { headers } of hub.hub.seen) assert.equal(headers.authorization, 'Bearer hf_right');
  for (const { headers } of hub.store.seen) assert.equal(headers.authorization, undefined);
});

test('a stopped fetch is continued at the same commit, and a moved branch is fetched anew', async (context) => {
  const hub = await lichHub(context);
  const into = await emptyFolder(context);
  const environment = { GREENROOM_HUB_URL: hub.url };
  const stop = new AbortController();
  let monotonicMs = 0;
  const options = fetchOptions(into, {
    environment,
    clock: { ...realRuntime.clock, monotonicMs: () => (monotonicMs += 1_000) },
    onProgress: (progress) => {
      if (progress.file === 'adapter_model.safetensors' && progress.receivedBytes > 0) stop.abort();
    },
  });
  hub.store.faults.push({
    path: /./,
    answer: (_request, response) => {
      response.writeHead(200, { 'content-length': OTHER_WEIGHTS.length });
      response.write(OTHER_WEIGHTS.subarray(0, 500_000));
    },
  });
  const source = parseSource('hf://crypt/lich');
  await assert.rejects(fetchAdapter(source, options, stop.signal), stop.signal.reason);
  hub.hub.seen.length = 0;
  hub.store.seen.length = 0;
  await fetchAdapter(source, fetchOptions(into, { environment }), idle());
  assert.match(hub.store.seen[0]?.headers.range ?? '', /^bytes=[1-9]/);
  assert.ok(!hub.hub.seen.some((each) => each.target.endsWith('adapter_config.json')), 'the config is here');
  assert.deepEqual(await readFile(join(into, 'adapter_model.safetensors')), OTHER_WEIGHTS);

  hub.store.faults.push({ path: /./, answer: refuseWith(404) });
  await failure(
    fetchAdapter(parseSource('hf://crypt/lich@v1.0'), fetchOptions(into, { environment }), idle()),
  );
  const moved = await fetchAdapter(
    parseSource('hf://crypt/lich@v1.0'),
    fetchOptions(into, { environment }),
    idle(),
  );
  assert.equal(moved.source.revision, OLD);
  assert.deepEqual(await readFile(join(into, 'adapter_model.safetensors')), WEIGHTS);
});

test('a cut connection is resumed, and a hub that asks for patience gets it', async (context) => {
  const hub = await lichHub(context);
  const into = await emptyFolder(context);
  hub.hub.faults.push({ path: /\/revision\//, answer: refuseWith(429, { 'retry-after': '0' }) });
  hub.hub.faults.push({ path: /\/tree\//, answer: refuseWith(503) });
  hub.store.faults.push({ path: /./, answer: cutAfter({ bytes: OTHER_WEIGHTS }, 500_000) });
  const environment = { GREENROOM_HUB_URL: hub.url };
  await fetchAdapter(parseSource('hf://crypt/lich'), fetchOptions(into, { environment }), idle());
  assert.deepEqual(await readFile(join(into, 'adapter_model.safetensors')), OTHER_WEIGHTS);
  assert.match(hub.store.seen[1]?.headers.range ?? '', /^bytes=/);
});

const refusals: readonly {
  readonly name: string;
  readonly source: string;
  readonly token?: string;
  readonly lay?: (hub: HubServer) => unknown;
  readonly code: string;
  readonly expected: RegExp;
}[] = [
  {
    name: 'an unknown repository',
    source: 'hf://crypt/nobody',
    code: 'adapter_unavailable',
    expected: /401 .*no repository crypt\/nobody, or it is private; set HF_TOKEN/,
  },
  {
    name: 'an unknown repository, with a token',
    source: 'hf://crypt/nobody',
    token: 'hf_right',
    code: 'adapter_invalid',
    expected: /there is no repository crypt\/nobody/,
  },
  {
    name: 'an unknown revision',
    source: 'hf://crypt/lich@v9',
    code: 'adapter_invalid',
    expected: /crypt\/lich has no revision v9/,
  },
  {
    name: 'an unknown folder',
    source: 'hf://crypt/lich/ghoul',
    code: 'adapter_invalid',
    expected: /there is no ghoul in crypt\/lich at main/,
  },
  {
    name: 'an unknown file',
    source: 'hf://crypt/lich/gguf/ghoul.gguf',
    code: 'adapter_invalid',
    expected: /there is no ghoul\.gguf/,
  },
  {
    name: 'a gated repository',
    source: 'hf://crypt/gated',
    token: 'hf_wrong',
    code: 'adapter_unavailable',
    expected: /the repository is gated; accept its terms/,
  },
  {
    name: 'a folder without an adapter',
    source: 'hf://crypt/base',
    lay: (hub) =>
      hub.repositories.set('crypt/base', {
        ...repository(),
        commits: new Map([[NEW, new Map([['model.safetensors', WEIGHTS]])]]),
      }),
    code: 'adapter_invalid',
    expected: /it holds no adapter: .*found "model\.safetensors"/,
  },
  {
    name: 'a pickle',
    source: 'hf://crypt/pickle',
    lay: (hub) =>
      hub.repositories.set('crypt/pickle', {
        ...repository(),
        commits: new Map([
          [
            NEW,
            new Map([
              ['adapter_config.json', CONFIG],
              ['adapter_model.bin', WEIGHTS],
            ]),
          ],
        ]),
      }),
    code: 'adapter_invalid',
    expected: /adapter_model\.bin, a pickle file/,
  },
  {
    name: 'other bytes than its listing says',
    source: 'hf://crypt/lich',
    lay: (hub) =>
      hub.store.faults.push({
        path: /./,
        answer: (request, response) => sendFile(request, response, { bytes: WEIGHTS }),
      }),
    code: 'digest_mismatch',
    expected: /what came has SHA-256/,
  },
  {
    name: 'other bytes than are wanted',
    source: `hf://crypt/lich#sha256=${sha256Of(WEIGHTS)}`,
    code: 'digest_mismatch',
    expected: /the hub says that adapter_model\.safetensors has SHA-256/,
  },
];

for (const { name, source, token, lay, code, expected } of refusals) {
  test(`a hub with ${name} is refused with what to do`, async (context) => {
    const hub = await lichHub(context);
    lay?.(hub);
    const into = await emptyFolder(context);
    const environment = { GREENROOM_HUB_URL: hub.url, ...(token === undefined ? {} : { HF_TOKEN: token }) };
    const error = await failure(
      fetchAdapter(parseSource(source), fetchOptions(into, { environment }), idle()),
    );
    assert.equal(error.code, code, error.message);
    assert.match(error.message, expected);
    assert.ok(!(await readdir(into)).includes('adapter_model.safetensors'));
  });
}

const listings: readonly (readonly [string, unknown, RegExp])[] = [
  [
    'a name that climbs',
    [{ type: 'file', path: '../../x.gguf', size: 1 }],
    /"\.\.\/\.\.\/x\.gguf", which is refused/,
  ],
  ['an absolute name', [{ type: 'file', path: '/etc/x.gguf', size: 1 }], /which is refused/],
  ['a name with a NUL', [{ type: 'file', path: 'x\u0000.gguf', size: 1 }], /which is refused/],
  ['a name from Windows', [{ type: 'file', path: '..\\x.gguf', size: 1 }], /which is refused/],
  ['no size', [{ type: 'file', path: 'x.gguf' }], /sent no listing/],
  ['a size of a terabyte', [{ type: 'file', path: 'x.gguf', size: 1e12 }], /at most 4000000000 are taken/],
  [
    'a thousand files and more',
    Array.from({ length: 1_001 }, (_, index) => ({ type: 'file', path: `${index}`, size: 1 })),
    /more than 1000 files/,
  ],
  ['an object', { error: 'no' }, /sent no listing/],
];

for (const [name, listing, expected] of listings) {
  test(`a listing with ${name} is refused before a file is fetched`, async (context) => {
    const hub = await lichHub(context);
    hub.hub.faults.push({
      path: /\/tree\//,
      answer: (_request, response) => response.writeHead(200).end(JSON.stringify(listing)),
    });
    const into = await emptyFolder(context);
    const environment = { GREENROOM_HUB_URL: hub.url };
    const error = await failure(
      fetchAdapter(parseSource('hf://crypt/lich'), fetchOptions(into, { environment }), idle()),
    );
    assert.match(error.message, expected);
    assert.equal(hub.store.seen.length, 0);
    assert.deepEqual(await readdir(into), []);
  });
}

test('a page that is no JSON, an endless one and a wrong setting are named', async (context) => {
  const hub = await lichHub(context);
  const into = await emptyFolder(context);
  const ask = (environment: Record<string, string>) =>
    failure(
      fetchAdapter(
        parseSource('hf://crypt/lich'),
        fetchOptions(into, { environment, limits: { answerBytesMax: 1_000 } }),
        idle(),
      ),
    );
  const path = /\/revision\//;
  hub.hub.faults.push({ path, answer: (_request, response) => response.writeHead(200).end('<html>') });
  hub.hub.faults.push({
    path,
    answer: (_request, response) => response.writeHead(200).end(Buffer.alloc(1_001)),
  });
  hub.hub.faults.push({
    path,
    answer: (_request, response) => response.writeHead(200).end('{"sha":"../.."}'),
  });
  const environment = { GREENROOM_HUB_URL: hub.url };
  assert.match((await ask(environment)).message, /the hub sent no JSON/);
  assert.match((await ask(environment)).message, /more than 1000 bytes/);
  assert.match((await ask(environment)).message, /names no commit/);
  const wrong = await ask({ HF_ENDPOINT: 'hub.example' });
  assert.equal(wrong.code, 'config_invalid');
  assert.match(wrong.message, /HF_ENDPOINT/);
});
