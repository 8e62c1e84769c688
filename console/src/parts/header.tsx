/** The name, the views, and the cue light: whether the service can take a line, in a shape and in a word. */
import type { ReactNode } from 'react';
import { words } from '../format.ts';
import { keyStore } from '../key.ts';
import { routeHash, type View } from '../route.ts';
import type { Live } from '../use-live.ts';

export function cue(live: Live): { tone: 'go' | 'standby' | 'dark'; text: string } {
  if (live.connection === 'unknown') return { tone: 'standby', text: 'Connecting' };
  if (live.connection === 'lost' || !live.readiness) return { tone: 'dark', text: 'No connection' };
  if (live.readiness.ready) return { tone: 'go', text: 'Ready' };
  const { stage, percent } = live.readiness;
  const stageWords = words(stage);
  const text = stageWords.charAt(0).toUpperCase() + stageWords.slice(1);
  return { tone: 'standby', text: typeof percent === 'number' ? `${text} ${Math.floor(percent)} %` : text };
}

const VIEWS: readonly { readonly view: View; readonly name: string }[] = [
  { view: 'talk', name: 'Talk' },
  { view: 'cast', name: 'Cast' },
  { view: 'compare', name: 'Compare' },
  { view: 'lines', name: 'Lines' },
  { view: 'recall', name: 'Recall' },
  { view: 'adapters', name: 'Adapters' },
  { view: 'jobs', name: 'Jobs' },
  { view: 'service', name: 'Service' },
];

/** They keep whom the view before was about. */
const OF_AN_NPC: ReadonlySet<View> = new Set(['talk', 'cast', 'compare']);

interface HeaderProps {
  readonly view: View;
  readonly npcId: string | null;
  readonly live: Live;
  readonly hasKey: boolean;
  /** What must stay in sight with it. */
  readonly children?: ReactNode;
}

export function Header({ view, npcId, live, hasKey, children }: HeaderProps) {
  const { tone, text } = cue(live);
  return (
    <header className="header">
      <a className="wordmark" href="#/talk">
        Greenroom
      </a>
      <nav aria-label="Views">
        {VIEWS.map(({ view: one, name }) => (
          <a
            className="view-link"
            key={one}
            href={routeHash(one, OF_AN_NPC.has(one) ? npcId : null)}
            aria-current={view === one ? 'page' : undefined}
          >
            {name}
          </a>
        ))}
      </nav>
      {children}
      <div className="header-end">
        {hasKey && (
          <button type="button" className="quiet" onClick={() => keyStore.forget()}>
            Forget key
          </button>
        )}
        <p className="cue" data-tone={tone} role="status">
          <span className="cue-light" aria-hidden="true" />
          {text}
        </p>
      </div>
    </header>
  );
}
