/**
 * `npm run adapters:train`: makes the Python environment, then trains and writes every adapter that this repository
 * carries, on the processor. What an adapter was made of is digested into its card: one whose lines, prompts, settings
 * and trainer have not changed is left as it is, so an interrupted run goes on where it stopped.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { DEFAULT_MODEL, findModel } from '../src/models/catalogue.ts';
import { runCommand } from './engines/child.ts';
import { type Card, cardText } from './training/card.ts';
import { ensureTrainer, TRAINING_FOLDER, type Trainer } from './training/environment.ts';
import { RECIPES, type Recipe } from './training/recipes.ts';

const TRAIN_TIMEOUT_MS = 3_600_000;
const SCRIPT = path.join(TRAINING_FOLDER, 'train_lora.py');
const WEIGHTS = 'adapter_model.safetensors';

async function main(signal: AbortSignal): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      again: { type: 'boolean', default: false },
      fresh: { type: 'boolean', default: false },
      threads: { type: 'string', default: '2' },
      python: { type: 'string' },
      base: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    console.log(
      [
        'npm run adapters:train -- [flags] [name …]: trains the adapters of this repository, or those named.',
        `  names: ${RECIPES.map((recipe) => recipe.name).join(' ')}`,
        '  --again          also those whose card says that nothing has changed',
        '  --fresh          begins voices with no weights; else they go on from those that are there',
        '  --threads N      of the processor (2); other numbers add up in another order',
        '  --python FILE    a Python that has PEFT, instead of installing one; with --base',
        "  --base FOLDER    the base model in Hugging Face's layout",
      ].join('\n'),
    );
    return;
  }
  const unknown = positionals.filter((name) => !RECIPES.some((recipe) => recipe.name === name));
  if (unknown.length > 0)
    throw new Error(
      `no adapter ${unknown.join(', ')}; there are ${RECIPES.map(({ name }) => name).join(', ')}`,
    );
  const wanted = RECIPES.filter(({ name }) => positionals.length === 0 || positionals.includes(name));
  if ((values.python === undefined) !== (values.base === undefined))
    throw new Error('--python and --base go together: the one reads the other');
  const trainer =
    values.python !== undefined && values.base !== undefined
      ? { program: values.python, base: values.base }
      : await ensureTrainer((line) => console.log(line), signal);
  for (const [index, recipe] of wanted.entries()) {
    console.log(`[${index + 1}/${wanted.length}] ${recipe.name}: ${recipe.about}`);
    await trainOne(recipe, trainer, values, signal);
  }
}

interface Options {
  readonly threads: string;
  readonly again: boolean;
  readonly fresh: boolean;
}

/** Trains into a folder beside the adapter's own and renames: there is the old adapter, or the new one. */
async function trainOne(
  recipe: Recipe,
  trainer: Trainer,
  options: Options,
  signal: AbortSignal,
): Promise<void> {
  const chats = await recipe.chats(signal);
  const rows = `${chats.map((chat) => JSON.stringify(chat)).join('\n')}\n`;
  const inputs = createHash('sha256').update(rows).update(recipe.flags.join(' '));
  for (const file of [SCRIPT, path.join(TRAINING_FOLDER, 'requirements.lock')])
    inputs.update(readFileSync(file));
  const start = startOf(recipe, options.fresh);
  // A voice's own weights are what the last run made of these inputs: in the digest they would always be new.
  if (start !== null && start.name !== recipe.name)
    inputs.update(readFileSync(path.join(start.folder, WEIGHTS)));
  const inputsSha256 = inputs.digest('hex');
  const cardFile = path.join(recipe.folder, 'card.json');
  if (!options.again && readCard(cardFile)?.inputs_sha256 === inputsSha256) {
    console.log('      nothing has changed since it was trained');
    return;
  }
  const work = mkdtempSync(path.join(tmpdir(), 'greenroom-training-'));
  try {
    const rowsFile = path.join(work, 'chats.jsonl');
    const made = path.join(work, 'adapter');
    writeFileSync(rowsFile, rows);
    const flags = [...recipe.flags, '--threads', options.threads];
    const started = start === null ? [] : ['--start', start.folder];
    await runCommand(
      {
        program: trainer.program,
        arguments: [SCRIPT, trainer.base, rowsFile, made, ...flags, ...started],
        environment: QUIET_MEMORY,
      },
      { timeoutMs: TRAIN_TIMEOUT_MS, onLine: (line) => console.log(`      ${line}`) },
      signal,
    );
    const result = JSON.parse(readFileSync(path.join(made, 'result.json'), 'utf8')) as Card['result'];
    const card: Card = {
      name: recipe.name,
      about: recipe.about,
      base: { model: DEFAULT_MODEL, sha256: findModel(DEFAULT_MODEL).sha256 },
      licence: 'Apache-2.0',
      trained_on: new Date().toISOString().slice(0, 10),
      command: `npm run adapters:train -- ${recipe.name}`,
      settings: flags.join(' '),
      started_from:
        start === null
          ? null
          : `${start.name} of SHA-256 ${sha256(readFileSync(path.join(start.folder, WEIGHTS)))}`,
      lines_sha256: recipe.lines === null ? null : sha256(readFileSync(recipe.lines)),
      inputs_sha256: inputsSha256,
      weights_sha256: sha256(readFileSync(path.join(made, WEIGHTS))),
      result,
    };
    mkdirSync(recipe.folder, { recursive: true });
    // The card last: it alone says that the adapter is whole.
    rmSync(cardFile, { force: true });
    for (const file of ['adapter_config.json', WEIGHTS]) {
      const beside = path.join(recipe.folder, `.${file}.${process.pid}`);
      writeFileSync(beside, readFileSync(path.join(made, file)));
      renameSync(beside, path.join(recipe.folder, file));
    }
    writeFileSync(path.join(recipe.folder, 'README.md'), cardText(card));
    writeFileSync(cardFile, `${JSON.stringify(card, null, 2)}\n`);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** Whose weights a run goes on from; null when it begins with none. */
function startOf(recipe: Recipe, fresh: boolean): Recipe | null {
  const start = RECIPES.find(({ name }) => name === recipe.start);
  if (start === undefined) return null;
  if (start !== recipe) return start;
  return !fresh && existsSync(path.join(recipe.folder, WEIGHTS)) ? recipe : null;
}

/** Waiting threads sleep, and freed memory is kept: half the time of a shared machine went into either. */
const QUIET_MEMORY = {
  OMP_WAIT_POLICY: 'PASSIVE',
  MALLOC_MMAP_MAX_: '0',
  MALLOC_TRIM_THRESHOLD_: '8000000000',
  MALLOC_TOP_PAD_: '268435456',
  PYTHONUNBUFFERED: '1',
};

function readCard(file: string): Card | null {
  if (!existsSync(file)) return null;
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Card;
  } catch {
    return null;
  }
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

const interrupt = new AbortController();
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.once(name, () => interrupt.abort(new Error('interrupted')));
try {
  await main(interrupt.signal);
} catch (error) {
  if (!interrupt.signal.aborted) console.error((error as Error).message);
  process.exitCode = interrupt.signal.aborted ? 130 : 1;
}
