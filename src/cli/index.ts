/** The command line: a list of verbs, one file each. A verb throws ServiceError; here it becomes two lines and an exit code. */
import { Command } from 'commander';
import { ERRORS, ServiceError } from '../core/errors.ts';
import type { Runtime } from '../core/runtime.ts';
import { realRuntime } from '../runtime.ts';
import { adaptersVerb } from './adapters.ts';
import { castVerb } from './cast.ts';
import { chatVerb } from './chat.ts';
import { configVerb } from './config.ts';
import { doctorVerb } from './doctor.ts';
import { engineVerb } from './engine.ts';
import { keysVerb } from './keys.ts';
import { linesVerb } from './lines.ts';
import { modelsVerb } from './models.ts';
import { npcsVerb } from './npcs.ts';
import { planVerb } from './plan.ts';
import { recallVerb } from './recall.ts';
import { sayVerb } from './say.ts';
import { serveVerb } from './serve.ts';
import { spendingVerb } from './spending.ts';

/** A verb adds itself to the program. `signal` aborts on SIGINT and SIGTERM; actions must end soon after. */
export type Verb = (program: Command, runtime: Runtime, signal: AbortSignal) => void;

const VERBS: readonly Verb[] = [
  adaptersVerb,
  castVerb,
  chatVerb,
  configVerb,
  doctorVerb,
  engineVerb,
  keysVerb,
  linesVerb,
  modelsVerb,
  npcsVerb,
  planVerb,
  recallVerb,
  sayVerb,
  serveVerb,
  spendingVerb,
];

/** Runs one command line and resolves to its exit code: 0 done, 1 failed, 2 wrong usage, 130 interrupted. */
export async function runCommandLine(
  argv: readonly string[],
  runtime: Runtime = realRuntime,
): Promise<number> {
  const controller = new AbortController();
  let interrupted = false;
  const stop = (name: NodeJS.Signals) => {
    if (name === 'SIGINT') interrupted = true;
    controller.abort(new ServiceError('draining', `stopped by ${name}`));
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
  const program = new Command('greenroom')
    .description(
      'Gives the characters of a game their lines: local models, adapters, clouds, and written lines below them all.',
    )
    .showHelpAfterError('(add --help for what is possible)')
    .exitOverride();
  for (const verb of VERBS) verb(program, runtime, controller.signal);
  try {
    await program.parseAsync(argv as string[]);
    return 0;
  } catch (error) {
    if (error instanceof Error && 'exitCode' in error && typeof error.exitCode === 'number')
      return error.exitCode === 0 ? 0 : 2;
    if (controller.signal.aborted && interrupted) return 130;
    const failure = ServiceError.from(error);
    console.error(`greenroom: ${failure.message}`);
    console.error(
      failure.code === 'internal' ? (failure.cause ?? failure) : `  ${ERRORS[failure.code].advice}`,
    );
    return 1;
  } finally {
    process.off('SIGINT', stop);
    process.off('SIGTERM', stop);
  }
}
