/** The address as a place in the console: `#/talk/<npc>` and `#/cast/<npc>/<sheet>`. Anything else is the start. */
import { useSyncExternalStore } from 'react';

export const SHEETS = ['persona', 'prompt', 'lines'] as const;
export type Sheet = (typeof SHEETS)[number];

export interface Route {
  readonly view: 'talk' | 'cast';
  readonly npcId: string | null;
  readonly sheet: Sheet;
}

export function parseRoute(hash: string): Route {
  const [view, npc, sheet] = hash.replace(/^#\/?/, '').split('/');
  return {
    view: view === 'cast' ? 'cast' : 'talk',
    npcId: npc ? decodeLoosely(npc) : null,
    sheet: SHEETS.find((known) => known === sheet) ?? 'persona',
  };
}

function decodeLoosely(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    // A broken escape in a typed address is an unknown NPC, not a broken page.
    return part;
  }
}

export function routeHash(view: Route['view'], npcId: string | null, sheet?: Sheet): string {
  const parts = [view, ...(npcId === null ? [] : [encodeURIComponent(npcId)]), ...(sheet ? [sheet] : [])];
  return `#/${parts.join('/')}`;
}

function subscribe(listener: () => void): () => void {
  window.addEventListener('hashchange', listener);
  return () => window.removeEventListener('hashchange', listener);
}

export function useHash(): string {
  return useSyncExternalStore(subscribe, () => window.location.hash);
}
