/** A listening server over the fake service and a real SQLite store, all gone at the end of the test. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createServer, type DoorServer, type ServerOptions } from '../api/server.ts';
import type { DoorLimits } from '../api/services.ts';
import type { Store } from '../core/store.ts';
import { realRuntime } from '../runtime.ts';
import { openStore } from '../store/store.ts';
import { silentLogger } from '../telemetry/log.ts';
import { type FakeOptions, type FakeServices, fakeServices, SMALL_LIMITS } from './fake-services.ts';

export interface DoorHarness extends AsyncDisposable {
  readonly url: string;
  readonly store: Store;
  readonly services: FakeServices;
  get(path: string, headers?: Record<string, string>): Promise<Response>;
  /** A string goes as it is, anything else as JSON. */
  post(
    path: string,
    body: unknown,
    headers?: Record<string, string>,
    signal?: AbortSignal,
  ): Promise<Response>;
  /** Waits for something that happens after the reply; bounded by the test's own time limit. */
  until(holds: () => boolean): Promise<void>;
  openapi(): object;
  readonly server: DoorServer;
}

export interface HarnessOptions {
  readonly limits?: Partial<DoorLimits>;
  readonly authRequired?: boolean;
  readonly consoleDirectory?: ServerOptions['consoleDirectory'];
}

export async function doorHarness(
  fake: Omit<FakeOptions, 'store'> = {},
  options: HarnessOptions = {},
): Promise<DoorHarness> {
  const directory = await mkdtemp(path.join(tmpdir(), 'greenroom-doors-'));
  const stop = new AbortController();
  const { clock, random } = realRuntime;
  const store = await openStore({ url: undefined, directory, clock, random, log: silentLogger }, stop.signal);
  const services = fakeServices({ ...fake, store });
  const server = await createServer(services, {
    limits: { ...SMALL_LIMITS, ...options.limits },
    authRequired: options.authRequired ?? false,
    consoleDirectory: options.consoleDirectory ?? null,
  });
  const { url } = await server.listen({ host: '127.0.0.1', port: 0 });
  return {
    url,
    store,
    services,
    server,
    openapi: () => server.openapi(),
    get: (address, headers = {}) => fetch(url + address, { headers }),
    post: (address, body, headers = {}, signal) =>
      fetch(url + address, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: typeof body === 'string' ? body : JSON.stringify(body),
        ...(signal === undefined ? {} : { signal }),
      }),
    until: async (holds) => {
      while (!holds()) await clock.sleep(5, stop.signal);
    },
    [Symbol.asyncDispose]: async () => {
      stop.abort(new Error('the test ended'));
      await server.close(stop.signal);
      await store[Symbol.asyncDispose]();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
