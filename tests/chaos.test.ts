/**
 * A short run of chaos, as `npm run chaos` would: one fault on real processes, everybody answered by the right words, and
 * nothing left behind, also when it is interrupted. Whether it was in time is for the run itself to say, on a quiet machine.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test, { type TestContext } from 'node:test';
import type { ResultFile } from '../bench/load/result-tables.ts';
import { leftovers } from '../src/testing/leftovers.ts';
import { modelMissing } from './engine-harness.ts';

const root = path.resolve(import.meta.dirname, '..');
const skip = process.platform === 'win32' ? 'skipped: there are no signals' : modelMissing;
const LIFE_MS = 90_000;

function chaos(context: TestContext, ...flags: readonly string[]) {
  const folder = mkdtempSync(path.join(tmpdir(), 'greenroom-chaos-test-'));
  const left = leftovers(context);
  left.defer(() => rmSync(folder, { recursive: true, force: true }));
  const file = path.join(folder, 'chaos.json');
  const mark = randomUUID();
  const child = spawn(process.execPath, ['scripts/chaos.ts', '--quick', '--out', file, ...flags], {
    cwd: root,
    env: { ...process.env, CHAOS_MARK: mark },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const timer = setTimeout(() => child.kill('SIGINT'), LIFE_MS);
  left.defer(() => clearTimeout(timer));
  left.defer(() => void child.kill('SIGINT'));
  let words = '';
  for (const output of [child.stdout, child.stderr])
    output.setEncoding('utf8').on('data', (text: string) => {
      words += text;
    });
  return { child, file, mark, words: () => words };
}

/** Processes with this mark in their environment: whatever the run started, and whatever that started. */
function living(mark: string, but: ChildProcess): readonly string[] {
  if (process.platform !== 'linux') return [];
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== but.pid)
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/environ`, 'utf8').includes(mark);
      } catch {
        return false;
      }
    });
}

test('with a wire that carries garbage everybody is answered, by the right words', {
  skip,
}, async (context) => {
  const { child, file, mark, words } = chaos(context, '--faults', 'garbage');
  await once(child, 'close');
  const result = JSON.parse(readFileSync(file, 'utf8')) as ResultFile;
  assert.deepEqual(
    result.rows.map(({ fault }) => fault),
    ['none', 'random bytes from both replicas'],
  );
  for (const row of result.rows) {
    assert.equal(row['answered'], Number(row['requests']) - Number(row['hungUp']), words());
    assert.equal(row['wrongLines'], 0, words());
    assert.equal(row['silent'], 0, words());
  }
  const value = (name: RegExp) => result.bars.find((bar) => name.test(bar.name))?.value;
  assert.equal(value(/^answered/), 100);
  assert.equal(value(/^acknowledged turns/), 0);
  assert.equal(value(/^processes left behind/), 0);
  assert.deepEqual(living(mark, child), []);
});

test('an interrupted run ends what it has started', { skip }, async (context) => {
  const { child, mark, words } = chaos(context);
  for await (const _text of child.stdout) if (words().includes('generates')) break;
  child.kill('SIGINT');
  const [code] = await once(child, 'exit');
  assert.equal(code, 130, words());
  assert.deepEqual(living(mark, child), []);
});
