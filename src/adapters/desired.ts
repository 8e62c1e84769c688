/**
 * Changes of the desired document, each a pure function from one document to the next. They are made by compare-and-set,
 * so whatever two gateways do at the same instant happens one after the other, each upon what the other left behind:
 * two publishes of one name both stand, and the tag is with the one that moved it last.
 */
import {
  type AdapterFailure,
  type AdapterRecord,
  type AdapterStore,
  type AdapterTag,
  adapterId,
  type DesiredAdapters,
  type PublishedAdapter,
} from '../core/adapter.ts';
import { ServiceError } from '../core/errors.ts';

/** Gives the document as it should be; the very same object when there is nothing to change. Throws ServiceError. */
export type DesiredChange = (desired: DesiredAdapters) => DesiredAdapters;

export const NOTHING_DESIRED: DesiredAdapters = {
  revision: 0,
  published: [],
  tags: {},
  failures: [],
  removing: [],
};

/** As many gateways may change the document at one instant before one of them gives up. */
const CHANGE_ATTEMPTS = 32;
const FAILURES_KEPT = 50;

/**
 * Applies the change to what the store holds and keeps it; resolves to the document that holds then. Throws what the
 * change throws, `store_unavailable`, and `adapter_busy` when others were quicker 32 times.
 */
export async function changeDesired(
  store: Pick<AdapterStore, 'desired' | 'replaceDesired'>,
  change: DesiredChange,
): Promise<DesiredAdapters> {
  for (let attempt = 0; attempt < CHANGE_ATTEMPTS; attempt++) {
    const desired = await store.desired();
    const next = change(desired);
    if (next === desired || (await store.replaceDesired(next))) return next;
  }
  throw new ServiceError(
    'adapter_busy',
    `what should be served was changed by others ${CHANGE_ATTEMPTS} times in a row; try again`,
  );
}

export function publishedEntry(desired: DesiredAdapters, id: string): PublishedAdapter | null {
  return desired.published.find((each) => adapterId(each) === id) ?? null;
}

/** The tags that stand at this version, in their order. */
export function tagsOf(
  desired: DesiredAdapters,
  { name, version }: { readonly name: string; readonly version: string },
): readonly AdapterTag[] {
  const tags = Object.hasOwn(desired.tags, name) ? desired.tags[name] : undefined;
  return (['stable', 'canary'] as const).filter((tag) => tags?.[tag]?.version === version);
}

/** The version that a tag stands at; null when it stands at none. */
export function taggedVersion(desired: DesiredAdapters, name: string, tag: AdapterTag) {
  return (Object.hasOwn(desired.tags, name) ? desired.tags[name]?.[tag] : undefined) ?? null;
}

/**
 * Says that a version should be served; one that is published already keeps its generation and its pin, unless `isPinned`
 * says otherwise. Throws `adapter_busy` when it is on its way out of the registry, `adapter_conflict` when it is published
 * with other bytes.
 */
export function publishVersion(
  record: Pick<AdapterRecord, 'name' | 'version' | 'digest'>,
  { isPinned, atMs }: { readonly isPinned?: boolean | undefined; readonly atMs: number },
): DesiredChange {
  return (desired) => {
    const id = adapterId(record);
    if (desired.removing.includes(id))
      throw new ServiceError('adapter_busy', `${id} is being removed from the registry; add it again first`);
    const before = publishedEntry(desired, id);
    if (before !== null && before.digest !== record.digest)
      throw new ServiceError('adapter_conflict', `${id} is published with other bytes (${before.digest})`);
    const next: PublishedAdapter = {
      name: record.name,
      version: record.version,
      digest: record.digest,
      isPinned: isPinned ?? before?.isPinned ?? false,
      publishedAtMs: before?.publishedAtMs ?? atMs,
      generation: before?.generation ?? desired.revision + 1,
    };
    if (before !== null && before.isPinned === next.isPinned) return desired;
    return changed(desired, {
      published:
        before === null
          ? [...desired.published, next]
          : desired.published.map((each) => (each === before ? next : each)),
    });
  };
}

/**
 * Lets a tag stand at a published version; the generation of the tag is the revision of this change. A tag that stands
 * there already stays as it is. Throws `unknown_adapter` when the version is not published (any more).
 */
