/** One row an engine: whether it takes lines, in words and in a shape, and what happens next if it does not. */
import { engineState } from '../engine-state.ts';
import type { EngineStatus } from '../wire.ts';
import type { ReplicaView } from '../wire-adapters.ts';

interface EnginesTableProps {
  readonly engines: readonly EngineStatus[];
  /** What lies on those that take adapters. */
  readonly replicas: readonly ReplicaView[];
}

export function EnginesTable({ engines, replicas }: EnginesTableProps) {
  return (
    <table className="engines">
      <caption className="unseen">Engines</caption>
      <thead>
        <tr>
          <th scope="col">Engine</th>
          <th scope="col">State</th>
          <th scope="col" className="figure">
            Running
          </th>
          <th scope="col" className="figure">
            Waiting
          </th>
          <th scope="col" className="figure">
            Restarts
          </th>
        </tr>
      </thead>
      <tbody>
        {engines.map((engine) => (
          <EngineRow
            key={engine.name}
            engine={engine}
            replica={replicas.find((one) => one.engine === engine.name) ?? null}
          />
        ))}
      </tbody>
    </table>
  );
}

function EngineRow({ engine, replica }: { engine: EngineStatus; replica: ReplicaView | null }) {
  const { tone, next } = engineState(engine);
  return (
    <tr data-tone={tone}>
      <th scope="row">
        <span className="engine-name">{engine.name}</span>
        <span className="engine-model">{modelText(engine)}</span>
        <span className="engine-model">{processText(engine)}</span>
        {replica && (
          <a className="engine-adapters" href="#/adapters">
            {adaptersText(replica)}
          </a>
        )}
      </th>
      <td className="engine-state">
        <EngineLamp engine={engine} />
        {next && <p className="hint">{next}</p>}
        {engine.reason && engine.reason !== engine.stage && tone !== 'go' && (
          <p className="engine-reason">{engine.reason}</p>
        )}
      </td>
      <td className="figure" data-label="running">
        {engine.running ?? 0}
      </td>
      <td className="figure" data-label="waiting">
        {engine.waiting ?? 0}
      </td>
      <td className="figure" data-label="restarts" data-tone={engine.restarts ? 'warn' : undefined}>
        {engine.restarts ?? 0}
      </td>
    </tr>
  );
}

/** The state as a shape and words: full, half or empty, so that no colour needs to be told apart. */
export function EngineLamp({ engine }: { engine: EngineStatus }) {
  const { tone, words: said } = engineState(engine);
  return (
    <p className="lamp" data-tone={tone}>
      <span className="lamp-shape" aria-hidden="true" />
      {said}
    </p>
  );
}

function modelText({ model, model_version: version }: EngineStatus): string {
  if (!model) return version ?? '';
  // A version often repeats the model: `llama-3.1-8b@2026-05`.
  if (!version || version === model) return model;
  return version.startsWith(model) ? version : `${model} @ ${version}`;
}

/** More are seen where the link leads. */
const ADAPTERS_NAMED_MAX = 4;

function adaptersText({ adapters }: ReplicaView): string {
  const resident = adapters.filter(({ stage }) => stage === 'resident').map(({ id }) => id);
  if (resident.length === 0) return 'no adapter resident';
  const more = resident.length - ADAPTERS_NAMED_MAX;
  return `adapters: ${resident.slice(0, ADAPTERS_NAMED_MAX).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}

function processText({ kind, version, pid }: EngineStatus): string {
  const isVersionKnown = version && version !== 'unknown';
  const program = [kind, isVersionKnown && version].filter(Boolean).join(' ');
  return [program, typeof pid === 'number' && `process ${pid}`].filter(Boolean).join(', ');
}
