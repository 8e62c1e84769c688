/**
 * The registry and its admin over a real SQLite store, real staging and small real adapters; engines are played: who
 * publishes changes what is desired as the real one does, at the pace that a test gives it.
 */
import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { AdapterAdmin, type AdapterPublishing } from '../adapters/admin.ts';
import {
  changeDesired,
  inOrder,
  moveTag,
  pinVersion,
  publishVersion,
  unpublishVersion,
} from '../adapters/desired.ts';
import { AdapterOperations } from '../adapters/operations.ts';
import { adaptersOptionsSchema } from '../adapters/options.ts';
import { AdapterRegistry, type AddAdapter } from '../adapters/registry.ts';
import type { ReplicaView } from '../adapters/views.ts';
import { type AdapterStore, type AdapterTag, adapterId, engineNameOf } from '../core/adapter.ts';
import { ServiceError } from '../core/errors.ts';
import type { Store } from '../core/store.ts';
import { realRuntime } from '../runtime.ts';
import { silentLogger } from '../telemetry/log.ts';
import { TINY_BASES, writePeftFolder } from './peft-folder.ts';

export const TINY_BASE = 'tiny-llama';

export interface AdapterServiceOptions {
  /** Awaited in the middle of each publish. */
  readonly during?: (id: string) => Promise<void>;
  readonly onEnd?: (kind: string, outcome: string) => void;
}

export interface AdapterService extends AsyncDisposable {
  readonly root: string;
  readonly home: string;
  readonly registry: AdapterRegistry;
  readonly operations: AdapterOperations;
  readonly admin: AdapterAdmin;
  /** Writes a small adapter as PEFT does and gives its folder. Another seed is another adapter. */
  write(name: string, seed: number): Promise<string>;
}

/** What an operator would send, for an adapter at `source`. */
export function addition(id: string, source: string, changes: Partial<AddAdapter> = {}): AddAdapter {
  const [name = '', version = ''] = id.split('@');
  return {
    ...{ source, name, version, base: null, sha256: null },
    ...{ licence: 'CC0-1.0', notes: null, trainingRun: null, addedBy: 'local' },
    ...changes,
  };
}

export function adapterService(
  store: Pick<Store, 'adapters'>,
  options: AdapterServiceOptions = {},
): AdapterService {
  const home = mkdtempSync(path.join(tmpdir(), 'greenroom-adapters-'));
  const root = path.join(home, 'adapters');
  const { clock, random } = realRuntime;
  const registry = new AdapterRegistry({
    ...{ root, clock, random, log: silentLogger, environment: {}, workingDirectory: home },
    store: store.adapters,
    options: adaptersOptionsSchema.parse({}),
    bases: {
      names: () => [TINY_BASE, 'tiny-deep'],
      find: (name) => {
        const description = {
          [TINY_BASE]: TINY_BASES.llama,
          'tiny-deep': { ...TINY_BASES.llama, layers: 3, hiddenSize: 64 },
        }[name];
        return Promise.resolve(description === undefined ? null : { description, digest: null });
      },
    },
  });
  const operations = new AdapterOperations({
    ...{ clock, random, log: silentLogger },
    ...(options.onEnd === undefined ? {} : { onEnd: options.onEnd }),
  });
  const engine = new PlayedEngine(store.adapters, options.during ?? (() => Promise.resolve()));
  const admin = new AdapterAdmin({ registry, operations, publisher: engine, residency: engine, clock });
  return {
    ...{ root, home, registry, operations, admin },
    write: (name, seed) => writePeftFolder(path.join(home, name), { seed, base: TINY_BASES.llama }),
    [Symbol.asyncDispose]: async () => {
      await operations[Symbol.asyncDispose]();
      await rm(home, { recursive: true, force: true });
    },
  };
}

/** One replica that holds whatever is published here. */
class PlayedEngine implements AdapterPublishing {
  readonly #store: AdapterStore;
  readonly #during: (id: string) => Promise<void>;
  readonly #held = new Map<string, ReplicaView['adapters'][number]>();

  constructor(store: AdapterStore, during: (id: string) => Promise<void>) {
    this.#store = store;
    this.#during = during;
  }

  publish: AdapterPublishing['publish'] = async (id, { tag, pin }, onProgress) => {
    const record = await this.#store.get(id.name, id.version);
    if (record === null) throw new ServiceError('unknown_adapter', `there is no ${adapterId(id)}`);
    onProgress({ stage: 'loading', detail: 'loading on gpu-1', percent: 50 });
    await this.#during(adapterId(id));
    onProgress({ stage: 'verifying', detail: 'verifying on gpu-1' });
    const options = { isPinned: pin, atMs: realRuntime.clock.nowMs() };
    await changeDesired(
      this.#store,
      inOrder(publishVersion(record, options), moveTag(id.name, tag ?? 'stable', id.version)),
    );
    this.#held.set(adapterId(id), {
      ...{ id: adapterId(id), engineName: engineNameOf(record), stage: 'resident', leases: 0 },
      ...{ isPinned: pin, bytes: record.bytes, idleMs: null, loadMs: 12, verifyMs: 30 },
      ...{ failures: 0, reason: null },
    });
  };

  swap: AdapterPublishing['swap'] = async (to, { tag }: { readonly tag: AdapterTag }, onProgress, signal) => {
    await this.publish(to, { tag, pin: false }, onProgress, signal);
    onProgress({ stage: 'switching', detail: `${to.name}@${tag} is ${adapterId(to)} from now on` });
  };

  async pin(id: { readonly name: string; readonly version: string }, isPinned: boolean): Promise<void> {
    await changeDesired(this.#store, pinVersion(adapterId(id), isPinned));
  }

  unpublish: AdapterPublishing['unpublish'] = async (id, options, onProgress) => {
    onProgress({ stage: 'draining', detail: '2 lines still speak with it' });
    await changeDesired(this.#store, unpublishVersion(adapterId(id), options));
    this.#held.delete(adapterId(id));
  };

  views(): readonly ReplicaView[] {
    const adapters = [...this.#held.values()];
    return [
      {
        ...{ engine: 'gpu-1', base: TINY_BASE, isUp: true, slots: 20, slotsUsed: adapters.length },
        ...{ bytes: adapters.reduce((sum, { bytes }) => sum + bytes, 0), bytesMax: null },
        ...{ swapsLastMinute: 0, isThrashing: false, adapters },
      },
    ];
  }
}
