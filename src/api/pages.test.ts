/** What people open in a browser: the API as a page and as a document, the console, and the page in its place. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { doorHarness } from '../testing/door-harness.ts';

test('the OpenAPI document names every door, with the fields of the dialogue', async () => {
  await using door = await doorHarness();
  const document = (await (await door.get('/openapi.json')).json()) as {
    paths: Record<
      string,
      {
        post?: {
          requestBody: { content: Record<string, { schema: { properties: object; required: string[] } }> };
        };
      }
    >;
  };
  for (const address of [
    '/v1/dialogue',
    '/v1/npcs',
    '/v1/chat/completions',
    '/v1/models',
    '/livez',
    '/metrics',
    '/admin/v1/status',
  ])
    assert.ok(document.paths[address] !== undefined, address);
  const schema = document.paths['/v1/dialogue']?.post?.requestBody.content['application/json']?.schema;
  assert.deepEqual(schema?.required, ['npc_id', 'prompt']);
  assert.ok('deadline_ms' in (schema?.properties ?? {}));
  assert.deepEqual(document, JSON.parse(JSON.stringify(door.openapi())));
});

test('the page of the API is complete and loads nothing from elsewhere', async () => {
  await using door = await doorHarness();
  const response = await door.get('/docs');
  assert.match(
    response.headers.get('content-security-policy') ?? '',
    /^default-src 'none'; script-src 'self'/,
  );
  const html = await response.text();
  assert.match(html, /POST \/v1\/dialogue/);
  assert.match(html, /deadline_ms/);
  assert.doesNotMatch(html, /<script|style=|(?:src|href)="https?:/);
  assert.match((await door.get('/docs.css')).headers.get('content-type') ?? '', /^text\/css/);
});

test('without a built console the first page says how to build it', async () => {
  await using door = await doorHarness({}, { consoleDirectory: '/nowhere' });
  assert.match(await (await door.get('/')).text(), /npm run build -w console/);
});

test('a built console is served under the strict policy, and nothing beside it', async () => {
  const directory = await mkdtemp(path.join(tmpdir(), 'greenroom-console-'));
  try {
    await mkdir(path.join(directory, 'dist/assets'), { recursive: true });
    await writeFile(path.join(directory, 'secret.txt'), 'secret');
    await writeFile(path.join(directory, 'dist/index.html'), '<!doctype html><title>Console</title>');
    await writeFile(path.join(directory, 'dist/assets/a.js'), 'void 0;');
    await using door = await doorHarness({}, { consoleDirectory: path.join(directory, 'dist') });
    const first = await door.get('/');
    assert.match(await first.text(), /Console/);
    assert.match(first.headers.get('content-security-policy') ?? '', /connect-src 'self'/);
    assert.equal(first.headers.get('cache-control'), 'no-cache');
    assert.match((await door.get('/assets/a.js')).headers.get('cache-control') ?? '', /immutable/);
    for (const address of ['/..%2fsecret.txt', '/%2e%2e/secret.txt', '/assets/none.js'])
      assert.ok([403, 404].includes((await door.get(address)).status), address);
    assert.equal((await door.get('/v1/dialogue')).status, 405);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});
