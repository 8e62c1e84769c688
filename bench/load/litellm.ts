/**
 * The rival that most people run: LiteLLM's proxy (Python), one worker, no database, no keys. 1.82.7, 1.82.8 and 1.107.0
 * were compromised releases and are never to be pinned here.
 */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { stringify } from 'yaml';
import { freePort, startProgram } from './program.ts';
import { installPython, type PythonPackage, pythonVersions, venvProgram } from './python-rival.ts';
import type { Rival } from './rival.ts';

const LITELLM: PythonPackage = { name: 'litellm', requirement: 'litellm[proxy]', version: '1.93.0' };
const MODEL = 'mock-model';
/** It imports every provider that it knows before it listens. */
const READY_TIMEOUT_MS = 120_000;

export const litellm: Rival = {
  name: 'litellm',
  versions: () => pythonVersions(LITELLM),
  install: () => installPython(LITELLM),
  start: async (mockOrigin, folder) => {
    const file = path.join(folder, 'litellm.yaml');
    const upstream = { model: `openai/${MODEL}`, api_base: `${mockOrigin}/v1`, api_key: 'bench' };
    const config = {
      model_list: [{ model_name: MODEL, litellm_params: upstream }],
      litellm_settings: { telemetry: false, num_retries: 0 },
    };
    writeFileSync(file, stringify(config));
    const port = await freePort();
    const program = await startProgram({
      name: 'litellm',
      command: venvProgram(LITELLM, 'litellm'),
      arguments: ['--config', file, '--host', '127.0.0.1', '--port', String(port), '--telemetry', 'False'],
      // Its price table comes with it, and an access log that nobody reads would cost it time.
      environment: { LITELLM_LOCAL_MODEL_COST_MAP: 'True', LITELLM_LOG: 'ERROR' },
      origin: `http://127.0.0.1:${port}`,
      readyPath: '/health/liveliness',
      readyTimeoutMs: READY_TIMEOUT_MS,
    });
    return { program, headers: {}, model: MODEL };
  },
};
