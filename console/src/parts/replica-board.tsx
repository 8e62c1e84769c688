/**
 * One row an engine, its slots drawn as places: what lies in each, in which stage, and who speaks with it now. Free
 * places are drawn too, so that a full engine is seen to be full.
 */
import { useEffect, useState } from 'react';
import { stageWords } from '../adapter-words.ts';
import { bytes, count, span } from '../format.ts';
import type { ReplicaView, Residency } from '../wire-adapters.ts';

const TICK_MS = 1_000;
/** More free places than this are a number. */
const FREE_DRAWN_MAX = 40;

interface ReplicaBoardProps {
  readonly engines: readonly ReplicaView[];
  /** When they were told, on this page's clock. */
  readonly toldMonoMs: number;
  /** Whether that is no longer of now: then nothing ages. */
  readonly isStale: boolean;
}

export function ReplicaBoard({ engines, toldMonoMs, isStale }: ReplicaBoardProps) {
  const sinceMs = useSince(toldMonoMs, isStale);
  return (
    <ul className="replicas" data-stale={isStale}>
      {engines.map((engine) => (
        <Engine key={engine.engine} engine={engine} sinceMs={sinceMs} />
      ))}
    </ul>
  );
}

/** Milliseconds since `monoMs`, told each second. */
function useSince(monoMs: number, isStopped: boolean): number {
  const [now, setNow] = useState(() => performance.now());
  useEffect(() => {
    if (isStopped) return;
    const timer = setInterval(() => setNow(performance.now()), TICK_MS);
    return () => clearInterval(timer);
  }, [isStopped]);
  return Math.max(0, now - monoMs);
}

function Engine({ engine, sinceMs }: { engine: ReplicaView; sinceMs: number }) {
  const { slots, slots_used: used, adapters } = engine;
  // What somebody else loaded takes places too.
  const foreign = Math.max(0, used - adapters.length);
  const free = slots === null ? 0 : Math.max(0, slots - Math.max(used, adapters.length));
  const lines = adapters.reduce((sum, { leases }) => sum + leases, 0);
  return (
    <li className="replica" aria-label={engine.engine}>
      <div className="replica-head">
        <h3>{engine.engine}</h3>
        <p className="lamp" data-tone={engine.is_up ? 'go' : 'dark'}>
          <span className="lamp-shape" aria-hidden="true" />
          {engine.is_up ? 'up' : 'down'}
        </p>
        <p className="replica-base">{engine.base}</p>
        <p className="replica-figures">
          {slots === null
            ? `${count(used)} loaded, no fixed number of places`
            : `${count(used)} of ${count(slots)} places`}
          {lines > 0 && `, ${lines} ${lines === 1 ? 'line' : 'lines'} speaking`}
          {engine.bytes_max === null && engine.bytes > 0 && `, ${bytes(engine.bytes)}`}
        </p>
      </div>
      {engine.is_thrashing && (
        <p className="replica-alarm" role="alert">
          <strong>Thrashing:</strong> {count(engine.swaps_last_minute)} adapters pushed another one out in the
          last minute. Lines wait for loads. Give this engine more places, add a replica, or pin what is
          spoken most.
        </p>
      )}
      {engine.bytes_max !== null && <MemoryBar engine={engine} bytesMax={engine.bytes_max} />}
      <ul className="places" aria-label={`Places of ${engine.engine}`}>
        {adapters.map((adapter) => (
          <Place key={adapter.engine_name} adapter={adapter} sinceMs={sinceMs} />
        ))}
        {foreign > 0 && <li className="place place-foreign">{count(foreign)} loaded by somebody else</li>}
        {free > 0 && (
          <li className="places-free">
            {Array.from({ length: Math.min(free, FREE_DRAWN_MAX) }, (_, place) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: free places have no identity
              <span className="place-free" key={place} aria-hidden="true" />
            ))}
            {count(free)} free
          </li>
        )}
        {slots === null && adapters.length === 0 && <li className="places-free">none loaded</li>}
      </ul>
    </li>
  );
}

function MemoryBar({ engine, bytesMax }: { engine: ReplicaView; bytesMax: number }) {
  return (
    <p className="replica-memory">
      <meter
        className="share"
        min={0}
        max={bytesMax}
        value={Math.min(engine.bytes, bytesMax)}
        aria-label={`Memory for adapters on ${engine.engine}`}
      />{' '}
      {bytes(engine.bytes)} of {bytes(bytesMax)}
    </p>
  );
}

function Place({ adapter, sinceMs }: { adapter: Residency; sinceMs: number }) {
  const stage = stageWords(adapter.stage);
  const isBusy = adapter.leases > 0;
  const use = useText(adapter, sinceMs);
  return (
    <li
      className="place"
      data-stage={adapter.stage}
      data-busy={isBusy}
      title={adapter.reason ?? adapter.engine_name}
    >
      <span className="place-name">
        {adapter.id}
        {adapter.is_pinned && <span className="badge">pinned</span>}
      </span>
      <span className="lamp place-stage" data-tone={stage.tone}>
        <span className="lamp-shape" aria-hidden="true" />
        <span>
          {/* The full lamp says it; its use is the news. */}
          <span className={use === null ? undefined : 'unseen'}>
            {stage.words}
            {use !== null && ', '}
            {adapter.stage !== 'resident' && isBusy && `, ${linesText(adapter.leases)}`}
          </span>
          {use}
        </span>
      </span>
      {adapter.reason && adapter.stage !== 'resident' && (
        <span className="place-reason">{adapter.reason}</span>
      )}
    </li>
  );
}

/** What a resident one does, and whoever else still speaks; null: its stage says all. */
function useText({ stage, leases, idle_ms: idleMs }: Residency, sinceMs: number): string | null {
  if (stage !== 'resident') return null;
  if (leases > 0) return linesText(leases);
  return idleMs === null ? 'not spoken yet' : `idle ${span(idleMs + sinceMs)}`;
}

function linesText(leases: number): string {
  return `${count(leases)} ${leases === 1 ? 'line' : 'lines'} now`;
}
