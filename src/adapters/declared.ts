/**
 * The adapters of the configuration: registered and published when the service starts, unless they are already. What an
 * operator swapped since then stays: a tag that stands somewhere is not moved.
 */
import { type AdapterRecord, adapterId, parseAdapterReference } from '../core/adapter.ts';
import { ServiceError } from '../core/errors.ts';
import type { Clock, Logger } from '../core/runtime.ts';
import type { AdapterAdmin } from './admin.ts';
import type { AdapterOperation } from './operations.ts';
import type { AdaptersOptions } from './options.ts';

export interface DeclaredParts {
  readonly admin: AdapterAdmin;
  readonly declared: AdaptersOptions['published'];
  /** Whether an engine that takes adapters speaks. */
  readonly hasEngine: () => boolean;
  readonly clock: Clock;
  readonly log: Logger;
}

/** How often it is looked whether the first engine speaks. */
const LOOK_EVERY_MS = 500;
/** What may pass by itself is tried again after so long, doubling up to the second figure (ms). */
const RETRY_FIRST_MS = 1_000;
const RETRY_MAX_MS = 60_000;

/** Throws `config_invalid` for a key that is no `name@version`, before anything is started. */
export function requireDeclaredIds(declared: AdaptersOptions['published']): void {
  for (const id of Object.keys(declared)) {
    const reference = parseAdapterReference(id);
    if (!('version' in reference))
      throw new ServiceError(
        'config_invalid',
        `adapters.published.${id}: expected name@version, as in lich@7; a tag cannot be declared`,
      );
  }
}

/** Resolves when each is published, or failed for good; one that fails is logged and holds up no other. */
export async function publishDeclared(parts: DeclaredParts, signal: AbortSignal): Promise<void> {
  if (Object.keys(parts.declared).length === 0) return;
  while (!parts.hasEngine()) await parts.clock.sleep(LOOK_EVERY_MS, signal);
  await Promise.all(
    Object.entries(parts.declared).map(async ([id, { from, base, pinned }]) => {
      for (let waitMs = RETRY_FIRST_MS; ; waitMs = Math.min(RETRY_MAX_MS, waitMs * 2)) {
        try {
          await publishOne(id, { from, base: base ?? null, pinned }, parts, signal);
          return;
        } catch (error) {
          if (signal.aborted) return;
          const { code, message, retryable } = ServiceError.from(error);
          const mayPass = retryable || MAY_PASS.has(code);
          if (!mayPass) {
            parts.log.error('adapter.declared-failed', { adapter: id, reason: message });
            return;
          }
          parts.log.info('adapter.declared-waits', { adapter: id, reason: message, waitMs });
          await parts.clock.sleep(waitMs, signal).catch(() => {});
        }
      }
    }),
  );
}

/** No engine is connected yet, or another operation on the same name runs. */
const MAY_PASS: ReadonlySet<string> = new Set(['not_ready', 'adapter_busy', 'store_unavailable']);

async function publishOne(
  id: string,
  { from, base, pinned }: { readonly from: string; readonly base: string | null; readonly pinned: boolean },
  { admin }: DeclaredParts,
  signal: AbortSignal,
): Promise<void> {
  const { name, version } = parseAdapterReference(id) as Pick<AdapterRecord, 'name' | 'version'>;
  const known = await admin.show(id).catch((error: unknown) => {
    if (ServiceError.from(error).code === 'unknown_adapter') return null;
    throw error;
  });
  if (known === null)
    await ended(
      admin,
      admin.add({
        ...{ source: from, name, version, base },
        ...{ sha256: null, licence: null, notes: null, trainingRun: null },
        addedBy: 'configuration',
      }),
      signal,
    );
  // Published and without a tag: a gateway died before the tag moved, or an operator moved it. Publishing tells the two
  // apart: the first version of a name gets `stable`, and a tag that stands somewhere stays.
  if (known?.isPublished === true && known.tags.length > 0) return;
  await ended(admin, await admin.publish(adapterId({ name, version }), { tag: null, pin: pinned }), signal);
}

async function ended(admin: AdapterAdmin, { id }: AdapterOperation, signal: AbortSignal): Promise<void> {
  for await (const { failure } of admin.watchOperation(id, signal))
    if (failure !== null)
      throw new ServiceError(failure.code as ConstructorParameters<typeof ServiceError>[0], failure.message);
}
