/**
 * `npm run gpu:cuda` and `npm run gpu:vulkan`: put the GPU build of the engine, in the version of the CPU build, where
 * `npm ci` left an empty stand-in. `npm ci` takes it away again, so run it after each. Nothing else is changed.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '..');
const kind = process.argv[2] ?? '';

/** CUDA comes in two packages: the second has the kernels of further GPU generations. Both are wanted. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  'cuda linux-x64': ['linux-x64-cuda', 'linux-x64-cuda-ext'],
  'cuda win32-x64': ['win-x64-cuda', 'win-x64-cuda-ext'],
  'vulkan linux-x64': ['linux-x64-vulkan'],
  'vulkan win32-x64': ['win-x64-vulkan'],
};

const wanted = PACKAGES[`${kind} ${process.platform}-${process.arch}`];
if (wanted === undefined) {
  console.error(
    process.platform === 'darwin' && process.arch === 'arm64'
      ? 'Nothing to do: the build for Apple silicon uses Metal already.'
      : `There is no ${kind || 'such'} build for ${process.platform} on ${process.arch}; there are: ${Object.keys(PACKAGES).join(', ')}.`,
  );
  process.exit(1);
}
const manifest = path.join(root, 'node_modules', 'node-llama-cpp', 'package.json');
if (!existsSync(manifest)) {
  console.error('Run npm ci first.');
  process.exit(1);
}
const { version } = JSON.parse(readFileSync(manifest, 'utf8')) as { version: string };
for (const name of wanted) install(`@node-llama-cpp/${name}`, version);
console.log(`Done. Set gpu: ${kind} for the embedded engine in the config, and start the service as always.`);

/** npm fetches and checks the archive, so that registry, proxy and certificates are the user's own. */
function install(name: string, exact: string): void {
  const folder = mkdtempSync(path.join(tmpdir(), 'greenroom-gpu-'));
  try {
    console.log(`Fetching ${name} ${exact} …`);
    const packed = spawnSync('npm', ['pack', `${name}@${exact}`, '--json', '--pack-destination', folder], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
      shell: process.platform === 'win32',
      timeout: 3_600_000,
    });
    if (packed.status !== 0) fail(`npm pack ${name}@${exact}`, packed.error);
    const archive = (JSON.parse(packed.stdout) as { filename: string }[])[0]?.filename;
    const unpacked = spawnSync('tar', ['-xzf', path.basename(archive ?? '')], {
      cwd: folder,
      stdio: 'inherit',
      timeout: 600_000,
    });
    if (unpacked.status !== 0) fail('tar', unpacked.error);
    const target = path.join(root, 'node_modules', name);
    mkdirSync(path.dirname(target), { recursive: true });
    const beside = `${target}.new`;
    rmSync(beside, { recursive: true, force: true });
    // A copy: the temporary folder may lie on another disk, where a rename cannot reach.
    cpSync(path.join(folder, 'package'), beside, { recursive: true });
    rmSync(target, { recursive: true, force: true });
    renameSync(beside, target);
    console.log(`  in ${path.relative(root, target)}`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function fail(what: string, error: Error | undefined): never {
  console.error(`${what} failed${error === undefined ? '' : `: ${error.message}`}`);
  process.exit(1);
}
