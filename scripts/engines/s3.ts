/**
 * `npm run engines:s3`: an object store that others wrote and that checks every signature (versitygw over a folder), built
 * from its Go module, so that adapters from S3 are proven on more than our own double.
 */
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { type EngineScript, runScript, type StepContext } from './frame.ts';
import { buildGoModule } from './go-module.ts';

/** The pair of keys that may do everything, and the region that signatures must name. */
export const S3_KEYS = { accessKeyId: 'greenroom', secretAccessKey: 'loopback-only' } as const;
export const S3_REGION = 'eu-central-1';

const VERSION = '1.8.0';
const MODULE = `github.com/versity/versitygw@v${VERSION}`;
/** Of the module, as go.sum has it. */
const MODULE_SUM = 'h1:au+wI+aybno/STsQiSm35Uu6Q6iK5MWReQxgO6SEMFc=';

export const s3: EngineScript = {
  name: 's3',
  title: 'versitygw',
  version: VERSION,
  about: '120 MB of Go modules to fetch, 40 MB on disk, some minutes of one core to build',
  steps: [{ title: 'building', about: 'some minutes of one core', work: build }],
  program: 'bin/versitygw',
  startTimeoutMs: 30_000,
  command: (installed, port) => {
    const data = path.join(installed.folder, 'data');
    // Beside the data, because not every file system keeps attributes of files.
    const attributes = path.join(installed.folder, 'attributes');
    for (const folder of [data, attributes]) mkdirSync(folder, { recursive: true });
    return {
      program: installed.program,
      arguments: [
        ...['--port', `127.0.0.1:${port}`, '--region', S3_REGION, '--quiet'],
        ...['posix', '--sidecar', attributes, data],
      ],
      environment: {
        ROOT_ACCESS_KEY_ID: S3_KEYS.accessKeyId,
        ROOT_SECRET_ACCESS_KEY: S3_KEYS.secretAccessKey,
      },
    };
  },
  async ready(origin, signal) {
    // Unsigned it must refuse, in the words of the protocol: then it is up, and checks.
    const reply = await fetch(origin, { signal });
    const text = await reply.text();
    if (reply.status !== 403 || !text.includes('<Code>AccessDenied</Code>'))
      throw new Error(`an unsigned request got ${reply.status} ${text.slice(0, 200)}`);
    return 'an unsigned request is refused';
  },
};

function build(context: StepContext): Promise<void> {
  return buildGoModule(
    {
      module: MODULE,
      sum: MODULE_SUM,
      command: './cmd/versitygw',
      program: s3.program,
      goVersion: '1.25',
    },
    context,
  );
}

if (import.meta.main) await runScript(s3);
