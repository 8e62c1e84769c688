/**
 * Adapters as doors see them: the registry joined with what is desired and what is resident, and every change of it. What
 * takes long is an operation, which goes on when the caller hangs up. The one place where a request becomes a change.
 */
import { type AdapterRecord, type AdapterTag, adapterId, type DesiredAdapters } from '../core/adapter.ts';
import type { Clock } from '../core/runtime.ts';
import { invariant } from '../lib/invariant.ts';
import { readArtefact } from './artefact/describe.ts';
import { type ExportKind, type ExportPlan, exportPlan } from './artefact/export-plan.ts';
import { tagsOf } from './desired.ts';
import type { AdapterOperation, AdapterOperations } from './operations.ts';
import type { AdapterRegistry, AddAdapter, OnAdapterProgress } from './registry.ts';
import type { AdapterView, ReplicaView, ResidencyView } from './views.ts';

interface Version {
  readonly name: string;
  readonly version: string;
}

/** Who publishes: `publish.ts`. Each throws ServiceError and ends soon after its signal aborts. */
export interface AdapterPublishing {
  publish(
    id: Version,
    options: { readonly tag: AdapterTag | null; readonly pin: boolean },
    onProgress: OnAdapterProgress,
    signal: AbortSignal,
  ): Promise<void>;
  swap(
    to: Version,
    options: { readonly tag: AdapterTag },
    onProgress: OnAdapterProgress,
    signal: AbortSignal,
  ): Promise<void>;
  pin(id: Version, isPinned: boolean): Promise<void>;
  unpublish(
    id: Version,
    options: { readonly force: boolean },
    onProgress: OnAdapterProgress,
    signal: AbortSignal,
  ): Promise<void>;
}

export interface AdapterAdminParts {
  readonly registry: AdapterRegistry;
  readonly publisher: AdapterPublishing;
  readonly residency: { views(): readonly ReplicaView[] };
  readonly operations: AdapterOperations;
  readonly clock: Clock;
}

export interface AdapterViewPage {
  readonly views: readonly AdapterView[];
  readonly next: string | null;
}

/** How often who watches the replicas is told of a change at most. */
const LOOK_EVERY_MS = 500;

export class AdapterAdmin {
  readonly #parts: AdapterAdminParts;

  constructor(parts: AdapterAdminParts) {
    this.#parts = parts;
  }

  /** By name, then by age. Throws `bad_request` for an `after` that no page said, `store_unavailable`. */
  async list(ask: {
    readonly name?: string;
    readonly after?: string;
    readonly limit: number;
  }): Promise<AdapterViewPage> {
    const { store } = this.#parts.registry;
    const [page, desired] = await Promise.all([store.list(ask), store.desired()]);
    const replicas = this.#parts.residency.views();
    return { views: viewsOf(page.records, desired, replicas), next: page.next };
  }

  /** `lich@7`, `lich@canary` or `lich`. Throws `bad_request`, `unknown_adapter`, `store_unavailable`. */
  async show(reference: string): Promise<AdapterView> {
    const { registry, residency } = this.#parts;
    const record = await registry.require(await registry.resolve(reference));
    const [view] = viewsOf([record], await registry.store.desired(), residency.views());
    invariant(view !== undefined, 'one record gives one view');
    return view;
  }

  /** Throws `bad_request` at once for what cannot be one, `adapter_busy` while its name is worked on. */
  add(request: AddAdapter): AdapterOperation {
    const { registry, operations } = this.#parts;
    registry.check(request);
    return operations.start('add', request, async (onProgress, signal) => {
      const { record, isNew, sameBytes } = await registry.add(request, onProgress, signal);
      const what = `rank ${record.rank}, ${(record.bytes / 1e6).toFixed(1)} MB, for ${record.base}`;
      const also = sameBytes.length === 0 ? '' : `; the same bytes are registered as ${sameBytes.join(', ')}`;
      return `${adapterId(record)} ${isNew ? 'is registered' : 'was registered already'}: ${what}${also}`;
    });
  }