export function moveTag(name: string, tag: AdapterTag, version: string): DesiredChange {
  return (desired) => {
    const id = adapterId({ name, version });
    if (publishedEntry(desired, id) === null)
      throw new ServiceError('unknown_adapter', `${id} is not published, so ${tag} cannot stand at it`);
    if (taggedVersion(desired, name, tag)?.version === version) return desired;
    return changed(desired, {
      tags: {
        ...desired.tags,
        [name]: { ...desired.tags[name], [tag]: { version, generation: desired.revision + 1 } },
      },
    });
  };
}

/** Throws `unknown_adapter` when it is not published. */
export function pinVersion(id: string, isPinned: boolean): DesiredChange {
  return (desired) => {
    const before = publishedEntry(desired, id);
    if (before === null) throw new ServiceError('unknown_adapter', `${id} is not published`);
    if (before.isPinned === isPinned) return desired;
    return changed(desired, {
      published: desired.published.map((each) => (each === before ? { ...each, isPinned } : each)),
    });
  };
}

/**
 * Says that a version should be served no longer. Nothing happens when it is not. One that a tag stands at is given up only
 * with `force`, and its tags with it; else it throws `adapter_busy`.
 */
export function unpublishVersion(id: string, { force }: { readonly force: boolean }): DesiredChange {
  return (desired) => {
    const before = publishedEntry(desired, id);
    if (before === null) return desired;
    const tags = tagsOf(desired, before);
    if (tags.length > 0 && !force)
      throw new ServiceError(
        'adapter_busy',
        `${id} is what ${before.name}@${tags.join(` and ${before.name}@`)} means; move the tag first, or force it`,
        { details: { tags } },
      );
    return withoutVersion(desired, before);
  };
}

/** What a swap leaves behind: the version before goes unless it is pinned or a tag stands at it. */
export function retireVersion(id: string): DesiredChange {
  return (desired) => {
    const before = publishedEntry(desired, id);
    if (before === null || before.isPinned || tagsOf(desired, before).length > 0) return desired;
    return withoutVersion(desired, before);
  };
}

/** The newest failure first; an id's earlier one is replaced. */
export function noteFailure(failure: AdapterFailure): DesiredChange {
  return (desired) =>
    changed(desired, {
      failures: [failure, ...desired.failures.filter(({ id }) => id !== failure.id)].slice(0, FAILURES_KEPT),
    });
}

/** After it went well: its failure is no longer the latest word. */
export function forgetFailure(id: string): DesiredChange {
  return (desired) =>
    desired.failures.some((failure) => failure.id === id)
      ? changed(desired, { failures: desired.failures.filter((failure) => failure.id !== id) })
      : desired;
}

/** From now on it cannot be published. Throws `adapter_busy` while it is. */
export function startRemoving(id: string): DesiredChange {
  return (desired) => {
    if (publishedEntry(desired, id) !== null)
      throw new ServiceError('adapter_busy', `${id} is published; unload it first`);
    return desired.removing.includes(id)
      ? desired
      : changed(desired, { removing: [...desired.removing, id] });
  };
}

/** It is out of the registry, or stays in it after all. */
export function endRemoving(id: string): DesiredChange {
  return (desired) =>
    desired.removing.includes(id)
      ? changed(desired, { removing: desired.removing.filter((each) => each !== id) })
      : desired;
}

/** One after the other, as one change: the revision rises once, and every generation given is that revision. */
export function inOrder(...changes: readonly DesiredChange[]): DesiredChange {
  return (desired) => {
    let next = desired;
    let isChanged = false;
    for (const change of changes) {
      const after = change(next);
      isChanged ||= after !== next;
      next = after.revision === desired.revision ? after : { ...after, revision: desired.revision };
    }
    return isChanged ? { ...next, revision: desired.revision + 1 } : desired;
  };
}

function withoutVersion(desired: DesiredAdapters, gone: PublishedAdapter): DesiredAdapters {
  const tags = Object.fromEntries(
    Object.entries(desired.tags)
      .map(([name, versions]) =>
        name === gone.name
          ? ([
              name,
              Object.fromEntries(
                Object.entries(versions).filter(([, tagged]) => tagged.version !== gone.version),
              ),
            ] as const)
          : ([name, versions] as const),
      )
      .filter(([, versions]) => Object.keys(versions).length > 0),
  );
  return changed(desired, { published: desired.published.filter((each) => each !== gone), tags });
}

function changed(desired: DesiredAdapters, what: Partial<DesiredAdapters>): DesiredAdapters {
  return { ...desired, ...what, revision: desired.revision + 1 };
}
