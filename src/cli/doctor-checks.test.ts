import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { pathToFileURL } from 'node:url';
import { realRuntime } from '../runtime.ts';
import { report } from './doctor.ts';
import {
  checkDisk,
  checkEngineBinary,
  checkFolder,
  checkMemory,
  checkNode,
  checkPort,
  checkTestProgram,
} from './doctor-checks.ts';

const idle = () => new AbortController().signal;

test('an old Node, little memory and a full disk are named', async () => {
  assert.equal(checkNode('v24.21.0').state, 'ok');
  assert.equal(checkNode('v20.20.2').state, 'missing');
  assert.equal(checkMemory(2e9).state, 'ok');
  assert.equal(checkMemory(6e8).state, 'warn');
  assert.equal(checkMemory(1e8).state, 'missing');
  assert.equal((await checkDisk(tmpdir(), 1)).state, 'ok');
  assert.equal((await checkDisk(path.join(tmpdir(), 'not', 'made', 'yet'), 1)).state, 'ok');
  assert.match((await checkDisk(tmpdir(), Number.MAX_SAFE_INTEGER)).detail, /MB are needed/);
});

test('the engine binary of this platform is asked for, and an empty stand-in is none', async (context) => {
  const folder = await mkdtemp(path.join(tmpdir(), 'greenroom-doctor-'));
  context.after(() => rm(folder, { recursive: true, force: true }));
  await mkdir(path.join(folder, 'bins', 'linux-arm64'), { recursive: true });
  const asked: string[] = [];
  const resolve = (specifier: string) => {
    asked.push(specifier);
    return pathToFileURL(path.join(folder, 'dist', 'index.js')).href;
  };
  assert.equal((await checkEngineBinary('linux', 'arm64', resolve)).state, 'ok');
  assert.deepEqual(asked, ['@node-llama-cpp/linux-arm64']);
  await rm(path.join(folder, 'bins'), { recursive: true });
  assert.equal((await checkEngineBinary('linux', 'arm64', resolve)).mend, 'npm ci');
  const absent = await checkEngineBinary('linux', 'x64', () => {
    throw new Error('not found');
  });
  assert.equal(absent.state, 'missing');
  assert.match((await checkEngineBinary('aix', 'ppc64', resolve)).detail, /none for aix/);
});

test('a port is free, taken by another, or Greenroom answers there', async (context) => {
  let status = 200;
  const server = http.createServer((_request, response) => response.writeHead(status).end());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  context.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const { clock } = realRuntime;
  assert.equal((await checkPort('127.0.0.1', 0, clock, idle())).state, 'ok');
  assert.match((await checkPort('127.0.0.1', port, clock, idle())).detail, /runs there already/);
  status = 404;
  const taken = await checkPort('127.0.0.1', port, clock, idle());
  assert.equal(taken.state, 'missing');
  assert.match(taken.mend ?? '', /^PORT=/);
});

test('a folder is judged by the nearest one that exists, and is not made', async (context) => {
  const folder = await mkdtemp(path.join(tmpdir(), 'greenroom-doctor-'));
  context.after(() => rm(folder, { recursive: true, force: true }));
  assert.equal((await checkFolder('Data', path.join(folder, 'a', 'b'), 'GREENROOM_DATA')).state, 'ok');
  assert.deepEqual(await readdir(folder), []);
  await writeFile(path.join(folder, 'file'), '');
  const blocked = await checkFolder('Data', path.join(folder, 'file', 'inside'), 'GREENROOM_DATA');
  assert.equal(blocked.state, 'missing');
  assert.match(blocked.mend ?? '', /^GREENROOM_DATA=/);
});

test('a program is found on the path, and the report puts the mending command below', async (context) => {
  const folder = await mkdtemp(path.join(tmpdir(), 'greenroom-doctor-'));
  context.after(() => rm(folder, { recursive: true, force: true }));
  await writeFile(path.join(folder, 'browser'), '');
  await chmod(path.join(folder, 'browser'), 0o755);
  const found = await checkTestProgram('Browser', ['other', 'browser'], 'apt install it', folder);
  assert.equal(found.detail, path.join(folder, 'browser'));
  const absent = await checkTestProgram('Browser', ['other'], 'apt install it', folder);
  assert.equal(
    report([absent]),
    'warn     Browser  not found; some tests are skipped without it\n                  mend: apt install it',
  );
});
