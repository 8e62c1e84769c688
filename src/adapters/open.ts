/** The parts of adapters, put together: the keeper that lines ask, and the administration that people ask. */
import type { AdapterStore } from '../core/adapter.ts';
import type { AdapterEvent } from '../core/adapter-event.ts';
import type { Logger, Runtime } from '../core/runtime.ts';
import { AdapterAdmin } from './admin.ts';
import { publishDeclared, requireDeclaredIds } from './declared.ts';
import { AdapterOperations, type OperationsOptions } from './operations.ts';
import type { AdaptersOptions } from './options.ts';
import { Publisher } from './publish.ts';
import { AdapterRegistry, type KnownBases } from './registry.ts';
import { Residency } from './residency.ts';

export interface AdaptersParts {
  readonly store: AdapterStore;
  /** Folder of the staged artefacts, absolute. */
  readonly root: string;
  readonly options: AdaptersOptions;
  readonly bases: KnownBases;
  /** What relative paths in the configuration start from. */
  readonly workingDirectory: string;
  readonly runtime: Runtime;
  readonly log: Logger;
  readonly onEvent: (event: AdapterEvent) => void;
  readonly onOperationEnd: NonNullable<OperationsOptions['onEnd']>;
}

export interface Adapters extends AsyncDisposable {
  readonly keeper: Residency;
  readonly admin: AdapterAdmin;
  /** Publishes what the configuration declares; resolves when each is published or failed for good. */
  publishDeclared(signal: AbortSignal): Promise<void>;
}

/** Reads what should serve. Throws `config_invalid` for declared adapters that cannot be. */
export async function openAdapters(parts: AdaptersParts): Promise<Adapters> {
  const { store, root, options, log, runtime } = parts;
  const { clock, random, environment } = runtime;
  requireDeclaredIds(options.published);
  const shared = { store, options, clock, random, log };
  const keeper = new Residency({ ...shared, directory: root, onEvent: parts.onEvent });
  const operations = new AdapterOperations({ clock, random, log, onEnd: parts.onOperationEnd });
  const { bases, workingDirectory } = parts;
  const registry = new AdapterRegistry({ ...shared, root, bases, workingDirectory, environment });
  const publisher = new Publisher({ ...shared, residency: keeper });
  const admin = new AdapterAdmin({ registry, publisher, residency: keeper, operations, clock });
  await keeper.start();
  const hasEngine = () => keeper.views().some(({ isUp }) => isUp);
  return {
    keeper,
    admin,
    publishDeclared: async (signal) => {
      // What a gateway left half removed goes first: a declared version may be added anew then.
      await registry.recover(signal).catch((error: unknown) => {
        if (!signal.aborted) log.warn('adapter.not_recovered', { reason: String(error) });
      });
      await publishDeclared({ admin, declared: options.published, hasEngine, clock, log }, signal);
    },
    [Symbol.asyncDispose]: async () => {
      await operations[Symbol.asyncDispose]();
      await keeper[Symbol.asyncDispose]();
    },
  };
}
