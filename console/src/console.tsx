/**
 * The frame around every page: header with the cue light, the cast at the side, the page, the service panel. It owns
 * what must outlive a page: conversations, comparisons, jobs, the scene, the key, and what the service last said of itself.
 */
import { useEffect, useLayoutEffect, useMemo, useRef, useState, useSyncExternalStore } from 'react';
import { Trouble } from './api.ts';
import { keyStore } from './key.ts';
import { AdaptersPage } from './pages/adapters.tsx';
import { CastPage } from './pages/cast.tsx';
import { ComparePage } from './pages/compare.tsx';
import { JobsPage } from './pages/jobs.tsx';
import { LinesPage } from './pages/lines.tsx';
import { RecallPage } from './pages/recall.tsx';
import { ServicePage } from './pages/service.tsx';
import { TalkPage } from './pages/talk.tsx';
import { CastList } from './parts/cast-list.tsx';
import { Header } from './parts/header.tsx';
import { KeyForm } from './parts/key-form.tsx';
import { Notice } from './parts/notice.tsx';
import { ServicePanel } from './parts/service-panel.tsx';
import { SpendingBanner } from './parts/spending-banner.tsx';
import { parseRoute, useHash, type View } from './route.ts';
import { useComparison } from './use-compare.ts';
import { useJobs } from './use-jobs.ts';
import { useLive } from './use-live.ts';
import { useRead } from './use-read.ts';
import { useSpendingSwitch } from './use-spending-switch.ts';
import { type Scene, useTalk } from './use-talk.ts';
import type { NpcSummary } from './wire.ts';

/** Views of no NPC, which take the whole width. */
const WHOLE: ReadonlySet<View> = new Set(['compare', 'lines', 'recall', 'adapters', 'jobs', 'service']);
const TITLES: Readonly<Partial<Record<View, string>>> = {
  compare: 'Hear the difference',
  lines: 'Lines',
  recall: 'Recall',
  adapters: 'Adapters',
  jobs: 'Jobs',
  service: 'Service',
};

export function Console() {
  const hash = useHash();
  const route = useMemo(() => parseRoute(hash), [hash]);
  const key = useSyncExternalStore(keyStore.subscribe, keyStore.state);
  const [live, tellSpending] = useLive(key.generation);
  const onOff = useSpendingSwitch(tellSpending);
  const talk = useTalk();
  const jobs = useJobs(key.generation);
  const comparison = useComparison();
  const [question, setQuestion] = useState('');
  const [scene, setScene] = useState<Scene>({ playerName: '', location: '', mood: '', tier: '' });
  // The cast is read again whenever the gateway comes back, becomes ready, or another key was given.
  const stamp = `${key.generation} ${live.connection === 'lost'} ${live.readiness?.ready ?? false}`;
  const cast = useRead<{ data: readonly NpcSummary[] }>('/v1/npcs', stamp);
  const npcs = cast.data?.data ?? null;
  const npc = npcs?.find((one) => one.npc_id === route.npcId) ?? null;

  const { view } = route;
  const title = TITLES[view] ?? npc?.name;
  useEffect(() => {
    document.title = title ? `${title} · Greenroom` : 'Greenroom';
  }, [title]);

  const viewBefore = useRef(view);
  useLayoutEffect(() => {
    if (viewBefore.current === view) return;
    viewBefore.current = view;
    if (WHOLE.has(view)) window.scrollTo(0, 0);
    // The link that led here may have left with its page; the focus must not be lost with it.
    if (document.activeElement === document.body) skipToMain();
  }, [view]);

  const isUnknown = npcs !== null && route.npcId !== null && npc === null;
  return (
    <>
      <button type="button" className="skip" onClick={skipToMain}>
        Skip to the page
      </button>
      <Header view={view} npcId={route.npcId} live={live} hasKey={key.key !== null}>
        {live.spending?.off && !key.isWanted && <SpendingBanner isOnService={view === 'service'} />}
      </Header>
      {live.connection === 'lost' && (
        <div className="banner" role="alert">
          <Notice trouble={new Trouble('unreachable', '')} />
        </div>
      )}
      {key.isWanted && (
        <main id="main" className="lone" tabIndex={-1}>
          <KeyForm wasRefused={key.key !== null} />
        </main>
      )}
      {!key.isWanted && WHOLE.has(view) && (
        <main id="main" className="whole" tabIndex={-1}>
          {view === 'service' && <ServicePage live={live} onOff={onOff} keyGeneration={key.generation} />}
          {view === 'jobs' && <JobsPage jobs={jobs} npcs={npcs ?? []} />}
          {view === 'lines' && <LinesPage stamp={stamp} hasKey={key.key !== null} />}
          {view === 'recall' && <RecallPage stamp={stamp} npcs={npcs ?? []} />}
          {view === 'adapters' && <AdaptersPage stamp={stamp} keyGeneration={key.generation} live={live} />}
          {view === 'compare' && (
            <ComparePage
              npcs={npcs ?? []}
              npcId={route.npcId}
              comparison={comparison}
              question={question}
              onQuestion={setQuestion}
              stamp={stamp}
              keyGeneration={key.generation}
            />
          )}
        </main>
      )}
      {!key.isWanted && (view === 'talk' || view === 'cast') && (
        <div className="frame" data-chosen={route.npcId !== null}>
          <CastList npcs={npcs} trouble={cast.trouble} view={view} chosenId={route.npcId} live={live} />
          <main id="main" tabIndex={-1}>
            {isUnknown && <Notice trouble={new Trouble('unknown_npc', `Asked for: ${route.npcId}`)} />}
            {!npc && !isUnknown && <Welcome hasCast={npcs !== null} />}
            {npc && view === 'talk' && (
              <TalkPage key={npc.npc_id} npc={npc} talk={talk} scene={scene} onScene={setScene} live={live} />
            )}
            {npc && view === 'cast' && (
              <CastPage key={npc.npc_id} npc={npc} sheet={route.sheet} stamp={stamp} />
            )}
          </main>
          <ServicePanel live={live} />
        </div>
      )}
    </>
  );
}

/** A button, not a link: the hash of the address is the route. */
function skipToMain(): void {
  document.getElementById('main')?.focus();
}

function Welcome({ hasCast }: { hasCast: boolean }) {
  return (
    <div className="welcome">
      <h1>Nobody is on yet</h1>
      <p>{hasCast ? 'Choose somebody from the cast to hear them speak.' : 'The cast is being called.'}</p>
    </div>
  );
}
