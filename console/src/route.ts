/**
 * The address as a place in the console: `#/talk/<npc>`, `#/cast/<npc>/<sheet>`, `#/compare/<npc>`, `#/lines`,
 * `#/recall`, `#/adapters`, `#/jobs`, `#/service`. Anything else is the start.
 */
import { useSyncExternalStore } from 'react';

export const SHEETS = ['persona', 'prompt', 'lines'] as const;
export type Sheet = (typeof SHEETS)[number];

/** Of an NPC each. */
export type CastView = 'talk' | 'cast';
const VIEWS = ['talk', 'cast', 'compare', 'lines', 'recall', 'adapters', 'jobs', 'service'] as const;
export type View = (typeof VIEWS)[number];

export interface Route {
  readonly view: View;
  readonly npcId: string | null;
  readonly sheet: Sheet;
}

export function parseRoute(hash: string): Route {
  const [view, npc, sheet] = hash.replace(/^#\/?/, '').split('/');
  return {
    view: VIEWS.find((known) => known === view) ?? 'talk',
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

export function routeHash(view: View, npcId: string | null, sheet?: Sheet): string {
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
