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
