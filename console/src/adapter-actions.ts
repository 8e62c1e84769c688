/**
 * What may be done with a registered adapter, and what happens then, said before anybody does it. Pure; the gateway
 * decides again, and its word stands.
 */
import type { AdapterView } from './wire-adapters.ts';

export type Verb = 'publish' | 'swap' | 'pin' | 'unpin' | 'verify' | 'unload' | 'remove';

export interface AdapterAction {
  readonly key: string;
  readonly verb: Verb;
  /** What goes with it. */
  readonly body: Readonly<Record<string, unknown>>;
  readonly label: string;
  /** What will happen, in one or two sentences. */
  readonly tells: string;
  /** Asked for once more, because it changes what players hear or cannot be taken back; else null. */
  readonly warning: string | null;
}

/** The actions that make sense for it now; `stable` is the version that its name stands for, if there is one. */
export function actionsFor(adapter: AdapterView, stable: AdapterView | null): readonly AdapterAction[] {
  if (!adapter.is_published) return [...publishings(adapter, stable), VERIFY, removal(adapter)];
  return [...publishings(adapter, stable), pinning(adapter), VERIFY, unloading(adapter)];
}

/** What brings it to speak, or to speak for its name. */
function publishings(adapter: AdapterView, stable: AdapterView | null): readonly AdapterAction[] {
  const { id, record, is_published: isPublished, tags } = adapter;
  const { name } = record;
  const check = `Loads ${id} on the engines that serve its base, asks it the probe questions, and lets lines go to it only when it answers as itself.`;
  const actions: AdapterAction[] = [];
  const add = (key: string, verb: Verb, body: object, label: string, tells: string, warning: string | null) =>
    actions.push({ key, verb, body: { ...body }, label, tells, warning });
  if (stable === null)
    add(
      'publish',
      'publish',
      { tag: 'stable' },
      isPublished ? `Let “${name}” mean it` : 'Publish',
      `${isPublished ? '' : `${check} `}Characters whose persona names “${name}” speak with it from then on. Nobody who speaks now is held up.`,
      null,
    );
  else if (stable.id !== id) {
    add(
      'swap',
      'swap',
      { tag: 'stable' },
      `Swap to ${id}`,
      `Loads and verifies ${id} first. From one moment on new lines of “${name}” are spoken by it; running lines end with ${stable.id}, which then leaves the engines. If it fails, ${stable.id} goes on.`,
      `Players will hear ${id} wherever ${stable.id} speaks now.`,
    );
    if (!isPublished)
      add(
        'publish',
        'publish',
        {},
        'Publish beside it',
        `${check} “${name}” goes on meaning ${stable.id}; only who asks for ${id} hears it.`,
        null,
      );
    if (!tags.includes('canary'))
      add(
        'canary',
        'publish',
        { tag: 'canary' },
        'Publish as canary',
        `${isPublished ? '' : `${check} `}Characters whose persona names “${name}@canary” speak with it; “${name}” goes on meaning ${stable.id}.`,
        null,
      );
  }
  return actions;
}

function pinning({ id, is_pinned: isPinned }: AdapterView): AdapterAction {
  return isPinned
    ? {
        key: 'unpin',
        verb: 'unpin',
        body: {},
        label: 'Unpin',
        tells: `The places of ${id} may again be given to adapters that are spoken more.`,
        warning: null,
      }
    : {
        key: 'pin',
        verb: 'pin',
        body: {},
        label: 'Pin',
        tells: `${id} keeps its place on the engines, however seldom it speaks. One place fewer is left for the others.`,
        warning: null,
      };
}

const VERIFY: AdapterAction = {
  key: 'verify',
  verb: 'verify',
  body: { refetch: true },
  label: 'Verify',
  tells:
    'Reads its files and compares every byte with what was registered; what is damaged is fetched again. Lines go on meanwhile.',
  warning: null,
};

function unloading({ id, record, tags }: AdapterView): AdapterAction {
  return {
    key: 'unload',
    verb: 'unload',
    // The gateway takes a version that a tag stands at only when it is meant so; the warning has said it.
    body: tags.length > 0 ? { force: true } : {},
    label: 'Unload',
    tells:
      'Takes it out of service: running lines end with it, then it leaves the engines. It stays in the registry and can be published again.',
    warning: tags.includes('stable')
      ? `Characters that speak with “${record.name}” will speak with the base until a version is published for it again.`
      : `Characters whose persona names ${[id, ...tags.map((tag) => `${record.name}@${tag}`)].join(' or ')} will speak with the base.`,
  };
}

function removal({ id }: AdapterView): AdapterAction {
  return {
    key: 'remove',
    verb: 'remove',
    body: {},
    label: 'Remove',
    tells: 'Deletes it from the registry, and its files. It can only come back from where it was added from.',
    warning: `${id} is deleted. This cannot be taken back here.`,
  };
}

/** What was done at once, without an operation. */
export function doneText(verb: Verb, id: string): string {
  if (verb === 'pin') return `${id} is pinned: it keeps its places.`;
  if (verb === 'unpin') return `${id} is not pinned any more.`;
  return verb === 'remove' ? `${id} is removed.` : `${id}: done.`;
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
