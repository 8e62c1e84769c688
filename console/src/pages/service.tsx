/** The service for its operator: which engines take lines, what is spent, and the health of the process. */
import { EnginesTable } from '../parts/engines-table.tsx';
import { Notice } from '../parts/notice.tsx';
import { ServiceFacts, Stages } from '../parts/service-panel.tsx';
import { SpendingPanel } from '../parts/spending-panel.tsx';
import type { Live } from '../use-live.ts';
import { useReplicas } from '../use-replicas.ts';
import type { SpendingSwitch } from '../use-spending-switch.ts';

interface ServicePageProps {
  readonly keyGeneration: number;
  readonly live: Live;
  readonly onOff: SpendingSwitch;
}

export function ServicePage({ live, onOff, keyGeneration }: ServicePageProps) {
  const replicas = useReplicas(keyGeneration);
  const { readiness, status, statusTrouble } = live;
  // Everything comes at once, so that nothing is pushed about by what comes after it.
  if (live.connection === 'unknown')
    return (
      <div className="operations">
        <h1>Service</h1>
        <p className="empty">Asking the gateway…</p>
      </div>
    );
  return (
    <div className="operations">
      <h1>Service</h1>
      {readiness && !readiness.ready && <Stages readiness={readiness} />}
      {live.connection === 'up' && statusTrouble && (
        <Notice
          trouble={
            statusTrouble.code === 'forbidden'
              ? { code: 'forbidden', message: 'This key may talk, but not see the service.' }
              : statusTrouble
          }
        />
      )}
      <section className="part" aria-labelledby="engines">
        <h2 id="engines">Engines</h2>
        <div className="wide">
          {status?.engines && status.engines.length > 0 && (
            <EnginesTable engines={status.engines} replicas={replicas.engines ?? []} />
          )}
          {status?.engines?.length === 0 && (
            <p className="empty">
              None is configured: every line is a written one. Name some under “engines”.
            </p>
          )}
          {!status && <p className="empty">Not known.</p>}
          {status && (
            <p className="hint">
              {statusTrouble
                ? 'No answer: this is how it last stood. Trying again.'
                : 'Paid engines are also left alone while paid calls are stopped or a cap is reached.'}
            </p>
          )}
        </div>
      </section>
      <SpendingPanel live={live} onOff={onOff} />
      {status && (
        <section className="part" aria-labelledby="process">
          <h2 id="process">Process</h2>
          <ServiceFacts status={status} />
        </section>
      )}
    </div>
  );
}