  /**
   * Loads it where it belongs, verifies, and makes it routable. Throws `unknown_adapter` at once, `adapter_busy` while its
   * name is worked on; what goes wrong later is the operation's failure.
   */
  async publish(
    reference: string,
    options: { readonly tag: AdapterTag | null; readonly pin: boolean },
  ): Promise<AdapterOperation> {
    const id = await this.#registered(reference);
    return this.#parts.operations.start('publish', id, async (onProgress, signal) => {
      await this.#parts.publisher.publish(id, options, onProgress, signal);
      return await this.#standing(id, 'is published');
    });
  }

  /** Publishes it and moves the tag to it; the version before drains and goes. Throws as `publish`. */
  async swap(reference: string, tag: AdapterTag): Promise<AdapterOperation> {
    const id = await this.#registered(reference);
    return this.#parts.operations.start('swap', id, async (onProgress, signal) => {
      await this.#parts.publisher.swap(id, { tag }, onProgress, signal);
      return await this.#standing(id, 'speaks from now on');
    });
  }

  /** Takes it off the engines; it stays registered. A version that a tag stands at only with `force`. Throws as `publish`. */
  async unload(reference: string, options: { readonly force: boolean }): Promise<AdapterOperation> {
    const id = await this.#registered(reference);
    return this.#parts.operations.start('unload', id, async (onProgress, signal) => {
      await this.#parts.publisher.unpublish(id, options, onProgress, signal);
      return `${adapterId(id)} is not served any more; it stays registered`;
    });
  }

  /** Reads its files; with `refetch`, brings them again where they are missing or damaged. Throws as `publish`. */
  async verify(reference: string, options: { readonly refetch: boolean }): Promise<AdapterOperation> {
    const id = await this.#registered(reference);
    return this.#parts.operations.start('verify', id, async (onProgress, signal) => {
      const found = await this.#parts.registry.verify(id, options, onProgress, signal);
      return found === 'whole'
        ? `${adapterId(id)} is whole: every byte is as it was staged`
        : `${adapterId(id)} was damaged and is whole again, fetched from its source`;
    });
  }

  /** Throws `unknown_adapter`, also when it is not published; `adapter_busy`, `store_unavailable`. */
  async pin(reference: string, isPinned: boolean): Promise<AdapterView> {
    const id = await this.#registered(reference);
    const { operations, publisher } = this.#parts;
    await operations.alone('pin', id.name, () => publisher.pin(id, isPinned));
    return await this.show(adapterId(id));
  }

  /**
   * How an engine that cannot be told by call is given this adapter. `base` is the base model as that engine names it, and
   * `folder` where it sees the artefact's folder; null: where we see it. Throws `bad_request`, `unknown_adapter`,
   * `adapter_invalid` when its files are not there.
   */
  async exportPlan(
    reference: string,
    ask: { readonly kind: ExportKind; readonly base: string; readonly folder: string | null },
    signal: AbortSignal,
  ): Promise<ExportPlan> {
    const record = await this.#registered(reference);
    const { files } = this.#parts.registry;
    const artefact = await readArtefact(files.folderOf(record.digest), signal);
    const folder = ask.folder ?? files.folderOf(record.digest);
    return exportPlan(ask.kind, ask.base, [{ name: record.name, version: record.version, artefact, folder }]);
  }

  /** Out of the registry. Throws `unknown_adapter`, `adapter_busy` while it is published or worked on. */
  async remove(reference: string): Promise<void> {
    const { registry, operations } = this.#parts;
    const id = await registry.resolve(reference);
    await operations.alone('remove', id.name, () => registry.remove(id));
  }

  /** The newest first. */
  operations(): readonly AdapterOperation[] {
    return this.#parts.operations.list();
  }

  /** Throws `not_found`. */
  operation(id: string): AdapterOperation {
    return this.#parts.operations.get(id);
  }

  /** As it stands, then as it changes, up to its end. Throws `not_found` at once; aborting rejects. */
  watchOperation(id: string, signal: AbortSignal): AsyncIterable<AdapterOperation> {
    return this.#parts.operations.watch(id, signal);
  }

  /** What lies where, now. */
  replicas(): readonly ReplicaView[] {
    return this.#parts.residency.views();
  }

  /**
   * What lies where, as a whole now and whenever it has changed, at most twice a second, without end. Time that passes is
   * no change. Aborting rejects with the signal's reason.
   */
  async *watchReplicas(signal: AbortSignal): AsyncGenerator<readonly ReplicaView[]> {
    for (let told: string | null = null; ; ) {
      const views = this.replicas();
      const now = JSON.stringify(views, (key, value: unknown) => (key === 'idleMs' ? null : value));
      if (now !== told) yield views;
      told = now;
      await this.#parts.clock.sleep(LOOK_EVERY_MS, signal);
    }
  }

  /** How many adapters there are, for the metric. Throws `store_unavailable`. */
  async count(): Promise<number> {
    return await this.#parts.registry.store.count();
  }

  async #registered(reference: string): Promise<AdapterRecord> {
    const { registry } = this.#parts;
    return await registry.require(await registry.resolve(reference));
  }

  /** `lich@8 speaks from now on as lich@stable, resident on gpu-1 and gpu-2`. */
  async #standing(id: Version, what: string): Promise<string> {
    const { tags, replicas } = await this.show(adapterId(id));
    const names = tags.map((tag) => `${id.name}@${tag}`).join(' and ');
    const at = replicas.filter(({ stage }) => stage === 'resident').map(({ engine }) => engine);
    return `${adapterId(id)} ${what}${names === '' ? '' : ` as ${names}`}${at.length === 0 ? '' : `, resident on ${at.join(', ')}`}`;
  }
}

/** Adapters as people see them, of three moments that are as close as can be. Built once for a page of them. */
export function viewsOf(
  records: readonly AdapterRecord[],
  desired: DesiredAdapters,
  replicas: readonly ReplicaView[],
): readonly AdapterView[] {
  const published = new Map(desired.published.map((each) => [adapterId(each), each]));
  const failures = new Map(desired.failures.map(({ id, reason }) => [id, reason]));
  const resident = new Map<string, (ResidencyView & { readonly engine: string })[]>();
  for (const { engine, adapters } of replicas)
    for (const each of adapters)
      resident.set(each.id, [...(resident.get(each.id) ?? []), { ...each, engine }]);
  return records.map((record) => {
    const id = adapterId(record);
    return {
      record,
      id,
      tags: tagsOf(desired, record),
      isPublished: published.has(id),
      isPinned: published.get(id)?.isPinned ?? false,
      failure: failures.get(id) ?? null,
      replicas: resident.get(id) ?? [],
    };
  });
}
