/**
 * The service behind its HTTP door: what `greenroom serve` runs. Ends in this order: no new work, running lines finish,
 * the door closes, the service ends what it started.
 */
import { createServer } from './api/server.ts';
import type { Readiness } from './api/services.ts';
import type { LoadedConfig } from './config/load.ts';
import { createTransport } from './engines/transport.ts';
import { createService, type ServiceParts } from './service.ts';

export interface AppParts extends Omit<ServiceParts, 'connect'> {
  /** Folder of the built console, or null. */
  readonly consoleDirectory: string | null;
}

export interface App extends AsyncDisposable {
  /** The address it listens on. */
  readonly url: string;
  readonly npcCount: number;
  readiness(): Readiness;
  /** Resolves when the first engine is warm; rejects when the signal aborts. */
  whenReady(signal: AbortSignal): Promise<void>;
}

/** Throws what `createService` throws, and `port_taken`. */
export async function createApp(loaded: LoadedConfig, parts: AppParts, signal: AbortSignal): Promise<App> {
  await using cleanup = new AsyncDisposableStack();
  const service = cleanup.use(await createService(loaded, { ...parts, connect: createTransport }, signal));
  const server = await createServer(service.services, {
    limits: loaded.config.limits,
    authRequired: service.authRequired,
    consoleDirectory: parts.consoleDirectory,
  });
  cleanup.defer(() => server.close());
  const { url } = await server.listen({ host: loaded.config.host, port: loaded.config.port });
  const owned = cleanup.move();
  return {
    url,
    npcCount: service.npcCount,
    readiness: service.readiness,
    whenReady: service.whenReady,
    async [Symbol.asyncDispose]() {
      // The server counts pass-through streams too, which the walk never sees.
      await service.drain(() => server.active);
      await owned.disposeAsync();
    },
  };
}
