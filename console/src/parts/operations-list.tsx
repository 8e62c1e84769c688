/** Long work on adapters: how far it is while it runs, and one clear sentence when it has ended. */
import { doingText } from '../adapter-actions.ts';
import { words } from '../format.ts';
import { troubleText } from '../trouble.ts';
import type { AdapterOperation } from '../wire-adapters.ts';

interface OperationsListProps {
  readonly operations: readonly AdapterOperation[];
  readonly onDismiss: (id: string) => void;
}

export function OperationsList({ operations, onDismiss }: OperationsListProps) {
  return (
    <ul className="adapter-operations">
      {operations.map((operation) => (
        <Operation key={operation.id} operation={operation} onDismiss={() => onDismiss(operation.id)} />
      ))}
    </ul>
  );
}

const OUTCOMES = {
  succeeded: { tone: 'go', words: 'done' },
  failed: { tone: 'dark', words: 'failed' },
} as const;

function Operation({ operation, onDismiss }: { operation: AdapterOperation; onDismiss: () => void }) {
  const { outcome, failure, detail, percent, stage } = operation;
  const state = outcome === null ? { tone: 'standby', words: words(stage) } : OUTCOMES[outcome];
  return (
    <li className="adapter-operation" data-outcome={outcome ?? 'running'}>
      <div className="job-head">
        <p className="lamp" data-tone={state.tone} role="status">
          <span className="lamp-shape" aria-hidden="true" />
          {doingText(operation)}: {state.words}
        </p>
        {outcome !== null && (
          <button type="button" className="quiet" onClick={onDismiss}>
            Dismiss<span className="unseen"> {doingText(operation)}</span>
          </button>
        )}
      </div>
      {outcome === null && percent !== null && (
        <progress max={100} value={percent} aria-label={`${stage}: percent done`} />
      )}
      {outcome !== 'failed' && <p className="operation-detail">{detail}</p>}
      {failure && (
        <div className="notice" role="alert">
          <p>{failure.message}</p>
          <p className="notice-detail">{troubleText(failure).sentence}</p>
        </div>
      )}
    </li>
  );
}
