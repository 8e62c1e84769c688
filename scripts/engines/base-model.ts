/** The model that the small engines serve: the same pinned file that the embedded engine has, from the same cache. */
import path from 'node:path';
import { cacheDirectory, modelPaths } from '../../src/models/cache.ts';
import { DEFAULT_MODEL, findModel } from '../../src/models/catalogue.ts';
import { ensureModel } from '../../src/models/ensure.ts';
import { realRuntime } from '../../src/runtime.ts';
import type { Step } from './frame.ts';

/** What the engines call it. */
export const BASE_MODEL = 'smollm2-135m-instruct';

/** SHA-256 in hexadecimal. */
export const BASE_MODEL_SHA256 = findModel(DEFAULT_MODEL).sha256;

export function baseModelFile(): string {
  return path.resolve(modelPaths(cacheDirectory(realRuntime.environment), findModel(DEFAULT_MODEL)).file);
}

/** The copy that the embedded engine makes of it for itself; there once it was started. */
export function baseModelCopy(): string {
  return path.resolve(modelPaths(cacheDirectory(realRuntime.environment), findModel(DEFAULT_MODEL)).fast);
}

export const baseModelStep: Step = {
  title: 'base model',
  about: '98 MB, unless it is there',
  async work(context) {
    const { clock, environment } = realRuntime;
    const model = await ensureModel(
      DEFAULT_MODEL,
      {
        cacheDirectory: cacheDirectory(environment),
        environment,
        clock,
        onNotice: (notice) => context.say(notice),
      },
      context.signal,
    );
    context.say(model.path);
  },
};
