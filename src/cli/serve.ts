/** `greenroom serve`: the gateway, until SIGINT or SIGTERM; then it drains and ends with 0. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { loadConfig } from '../config/load.ts';
import { createLogger } from '../telemetry/log.ts';
import type { Verb } from './index.ts';
import { terminalProgress } from './models.ts';

interface Flags {
  readonly config?: string;
  readonly host?: string;
  readonly port?: string;
}

const CONSOLE_DIRECTORY = fileURLToPath(new URL('../../console/dist', import.meta.url));

export const serveVerb: Verb = (program, runtime, signal) => {
  program
    .command('serve')
    .description('Run the gateway: dialogue over HTTP and SSE, OpenAI-compatible doors, the console at /.')
    .option('-c, --config <file>', 'configuration file (YAML)')
    .option('--host <address>', 'address to listen on (default: 127.0.0.1, or HOST)')
    .option('-p, --port <number>', 'port to listen on; 0 takes a free one (default: 8080, or PORT)')
    .action(async (flags: Flags) => {
      // Loaded here, so that every other command starts without the gateway.
      const { createApp } = await import('../app.ts');
      const loaded = await loadConfig({
        file: flags.config ?? null,
        environment: runtime.environment,
        flags: { host: flags.host, port: flags.port === undefined ? undefined : Number(flags.port) },
      });
      const log = createLogger({ ...loaded.config.log, write: (line) => process.stderr.write(line) });
      using display = terminalProgress(runtime);
      const starting = createApp(
        loaded,
        {
          runtime,
          log,
          consoleDirectory: existsSync(CONSOLE_DIRECTORY) ? CONSOLE_DIRECTORY : null,
          onModelProgress: display.onProgress,
          onModelNotice: display.onNotice,
        },
        signal,
      ).catch((error: unknown) => {
        if (signal.aborted) return null;
        throw error;
      });
      await using app = await starting;
      // Stopped before it listened: that was asked for, and is no failure.
      if (app === null) return;
      console.log(`listening on ${app.url}`);
      console.log(
        `  ${app.npcCount} NPCs wait in the green room; written lines answer at once, the model when it is warm.`,
      );
      void app.whenReady(signal).then(
        () => {
          console.log(
            `ready: a real line was generated. Open ${app.url} or run: npm run greenroom -- chat vampire_salon_keeper`,
          );
        },
        () => {},
      );
      await new Promise<void>((resolve) => {
        if (signal.aborted) resolve();
        signal.addEventListener('abort', () => resolve(), { once: true });
      });
    });
};
