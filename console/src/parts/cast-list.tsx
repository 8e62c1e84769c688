/** The cast as a list to search and walk through: arrow keys move, Enter opens, and from the search Enter opens the first. */
import { type KeyboardEvent, useEffect, useId, useRef, useState } from 'react';
import type { Trouble } from '../api.ts';
import { words } from '../format.ts';
import { type CastView, routeHash } from '../route.ts';
import type { Live } from '../use-live.ts';
import type { NpcSummary } from '../wire.ts';
import { Notice } from './notice.tsx';

interface CastListProps {
  readonly npcs: readonly NpcSummary[] | null;
  readonly trouble: Trouble | null;
  readonly view: CastView;
  readonly chosenId: string | null;
  readonly live: Live;
}

function matches(npc: NpcSummary, query: string): boolean {
  const text = `${npc.name} ${npc.npc_id} ${npc.kind} tier ${npc.tier} ${npc.summary ?? ''}`.toLowerCase();
  return query
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word));
}

export function CastList({ npcs, trouble, view, chosenId, live }: CastListProps) {
  const [query, setQuery] = useState('');
  const searchId = useId();
  const root = useRef<HTMLElement>(null);
  const shown = npcs?.filter((npc) => matches(npc, query)) ?? [];

  const isLoaded = npcs !== null;
  useEffect(() => {
    if (!isLoaded || chosenId === null) return;
    // A deep link may choose somebody far down the list.
    root.current?.querySelector('[aria-current]')?.scrollIntoView({ block: 'nearest' });
  }, [isLoaded, chosenId]);

  const links = (): HTMLAnchorElement[] => [
    ...(root.current?.querySelectorAll<HTMLAnchorElement>('a.cast-link') ?? []),
  ];
  const onSearchKey = (event: KeyboardEvent): void => {
    if (event.key === 'ArrowDown') {
      event.preventDefault();
      links()[0]?.focus();
    } else if (event.key === 'Enter') {
      links()[0]?.click();
    }
  };
  const onListKey = (event: KeyboardEvent): void => {
    const all = links();
    const at = all.indexOf(document.activeElement as HTMLAnchorElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 }[event.key];
    if (to === undefined || at < 0) return;
    event.preventDefault();
    if (to < 0) document.getElementById(searchId)?.focus();
    else all[Math.min(to, all.length - 1)]?.focus();
  };

  return (
    <nav className="cast-list" aria-label="Cast" ref={root}>
      <div className="cast-search">
        <label htmlFor={searchId}>Cast{npcs ? ` (${npcs.length})` : ''}</label>
        <input
          id={searchId}
          type="search"
          placeholder="Name, kind or tier"
          value={query}
          onChange={(event) => setQuery(event.target.value)}
          onKeyDown={onSearchKey}
        />
      </div>
      {trouble && npcs === null && live.connection === 'up' && <Notice trouble={trouble} />}
      {npcs && shown.length === 0 && (
        <p className="empty">
          {npcs.length === 0
            ? 'The cast is empty. Add personas to the cast folder that the configuration names.'
            : 'Nobody by that name. Clear the search to see the whole cast.'}
        </p>
      )}
      <ul onKeyDown={onListKey}>
        {shown.map((npc) => (
          <li key={npc.npc_id}>
            <a
              className="cast-link"
              href={routeHash(view, npc.npc_id)}
              aria-current={npc.npc_id === chosenId ? 'true' : undefined}
            >
              <span className="cast-name">{npc.name}</span>
              <span className="cast-kind">
                {words(npc.kind)}, tier {npc.tier}
              </span>
              {npc.summary && <span className="cast-summary">{npc.summary}</span>}
            </a>
          </li>
        ))}
      </ul>
    </nav>
  );
}
