/**
 * The rival in Go: Bifrost's HTTP transport, built from its module, with its configuration in a file and neither its
 * configuration store nor its log store. Not every module proxy serves it; then the table says so.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { freePort, startProgram } from './program.ts';
import { type Rival, rivalFolder } from './rival.ts';

const PACKAGE = 'github.com/maximhq/bifrost/transports/bifrost-http';
const VERSION = 'v1.6.4';
const INSTALL_TIMEOUT_MS = 1_200_000;

const binary = () => path.join(rivalFolder('bifrost'), VERSION, 'bifrost-http');

/** What Go says at the end, less the package's name that it says again and again. */
function lastWords(text: string): string {
  return text.replaceAll(`${PACKAGE}@${VERSION}: `, '').slice(-250);
}

export const bifrost: Rival = {
  name: 'bifrost',
  versions: () => (existsSync(binary()) ? { bifrost: VERSION } : null),
  install: () => {
    const built = spawnSync('go', ['install', `${PACKAGE}@${VERSION}`], {
      env: { ...process.env, GOBIN: path.dirname(binary()) },
      encoding: 'utf8',
      timeout: INSTALL_TIMEOUT_MS,
    });
    if (built.status !== 0)
      throw new Error(`go install ${PACKAGE}@${VERSION}: ${built.error?.message ?? lastWords(built.stderr)}`);
  },
  start: async (mockOrigin, folder) => {
    const directory = path.join(folder, 'bifrost');
    mkdirSync(directory, { recursive: true });
    const key = { name: 'bench', value: 'bench', models: ['*'], weight: 1 };
    const config = {
      client: { enable_logging: false, drop_excess_requests: false },
      providers: { openai: { keys: [key], network_config: { base_url: mockOrigin, max_retries: 0 } } },
      config_store: { enabled: false },
      logs_store: { enabled: false },
    };
    writeFileSync(path.join(directory, 'config.json'), JSON.stringify(config));
    const port = await freePort();
    const program = await startProgram({
      name: 'bifrost',
      command: binary(),
      arguments: [
        ...['-host', '127.0.0.1', '-port', String(port)],
        ...['-app-dir', directory, '-log-level', 'error'],
      ],
      origin: `http://127.0.0.1:${port}`,
      readyPath: '/health',
      readyTimeoutMs: 60_000,
    });
    return { program, headers: {}, model: 'openai/mock-model' };
  },
};
