/** `greenroom cast` as a process: exit codes, messages, and the way of a card out and in again. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

const EXAMPLE = 'examples/body-broker/cast';

function greenroom(...parameters: readonly string[]) {
  const run = spawnSync(process.execPath, ['src/main.ts', 'cast', ...parameters], {
    encoding: 'utf8',
    timeout: 60_000,
  });
  return { code: run.status, out: run.stdout, error: run.stderr };
}

test('the example cast has no errors', () => {
  const run = greenroom('lint', '--cast', EXAMPLE);
  assert.equal(run.code, 0, run.out + run.error);
  assert.match(run.out, /0 errors/);
});

test('a character goes out as a picture and comes in again; what is there is not overwritten', (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'greenroom-cards-'));
  context.after(() => rmSync(folder, { recursive: true }));
  const npcs = JSON.parse(greenroom('list', '--json', '--cast', EXAMPLE).out) as { id: string }[];
  const id = npcs[0]?.id ?? '';
  const picture = join(folder, 'card.png');
  const out = greenroom('export', id, picture, '--cast', EXAMPLE);
  assert.equal(out.code, 0, out.error);
  assert.match(out.out, /secrets stayed behind/);
  const target = join(folder, 'persona.json');
  assert.equal(greenroom('import', picture, '--id', 'guest', '--out', target).code, 0);
  const persona = JSON.parse(readFileSync(target, 'utf8')) as { id: string; secrets: unknown[] };
  assert.equal(persona.id, 'guest');
  assert.deepEqual(persona.secrets, []);
  const again = greenroom('import', picture, '--out', target);
  assert.equal(again.code, 1);
  assert.match(again.error, /--force/);
});

test('faults end with exit code 1 and say what to do', (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'greenroom-cards-'));
  context.after(() => rmSync(folder, { recursive: true }));
  const unknown = greenroom('show', 'vampire_tithe_lrd', '--cast', EXAMPLE);
  assert.equal(unknown.code, 1);
  assert.match(unknown.error, /near: vampire_tithe_lord/);
  const file = join(folder, 'x.json');
  writeFileSync(file, '{"spec":"nothing"}');
  assert.match(greenroom('import', file).error, /the card was refused/);
  assert.equal(greenroom('lint', '--cast', folder).code, 1);
});
