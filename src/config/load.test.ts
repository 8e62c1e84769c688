import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { ServiceError } from '../core/errors.ts';
import { loadConfig } from './load.ts';

async function withFile<T>(text: string, use: (file: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'greenroom-config-'));
  try {
    const file = join(folder, 'greenroom.yaml');
    await writeFile(file, text);
    return await use(file);
  } finally {
    await rm(folder, { recursive: true });
  }
}

const load = (text: string, environment: Record<string, string> = {}, flags: Record<string, unknown> = {}) =>
  withFile(text, (file) => loadConfig({ file, environment, flags }));

function refused(...parts: RegExp[]) {
  return (error: unknown) => {
    assert.ok(error instanceof ServiceError && error.code === 'config_invalid', String(error));
    for (const part of parts) assert.match(error.message, part);
    return true;
  };
}

test('without a file every value is a default, and one embedded engine serves all tiers', async () => {
  const { config, originOf } = await loadConfig({ file: null, environment: {}, flags: {} });
  assert.equal(config.port, 8080);
  assert.equal(config.host, '127.0.0.1');
  assert.deepEqual(Object.keys(config.engines), ['local']);
  for (const tier of Object.values(config.tiers)) assert.deepEqual(tier.rungs, ['local']);
  assert.equal(originOf('port'), 'default');
});

test('flags win over the environment, the environment over the file, and each value knows where it came from', async () => {
  const text = 'port: 1111\nhost: 127.0.0.2\nlog: { level: debug }\n';
  const { config, originOf } = await load(text, { PORT: '2222', HOST: '127.0.0.3' }, { port: 3333 });
  assert.equal(config.port, 3333);
  assert.equal(config.host, '127.0.0.3');
  assert.equal(config.log.level, 'debug');
  assert.deepEqual(['port', 'host', 'log.level', 'drainMs'].map(originOf), [
    'flag',
    'environment',
    'file',
    'default',
  ]);
});

test('an unknown key is named with its path', async () => {
  await assert.rejects(
    load('limits: { bodyBytesMaxx: 5 }\nprot: 1\n'),
    refused(/limits\.bodyBytesMaxx: no such key/, /prot: no such key/),
  );
});

test('a wrong value is told with the value, what is allowed and where it came from', async () => {
  await assert.rejects(load('port: 70000\n'), refused(/port: is 70000/, /65535/));
  await assert.rejects(
    load('{}\n', { PORT: 'eighty' }),
    refused(/port \(from the environment\): is "eighty"/),
  );
});

test('a tier that names an engine which is not there, or one twice, is refused', async () => {
  await assert.rejects(
    load('tiers: { "2": { rungs: [cloud] } }\n'),
    refused(/tiers\.2\.rungs\.0: "cloud" is no pool; expected one of local/),
  );
  await assert.rejects(load('tiers: { "2": { rungs: [local, local] } }\n'), refused(/named twice/));
});

test('a fault says what was expected in words of people, a line each where there are several', async () => {
  for (const [text, ...parts] of [
    [
      'engines: { gpu: { kind: vlm, model: x } }\n',
      /engines\.gpu\.kind: is "vlm"; expected one of embedded, vllm, /,
    ],
    [
      'engines: { GPU_1: { kind: embedded } }\n',
      /engines\.GPU_1: is no good name; lower-case letters, digits and -/,
    ],
    ['engines: { a: { kind: vllm } }\n', /engines\.a\.model: is missing; expected string$/],
    [
      'engines: { a: { kind: vllm, model: x, baseUrl: "10.0.0.5" } }\n',
      /is "10\.0\.0\.5"; expected an address with its scheme/,
    ],
    [
      'port: -1\ndrainMs: soon\n',
      /greenroom\.yaml:\n {2}- port: is -1; expected .*>=0\n {2}- drainMs: is "soon"; expected number$/,
    ],
    [
      'jobs: { webhookHosts: [{ host: game.example, secretEnv: s }] }\n',
      /secretEnv: is "s"; the name of an environment variable/,
    ],
  ] as const)
    await assert.rejects(load(text), refused(...parts));
});

test('a rung that comes from the defaults is told as such', async () => {
  const engines = 'engines: { gpu: { kind: vllm, model: x } }\n';
  await assert.rejects(
    load(`${engines}tiers: { "3": { rungs: [gpu] } }\n`),
    refused(
      /tiers\.1\.rungs\.0: "local" is no pool; expected one of gpu; this is the default, .* nothing of tiers\.1\.rungs/,
    ),
  );
});

test('what is not YAML, not a map, or not there is said in one sentence', async () => {
  await assert.rejects(load('a: [1,\n'), refused(/is not YAML/));
  await assert.rejects(load('- 1\n'), refused(/holds a list/));
  await assert.rejects(
    loadConfig({ file: '/nowhere/greenroom.yaml', environment: {}, flags: {} }),
    refused(/cannot read .*ENOENT/),
  );
});

test('a section that is no map is named, also where the environment sets a part of it', async () => {
  await assert.rejects(load('log: 5\n', { GREENROOM_LOG_LEVEL: 'debug' }), refused(/log: is 5/));
});

test('a YAML bomb of aliases is refused', async () => {
  const bomb = [
    'a: &a [x,x,x,x,x,x,x,x,x]',
    ...'bcdefgh'
      .split('')
      .map((key, i) => `${key}: &${key} [${Array(9).fill(`*${'abcdefgh'[i]}`).join(',')}]`),
  ].join('\n');
  await assert.rejects(load(bomb), refused(/alias/i));
});
