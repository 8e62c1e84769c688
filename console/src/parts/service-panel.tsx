/** The service as it is now: the stages of its start, each engine's queue, and the health of the process. */
import { count, milliseconds, uptime, words } from '../format.ts';
import { useIsWide } from '../use-is-wide.ts';
import type { Live } from '../use-live.ts';
import type { EngineStatus, Readiness } from '../wire.ts';
import { Notice } from './notice.tsx';

const STAGES = ['fetching', 'loading', 'warming', 'ready'];

export function ServicePanel({ live }: { live: Live }) {
  const isWide = useIsWide();
  const { readiness, status, statusTrouble } = live;
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
        {status && (
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
                <dd data-tone={status.store.healthy ? undefined : 'bad'}>
                  {status.store.kind}
                  {status.store.healthy ? '' : ', unreachable'}
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

function Stages({ readiness }: { readiness: Readiness }) {
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
      <h3>
        {engine.name} {engine.stage && <span className="engine-stage">{words(engine.stage)}</span>}
      </h3>
      {engine.model && <p className="engine-model">{engine.model}</p>}
      <dl className="counts">
        <div>
          <dt>running</dt>
          <dd>{engine.running ?? 0}</dd>
        </div>
        <div>
          <dt>waiting</dt>
          <dd>{engine.waiting ?? 0}</dd>
        </div>
        <div>
          <dt>restarts</dt>
          <dd data-tone={engine.restarts ? 'warn' : undefined}>{engine.restarts ?? 0}</dd>
        </div>
      </dl>
      {engine.reason && <p className="engine-reason">{engine.reason}</p>}
    </section>
  );
}
