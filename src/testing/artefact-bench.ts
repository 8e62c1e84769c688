/** Where tests hand in adapters that are broken in one way each: all of them are staged for the tiny Llama. */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { ArtefactLimits } from '../adapters/artefact/artefact.ts';
import { stageAdapter } from '../adapters/artefact/stage.ts';
import { ServiceError } from '../core/errors.ts';
import { realRuntime } from '../runtime.ts';
import {
  type PeftContent,
  type PeftFolderOptions,
  peftContent,
  TINY_BASES,
  writePeftContent,
} from './peft-folder.ts';

export interface ArtefactBench {
  readonly home: string;
  readonly root: string;
  stage(from: string, limits?: Partial<ArtefactLimits>): Promise<string>;
  /** Rejects as said, and leaves nothing staged. */
  refused(from: string, message: RegExp, code?: string, limits?: Partial<ArtefactLimits>): Promise<void>;
}

/** A folder of its own for one test. */
export async function artefactBench(context: TestContext): Promise<ArtefactBench> {
  const home = await mkdtemp(join(tmpdir(), 'greenroom-hostile-'));
  context.after(() => rm(home, { recursive: true, force: true }));
  const root = join(home, 'adapters');
  const signal = new AbortController().signal;
  const stage = async (from: string, limits: Partial<ArtefactLimits> = {}) =>
    (await stageAdapter({ from, root, base: TINY_BASES.llama, limits, ...realRuntime }, signal)).digest;
  const refused: ArtefactBench['refused'] = async (from, message, code = 'adapter_invalid', limits = {}) => {
    await assert.rejects(stage(from, limits), (error) => {
      assert.ok(error instanceof ServiceError, String(error));
      assert.equal(error.code, code, error.message);
      assert.match(error.message, message);
      return true;
    });
    const kept = await readdir(root, { recursive: true }).catch(() => []);
    assert.deepEqual(
      kept.filter((name) => name !== '.staging'),
      [],
    );
  };
  return { home, root, stage, refused };
}

/** A whole adapter for the tiny Llama, changed before it is written; its folder. */
export async function changedAdapter(
  { home }: ArtefactBench,
  change: (content: PeftContent) => PeftContent,
  options: Partial<PeftFolderOptions> = {},
): Promise<string> {
  const content = change(peftContent({ seed: 1, base: TINY_BASES.llama, ...options }));
  return await writePeftContent(await mkdtemp(join(home, 'changed-')), content);
}
