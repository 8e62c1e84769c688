/** The service at a glance, beside every page: the stages of its start, each engine in a word, the process. */
import { count, ledgerDollars, milliseconds, uptime, words } from '../format.ts';
import { useIsWide } from '../use-is-wide.ts';
import type { Live } from '../use-live.ts';
import type { EngineStatus, Readiness, ServiceStatus } from '../wire.ts';
import { EngineLamp } from './engines-table.tsx';
import { Notice } from './notice.tsx';

const STAGES = ['fetching', 'loading', 'warming', 'ready'];

export function ServicePanel({ live }: { live: Live }) {
  const isWide = useIsWide();
  const { readiness, status, statusTrouble, spending } = live;
  return (
    <aside className="service" aria-label="Service">
      {readiness && !readiness.ready && <Stages readiness={readiness} />}
      <details open={isWide}>
        <summary>
          <h2>Service</h2>
        </summary>
        {live.connection === 'unknown' && <p className="empty">Asking the gateway…</p>}
        {live.connection === 'lost' && <p className="empty">No answer. Trying again.</p>}
        {status?.engines?.map((engine) => (
          <Engine key={engine.name} engine={engine} />
        ))}
        {status && <ServiceFacts status={status} />}
        {spending?.day && (
          <dl className="facts">
            <dt>Spent today</dt>
            <dd>{ledgerDollars(spending.day.spent_usd)}</dd>
          </dl>
        )}
        {status && (
          <p>
            <a href="#/service">Engines and spending</a>
          </p>
        )}
        {live.connection === 'up' && statusTrouble && (
          <Notice
            trouble={
              statusTrouble.code === 'forbidden'
                ? { code: 'forbidden', message: 'This key may talk, but not see the service.' }
                : statusTrouble
            }
          />
        )}
      </details>
    </aside>
  );
}

export function ServiceFacts({ status }: { status: ServiceStatus }) {
  return (
    <dl className="facts">
      {status.dialogues && (
        <>
          <dt>Dialogues now</dt>
          <dd>{count(status.dialogues.active)}</dd>
        </>
      )}
      {status.store && (
        <>
          <dt>Store</dt>
          <dd data-tone={status.store.healthy ? undefined : 'bad'} title={status.store.failure ?? undefined}>
            {status.store.kind}
            {status.store.healthy ? '' : `: ${status.store.failure ?? 'does not answer'}`}
          </dd>
        </>
      )}
      <dt>
        <abbr title="99th percentile of how late the gateway's event loop runs">Event loop p99</abbr>
      </dt>
      <dd>{milliseconds(status.event_loop_delay_ms_p99)}</dd>
      {status.uptime_s !== undefined && (
        <>
          <dt>Up</dt>
          <dd>{uptime(status.uptime_s)}</dd>
        </>
      )}
      {status.version && (
        <>
          <dt>Version</dt>
          <dd>{status.version}</dd>
        </>
      )}
    </dl>
  );
}

export function Stages({ readiness }: { readiness: Readiness }) {
  const at = STAGES.indexOf(readiness.stage);
  const { percent } = readiness;
  return (
    <div className="stages">
      {at >= 0 ? (
        <ol>
          {STAGES.map((stage, index) => (
            <li
              className="stage"
              key={stage}
              aria-current={index === at ? 'step' : undefined}
              data-state={index < at ? 'past' : index === at ? 'now' : 'next'}
            >
              {stage}
              {index === at && typeof percent === 'number' && (
                <span className="stage-percent"> {Math.floor(percent)} %</span>
              )}
            </li>
          ))}
        </ol>
      ) : (
        <p className="stage-other">{words(readiness.stage)}</p>
      )}
      {typeof percent === 'number' && (
        <progress max={100} value={percent} aria-label={`${readiness.stage}: percent done`} />
      )}
      {readiness.detail && <p className="stage-detail">{readiness.detail}</p>}
    </div>
  );
}

function Engine({ engine }: { engine: EngineStatus }) {
  return (
    <section className="engine">
      <h3>{engine.name}</h3>
      <EngineLamp engine={engine} />
      {engine.model && <p className="engine-model">{engine.model}</p>}
      <p className="engine-load">
        {engine.running ?? 0} running, {engine.waiting ?? 0} waiting
        {engine.restarts ? (
          <span data-tone="warn">
            , {engine.restarts} {engine.restarts === 1 ? 'restart' : 'restarts'}
          </span>
        ) : null}
      </p>
    </section>
  );
}
