/** Recall: what share of the lines costs nothing now, what that saved, by whom, and how the cache stands. */
import { Notice } from '../parts/notice.tsx';
import { RecallMemory, RecallRules } from '../parts/recall-facts.tsx';
import { RecallNow } from '../parts/recall-now.tsx';
import { RecallTable } from '../parts/recall-table.tsx';
import { useRecall } from '../use-recall.ts';
import type { NpcSummary } from '../wire.ts';

interface RecallPageProps {
  readonly stamp: string;
  readonly npcs: readonly NpcSummary[];
}

export function RecallPage({ stamp, npcs }: RecallPageProps) {
  const recall = useRecall(stamp);
  const { status, trouble } = recall;
  const isForbidden = trouble?.code === 'forbidden';
  return (
    <div className="operations recall-page">
      <h1>Recall</h1>
      <p className="recall-said" role="status">
        {recall.said}
      </p>
      {recall.forgetTrouble && (
        <div role="alert">
          <Notice
            trouble={
              recall.forgetTrouble.code === 'store_unavailable'
                ? {
                    code: 'store_unavailable',
                    message:
                      'This gateway has forgotten, the shared tier has not. Forget again when it answers.',
                  }
                : recall.forgetTrouble
            }
          />
        </div>
      )}
      {isForbidden && (
        <Notice trouble={{ code: 'forbidden', message: 'This key may talk, but not see the cache.' }} />
      )}
      {/* A lost connection has its banner over every page. */}
      {!isForbidden && trouble && trouble.code !== 'unreachable' && <Notice trouble={trouble} />}
      {!status && !trouble && <p className="empty">Asking the gateway…</p>}
      {!isForbidden && status && !status.enabled && (
        <p className="first-step">
          The dialogue cache is off: every line is generated. Set “recall.enabled” to true in the
          configuration.
        </p>
      )}
      {!isForbidden && status?.enabled && (
        <>
          <RecallNow status={status} />
          <section className="part" aria-labelledby="by-npc">
            <h2 id="by-npc">By NPC</h2>
            <div className="wide">
              {status.npcs.length > 0 && <RecallTable status={status} npcs={npcs} recall={recall} />}
              {status.total.hits + status.total.joined === 0 && <HowHitsCome />}
            </div>
          </section>
          <section className="part" aria-labelledby="memory">
            <h2 id="memory">Memory</h2>
            <RecallMemory status={status} recall={recall} />
          </section>
          <section className="part" aria-labelledby="rules">
            <h2 id="rules">Rules</h2>
            <RecallRules status={status} />
          </section>
        </>
      )}
    </div>
  );
}

function HowHitsCome() {
  return (
    <div className="first-step">
      <p>
        Nothing was said again yet. A line is kept once it was generated whole; whoever asks this NPC the
        same, with the same facts, mood and history, hears it at once and it costs nothing.
      </p>
      <p>
        Hits come by themselves when many players open a talk with the same words: offer them as choices, and
        send only facts that matter here. To try it now, ask somebody the same in two new talks with two
        player names: nobody is told the same twice.
      </p>
    </div>
  );
}
