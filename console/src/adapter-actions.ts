/**
 * What may be done with a registered adapter, and what happens then, said before anybody does it. Pure; the gateway
 * decides again, and its word stands.
 */
import type { AdapterView } from './wire-adapters.ts';

export type ActionName = 'publish' | 'swap' | 'canary' | 'pin' | 'unpin' | 'verify' | 'unload' | 'remove';

export interface AdapterAction {
  readonly name: ActionName;
  readonly label: string;
  /** What will happen, in one or two sentences. */
  readonly tells: string;
  /** Asked for once more, because it changes what players hear or cannot be taken back; else null. */
  readonly warning: string | null;
}

/** The actions that make sense for it now; `stable` is the version that its name stands for, if there is one. */
export function actionsFor(adapter: AdapterView, stable: AdapterView | null): readonly AdapterAction[] {
  const { id, record, is_published: isPublished, is_pinned: isPinned, tags } = adapter;
  const actions: AdapterAction[] = [];
  if (!isPublished)
    actions.push({
      name: 'publish',
      label: 'Publish',
      tells: `Loads ${id} on every engine with its base, asks it the probe questions, and lets lines go to it only when it answers as itself. Nobody who speaks now is held up.${
        stable && stable.id !== id ? ` ${record.name} goes on meaning ${stable.id}.` : ''
      }`,
      warning: null,
    });
  if (stable !== null && stable.id !== id)
    actions.push({
      name: 'swap',
      label: `Swap to ${id}`,
      tells: `Loads and verifies ${id} first. From one moment on new lines of “${record.name}” are spoken by it; running lines end with ${stable.id}, which then leaves the engines. If it fails, ${stable.id} goes on.`,
      warning: `Players will hear ${id} wherever ${stable.id} speaks now.`,
    });
  if (isPublished && !tags.includes('stable') && !tags.includes('canary'))
    actions.push({
      name: 'canary',
      label: 'Tag as canary',
      tells: `Characters whose persona names “${record.name}@canary” speak with it.`,
      warning: null,
    });
  if (isPublished && isPinned)
    actions.push({
      name: 'unpin',
      label: 'Unpin',
      tells: 'Its places may again be given to adapters that are spoken more.',
      warning: null,
    });
  if (isPublished && !isPinned)
    actions.push({
      name: 'pin',
      label: 'Pin',
      tells:
        'It keeps its place on every engine, however seldom it speaks. One place fewer is left for the others.',
      warning: null,
    });
  if (isPublished)
    actions.push({
      name: 'verify',
      label: 'Verify',
      tells:
        'Asks the probe questions again on every engine that holds it, and compares the answers with those of its first publish. Lines go on meanwhile.',
      warning: null,
    });
  if (isPublished)
    actions.push({
      name: 'unload',
      label: 'Unload',
      tells:
        'Takes it out of service: running lines end with it, then it leaves every engine. It stays in the registry and can be published again.',
      warning: tags.includes('stable')
        ? `Characters that speak with ${record.name} will speak with the base until a version is published again.`
        : `Characters whose persona names ${id} will speak with the base.`,
    });
  if (!isPublished)
    actions.push({
      name: 'remove',
      label: 'Remove',
      tells:
        'Deletes it from the registry, and its files. It can only come back from where it was added from.',
      warning: `${id} is deleted. This cannot be taken back here.`,
    });
  return actions;
}

const DOING: Readonly<Record<string, string>> = {
  add: 'Adding',
  publish: 'Publishing',
  swap: 'Swapping to',
  verify: 'Verifying',
  unload: 'Unloading',
  remove: 'Removing',
  pin: 'Pinning',
};

/** An operation under way, as a title. */
export function doingText({ kind, adapter }: { readonly kind: string; readonly adapter: string }): string {
  return `${DOING[kind] ?? kind} ${adapter}`;
}
