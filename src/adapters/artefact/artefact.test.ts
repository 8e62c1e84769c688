import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { realRuntime } from '../../runtime.ts';
import { peftContent, TINY_BASES, writePeftContent } from '../../testing/peft-folder.ts';
import { residentBytes } from './artefact.ts';
import { modulesOf } from './modules.ts';
import { stageAdapter } from './stage.ts';
import { storageError } from './staging-folder.ts';

test('the memory of an adapter is that of its weights, in the type that the engine keeps', async (context) => {
  const home = await mkdtemp(join(tmpdir(), 'greenroom-resident-'));
  context.after(() => rm(home, { recursive: true, force: true }));
  for (const base of Object.values(TINY_BASES)) {
    const targets = modulesOf(base.architecture).map(({ name }) => name);
    const content = peftContent({ seed: 1, base, targets, rank: 5 });
    const bytes = content.tensors.reduce((sum, { data }) => sum + data.length, 0);
    const from = await writePeftContent(join(home, base.architecture), content);
    const options = { from, root: home, base, ...realRuntime };
    const artefact = await stageAdapter(options, new AbortController().signal);
    assert.equal(residentBytes(artefact, 4), bytes);
    assert.equal(residentBytes(artefact, 2), bytes / 2);
    assert.ok(artefact.bytes > bytes && artefact.ggufBytes > bytes);
  }
});

test('what a disk says no to is told as what the operator can change', () => {
  const told = (code: string) => storageError(Object.assign(new Error(code), { code }), '/srv/adapters');
  const codes = Object.fromEntries(
    ['ENOSPC', 'EDQUOT', 'EACCES', 'EROFS'].map((code) => [code, (told(code) as { code: string }).code]),
  );
  assert.deepEqual(codes, {
    ENOSPC: 'out_of_space',
    EDQUOT: 'out_of_space',
    EACCES: 'config_invalid',
    EROFS: 'config_invalid',
  });
  const other = new Error('EIO');
  assert.equal(storageError(other, '/srv/adapters'), other);
});
