/** `greenroom config` as a process: each value with where it came from, faults by name, and a schema editors can use. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { greenroom } from './gateway-harness.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'greenroom-config-'));
after(() => rmSync(folder, { recursive: true }));

function file(name: string, text: string): string {
  const target = path.join(folder, name);
  writeFileSync(target, text);
  return target;
}

/** `path value origin`, by path. */
function rows(out: string): ReadonlyMap<string, readonly string[]> {
  return new Map(
    out
      .trimEnd()
      .split('\n')
      .map((line) => {
        const [name = '', ...rest] = line.split(/ {2,}/);
        return [name, rest.map((cell) => cell.trim())] as const;
      }),
  );
}

test('check prints each value with where it came from', async () => {
  const config = file('good.yaml', 'port: 9000\ntiers:\n  "2": { deadlineMs: 500 }\nlog: { level: warn }\n');
  const run = await greenroom(['config', 'check', '--config', config], {
    environment: { PORT: '9100', GREENROOM_LOG_FORMAT: 'json' },
  });
  assert.equal(run.code, 0, run.error);
  const found = rows(run.out);
  assert.deepEqual(found.get('port'), ['9100', 'environment']);
  assert.deepEqual(found.get('log.level'), ['"warn"', 'file']);
  assert.deepEqual(found.get('log.format'), ['"json"', 'environment']);
  assert.deepEqual(found.get('tiers.2.deadlineMs'), ['500', 'file']);
  assert.deepEqual(found.get('host'), ['"127.0.0.1"', 'default']);
  assert.equal(found.get('tiers.2.maxWords')?.[1], 'default');
  assert.match(run.error, /good\.yaml is valid/);
});

test('check --set leaves the defaults out', async () => {
  const config = file('one.yaml', 'port: 9000\n');
  const run = await greenroom(['config', 'check', '--set', '--config', config]);
  assert.equal(run.out, 'port  9000  file\n');
});

test('every fault is named at once, with its value', async () => {
  const config = file('bad.yaml', 'port: many\nhots: 0.0.0.0\ntiers: { "2": { rungs: [gpu] } }\n');
  const run = await greenroom(['config', 'check', '--config', config]);
  assert.equal(run.code, 1);
  for (const part of ['bad.yaml', 'port', '"many"', 'hots', 'no such key'])
    assert.ok(run.error.includes(part), part);
  assert.match(run.error, /greenroom config schema/);
  const absent = await greenroom(['config', 'print', '--config', path.join(folder, 'absent.yaml')]);
  assert.match(absent.error, /cannot read .*absent\.yaml/);
});

test('a configuration that cannot start is not valid, and what is to be set elsewhere is named', async () => {
  const cloud =
    'kind: openai-compatible, baseUrl: "https://cloud.example", model: big, isPaid: true, apiKeyEnv: CLOUD_KEY';
  const engines = `engines: { local: { kind: embedded }, cloud: { ${cloud} } }\n`;
  const unpriced = await greenroom(['config', 'check', '--config', file('unpriced.yaml', engines)]);
  assert.equal(unpriced.code, 1);
  assert.match(
    unpriced.error,
    /engines\.cloud: its model "big" costs money and has no price .* spending\.prices/,
  );
  const prices =
    'spending: { prices: [{ model: big, effectiveFrom: "2026-01-01", inputUsd: 1, outputUsd: 2 }] }\n';
  const hooks = 'jobs: { webhookHosts: [{ host: game.example, secretEnv: HOOK_SECRET }] }\n';
  const whole = file('priced.yaml', engines + prices + hooks);
  const environment = { CLOUD_KEY: '', HOOK_SECRET: '' };
  const keyless = await greenroom(['config', 'check', '--config', whole], { environment });
  assert.equal(keyless.code, 0, keyless.error);
  assert.match(
    keyless.error,
    /engines\.cloud\.apiKeyEnv names the environment variable CLOUD_KEY, which is not set/,
  );
  assert.match(keyless.error, /jobs\.webhookHosts\.0\.secretEnv names the environment variable HOOK_SECRET/);
  const set = await greenroom(['config', 'check', '--config', whole], {
    environment: { CLOUD_KEY: 'a', HOOK_SECRET: 'b' },
  });
  assert.doesNotMatch(set.error, /environment variable/);
});

test('an empty ladder, a circle, and what is no single version are named with their key', async () => {
  const gpus = ['1', '2']
    .map((version) => `g${version}: { kind: vllm, model: x, version: "${version}" }`)
    .join(', ');
  const engines = `engines: { local: { kind: embedded }, ${gpus} }\n`;
  for (const [text, fault] of [
    ['tiers: { "2": { rungs: [] } }\n', /tiers\.2\.rungs: is empty; name a pool/],
    [
      'pools: { p: { engines: [q] }, q: { engines: [p] } }\n',
      /pools\.p\.engines\.0: "q" is a pool; a pool holds engines/,
    ],
    ['pools: { p: { engines: [p] } }\n', /pools\.p\.engines\.0: "p" is a pool, this very one/],
    ['pools: { p: { engines: [g1, g2] } }\n', /pools\.p\.engines: have different model versions \(1, 2\)/],
    [
      'models: { x: { aliases: { a: b, b: a } } }\n',
      /models\.x\.aliases\.a: "b" is an alias; an alias names a version: 1, 2/,
    ],
    [
      'tiers: { "2": { rungs: [loacl] } }\n',
      /tiers\.2\.rungs\.0: "loacl" is no pool; expected one of local, /,
    ],
  ] as const) {
    const run = await greenroom(['config', 'check', '--config', file('circle.yaml', engines + text)]);
    assert.equal(run.code, 1);
    assert.match(run.error, fault);
  }
});

test('what is printed is a configuration, and holds no password', async () => {
  const environment = { DATABASE_URL: 'postgres://game:hunter2@db.example/greenroom' };
  const run = await greenroom(['config', 'print'], { environment });
  const again = await greenroom(['config', 'print', '--config', file('printed.yaml', run.out)]);
  assert.deepEqual(JSON.parse(again.out), JSON.parse(run.out));
  const checked = await greenroom(['config', 'check'], { environment });
  for (const { out, error } of [run, checked]) {
    assert.doesNotMatch(out + error, /hunter2/);
    assert.match(out, /postgres:\/\/game:\*\*\*@db\.example/);
  }
});

test('the schema says what each key is for', async () => {
  const run = await greenroom(['config', 'schema']);
  const schema = JSON.parse(run.out) as { properties: Record<string, { description?: string }> };
  assert.match(schema.properties['port']?.description ?? '', /Port to listen on/);
  assert.ok(schema.properties['engines']);
});
