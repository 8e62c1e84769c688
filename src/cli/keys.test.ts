/** `greenroom keys` as an operator runs it: a process of its own on a data folder of its own. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { realRuntime } from '../runtime.ts';
import { openStore } from '../store/store.ts';
import { silentLogger } from '../telemetry/log.ts';

const never = new AbortController().signal;
const root = mkdtempSync(path.join(tmpdir(), 'greenroom-keys-'));
const main = path.join(import.meta.dirname, '..', 'main.ts');
after(() => rmSync(root, { recursive: true, force: true }));

interface Ended {
  readonly code: number;
  readonly output: string;
  readonly errors: string;
}

function greenroom(directory: string, ...argv: readonly string[]): Promise<Ended> {
  const environment = { ...process.env, GREENROOM_DATA: directory, DATABASE_URL: '' };
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [main, 'keys', ...argv],
      { env: environment, timeout: 30_000 },
      (error, output, errors) => {
        resolve({
          code: typeof error?.code === 'number' ? error.code : error === null ? 0 : -1,
          output,
          errors,
        });
      },
    );
  });
}

describe('greenroom keys', () => {
  it('prints a new key alone and once; the service knows it until it is revoked', async () => {
    const directory = path.join(root, 'data');
    const created = await greenroom(directory, 'create', '--scope', 'game', '--label', 'shard eu-1');
    assert.equal(created.code, 0, created.errors);
    assert.match(created.output, /^gr_[0-9a-f]{10}_[0-9a-f]{64}\n$/);
    const token = created.output.trim();
    assert.match(created.errors, /shard eu-1.*not shown again/);
    await using store = await openStore(
      { url: undefined, directory, log: silentLogger, ...realRuntime },
      never,
    );
    assert.deepEqual((await store.keys.authenticate(token))?.scopes, ['game']);

    const listed = await greenroom(directory, 'list');
    assert.match(
      listed.output,
      /^ID +SCOPES +CREATED +LAST USED +STATE +LABEL\n[0-9a-f]{10} +game .* valid +shard eu-1\n$/,
    );
    assert.ok(!listed.output.includes(token.slice(-64)));

    const revoked = await greenroom(directory, 'revoke', token);
    assert.equal(revoked.code, 0, revoked.errors);
    const rows = JSON.parse((await greenroom(directory, 'list', '--json')).output) as {
      revokedAtMs: number;
    }[];
    assert.equal(typeof rows[0]?.revokedAtMs, 'number');
    assert.equal(await store.keys.hasActive(), false);
  });

  it('says what is wrong: no scope, an unknown one, an unknown key, a folder that cannot be', async () => {
    const directory = path.join(root, 'wrong');
    const cases: readonly (readonly [readonly string[], number, RegExp])[] = [
      [['create', '--label', 'x'], 2, /--scope/],
      [['create', '--scope', 'admin', '--label', 'x'], 2, /game, operator/],
      [['create', '--scope', 'game', '--label', ' '], 1, /label of a key has 0 characters/],
      [['revoke', 'ffffffffff'], 1, /no key has the id ffffffffff/],
    ];
    for (const [argv, code, message] of cases) {
      const ended = await greenroom(directory, ...argv);
      assert.equal(ended.code, code, argv.join(' '));
      assert.match(ended.errors, message);
    }
    writeFileSync(path.join(root, 'file'), '');
    const blocked = await greenroom(path.join(root, 'file'), 'list');
    assert.equal(blocked.code, 1);
    assert.match(blocked.errors, /cannot be opened for writing.*GREENROOM_DATA/);
  });
});
