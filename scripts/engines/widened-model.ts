/**
 * The small default model in Hugging Face's layout: what vLLM serves and the trainer trains on. Made from the very GGUF
 * file that the embedded engine reads, so that an adapter fits all of them to the weight.
 */
import { renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { terminalProgress } from '../../src/cli/models.ts';
import { cacheDirectory } from '../../src/models/cache.ts';
import { DEFAULT_MODEL } from '../../src/models/catalogue.ts';
import { ensureModel } from '../../src/models/ensure.ts';
import { realRuntime } from '../../src/runtime.ts';
import type { StepContext } from './frame.ts';

const WIDEN = path.join(import.meta.dirname, 'gguf-to-weights.py');
const WIDEN_TIMEOUT_MS = 600_000;

/** Makes `<context.folder>/<name>` in float32, whole or not at all, with the Python environment beside it. */
export async function widenModel(context: StepContext, name: string): Promise<void> {
  const { clock, environment } = realRuntime;
  using display = terminalProgress(realRuntime);
  const model = await ensureModel(
    DEFAULT_MODEL,
    {
      cacheDirectory: cacheDirectory(environment),
      environment,
      clock,
      onProgress: display.onProgress,
      onNotice: display.onNotice,
    },
    context.signal,
  );
  display[Symbol.dispose]();
  const folder = path.join(context.folder, name);
  const unfinished = `${folder}.unfinished`;
  rmSync(unfinished, { recursive: true, force: true });
  const said = await context.run(
    {
      program: path.join(context.folder, 'venv', 'bin', 'python'),
      arguments: [WIDEN, model.path, unfinished, 'float32'],
      // Without CUDA_VISIBLE_DEVICES the common torch would look for a GPU.
      environment: { CUDA_VISIBLE_DEVICES: '', HF_HUB_OFFLINE: '1', PYTHONUNBUFFERED: '1' },
    },
    WIDEN_TIMEOUT_MS,
  );
  rmSync(folder, { recursive: true, force: true });
  renameSync(unfinished, folder);
  context.say(
    said
      .trim()
      .split(/[\r\n]+/)
      .at(-1) ?? '',
  );
}
