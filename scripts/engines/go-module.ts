/** A server that is a Go module: fetched, held against its sum, and built inside the module, which has pinned what it depends on. */
import { chmodSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import type { StepContext } from './frame.ts';
import { toolMissing } from './tools.ts';

const DOWNLOAD_TIMEOUT_MS = 600_000;
const BUILD_TIMEOUT_MS = 3_600_000;

export interface GoModule {
  /** `github.com/owner/name@v1.2.3`. */
  readonly module: string;
  /** Of the module, as go.sum has it. */
  readonly sum: string;
  /** The command's folder in the module: `./cmd/name`. */
  readonly command: string;
  /** Where the program goes, below the installation's folder. */
  readonly program: string;
  /** The least Go that builds it. */
  readonly goVersion: string;
}

/** Throws when there is no Go, and when the module is another one. */
export async function buildGoModule(
  { module, sum, command, program, goVersion }: GoModule,
  context: StepContext,
): Promise<void> {
  if (toolMissing('go', 'version') !== null)
    throw new Error(`no go on PATH; install Go ${goVersion} or later (go.dev)`);
  const answer = await context.run(
    { program: 'go', arguments: ['mod', 'download', '-json', module] },
    DOWNLOAD_TIMEOUT_MS,
  );
  const fetched = JSON.parse(answer.slice(answer.indexOf('{'))) as {
    readonly Dir: string;
    readonly Sum: string;
  };
  if (fetched.Sum !== sum) throw new Error(`${module} is ${fetched.Sum}, expected ${sum}`);
  const built = path.join(context.folder, program);
  mkdirSync(path.dirname(built), { recursive: true });
  await context.run(
    {
      program: 'nice',
      arguments: [
        ...['-n', '10', 'go', 'build', '-v', '-trimpath', '-ldflags=-s -w'],
        ...['-o', built, command],
      ],
      directory: fetched.Dir,
      environment: { CGO_ENABLED: '0' },
    },
    BUILD_TIMEOUT_MS,
  );
  chmodSync(built, 0o755);
}
