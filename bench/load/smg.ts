/** The rival in Rust: SMG, a serving router, before one worker; what it does for many workers is left off. */
import { freePort, startProgram } from './program.ts';
import { installPython, type PythonPackage, pythonVersions, venvProgram } from './python-rival.ts';
import type { Rival } from './rival.ts';

const SMG: PythonPackage = { name: 'smg', requirement: 'smg', version: '1.13.0' };
const LOOPBACK = '127.0.0.1';

export const smg: Rival = {
  name: 'smg',
  versions: () => pythonVersions(SMG),
  install: () => installPython(SMG),
  start: async (mockOrigin) => {
    const port = await freePort();
    const metricsPort = await freePort();
    const program = await startProgram({
      name: 'smg',
      command: venvProgram(SMG, 'smg'),
      arguments: [
        ...['launch', '--worker-urls', mockOrigin, '--backend', 'vllm', '--policy', 'round_robin'],
        ...['--host', LOOPBACK, '--port', String(port)],
        ...['--prometheus-host', LOOPBACK, '--prometheus-port', String(metricsPort)],
        ...['--log-level', 'error', '--history-backend', 'none', '--disable-retries'],
        ...['--disable-health-check', '--disable-load-monitoring', '--disable-tokenizer-autoload'],
      ],
      origin: `http://${LOOPBACK}:${port}`,
      readyPath: '/health',
      readyTimeoutMs: 60_000,
    });
    return { program, headers: {}, model: 'mock-model' };
  },
};
