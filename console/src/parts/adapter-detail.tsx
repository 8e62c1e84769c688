/** One version opened: all that is registered of it, where it lies, and what may be done, each with what will happen. */
import { useRef, useState } from 'react';
import { type AdapterAction, actionsFor, doneText } from '../adapter-actions.ts';
import { stageWords } from '../adapter-words.ts';
import { actOn } from '../adapters-api.ts';
import { Trouble } from '../api.ts';
import { bytes, milliseconds } from '../format.ts';
import { useRead } from '../use-read.ts';
import type { AdapterOperation, AdapterPage, AdapterView } from '../wire-adapters.ts';
import { Confirmation } from './confirmation.tsx';
import { Notice } from './notice.tsx';
import { OperationsList } from './operations-list.tsx';

interface AdapterDetailProps {
  readonly adapter: AdapterView;
  readonly stamp: string;
  /** What is under way with its name, or just ended; while one runs, nothing else may begin. */
  readonly operations: readonly AdapterOperation[];
  readonly onOperation: (operation: AdapterOperation) => void;
  readonly onDismiss: (id: string) => void;
  /** Something was done at once. */
  readonly onChange: () => void;
}

export function AdapterDetail(props: AdapterDetailProps) {
  const { adapter, stamp, operations, onOperation, onChange } = props;
  const isBusy = operations.some(({ outcome }) => outcome === null);
  const [asked, setAsked] = useState<AdapterAction | null>(null);
  const [trouble, setTrouble] = useState<Trouble | null>(null);
  const [done, setDone] = useState<string | null>(null);
  const root = useRef<HTMLDivElement>(null);
  // The table may hold only some of its versions.
  const { name } = adapter.record;
  const versions = useRead<AdapterPage>(
    `/admin/v1/adapters?name=${encodeURIComponent(name)}&limit=1000`,
    stamp,
  );
  const stable = versions.data?.data.find(({ tags }) => tags.includes('stable')) ?? null;
  const actions = actionsFor(adapter, stable);

  const act = (action: AdapterAction): void => {
    setTrouble(null);
    setDone(null);
    const ask = async (): Promise<void> => {
      try {
        // Leaving the page must not leave it half asked: nothing aborts it but its own time.
        const operation = await actOn(adapter.id, action, new AbortController().signal);
        if (operation) onOperation(operation);
        else setDone(doneText(action.verb, adapter.id));
        onChange();
      } catch (error) {
        setTrouble(Trouble.from(error));
      }
      // The button may leave with what it did; the focus must not be lost with it.
      root.current?.focus({ preventScroll: true });
    };
    void ask();
  };
  return (
    <div className="adapter-detail">
      <div>
        <Facts adapter={adapter} />
        <Whereabouts adapter={adapter} />
      </div>
      <div className="adapter-actions" ref={root} tabIndex={-1}>
        {trouble && (
          <div role="alert">
            <Notice trouble={trouble} />
          </div>
        )}
        {done && (
          <p className="adapter-done" role="status">
            {done}
          </p>
        )}
        {operations.length > 0 && <OperationsList operations={operations} onDismiss={props.onDismiss} />}
        <ul>
          {actions.map((action) => (
            <li key={action.key}>
              <button
                type="button"
                className={action.verb === 'remove' || action.verb === 'unload' ? 'danger' : undefined}
                aria-disabled={isBusy}
                aria-describedby={`${adapter.id} ${action.key}`}
                onClick={() => {
                  if (isBusy) return;
                  if (action.warning === null) act(action);
                  else setAsked(action);
                }}
              >
                {action.label}
              </button>
              <p className="hint" id={`${adapter.id} ${action.key}`}>
                {action.tells}
              </p>
            </li>
          ))}
        </ul>
      </div>
      {asked && (
        <Confirmation
          title={`${asked.label}?`}
          yes={asked.label}
          no="Leave it as it is"
          isHarmful={asked.verb !== 'swap'}
          onYes={() => act(asked)}
          onClose={() => setAsked(null)}
        >
          <p>{asked.warning}</p>
          <p>{asked.tells}</p>
        </Confirmation>
      )}
    </div>
  );
}

function Facts({ adapter: { record, failure } }: { adapter: AdapterView }) {
  const facts: readonly (readonly [string, string | number | null | undefined])[] = [
    ['last failure', failure],
    ['notes', record.notes],
    ['from', record.source],
    ['training', record.training_run],
    [
      'base',
      [record.base, record.architecture, record.layers && `${record.layers} layers`]
        .filter(Boolean)
        .join(', '),
    ],
    ['rank', record.alpha === undefined ? record.rank : `${record.rank}, alpha ${record.alpha}`],
    ['changes', record.target_modules?.join(', ')],
    [
      'size',
      record.gguf_bytes === undefined
        ? bytes(record.bytes)
        : `${bytes(record.bytes)}, GGUF ${bytes(record.gguf_bytes)}`,
    ],
    ['digest', record.digest],
  ];
  return (
    <dl className="adapter-facts">
      {facts
        .filter(([, value]) => value !== null && value !== undefined && value !== '')
        .map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
    </dl>
  );
}

function Whereabouts({ adapter: { replicas } }: { adapter: AdapterView }) {
  if (replicas.length === 0) return null;
  return (
    <ul className="adapter-where">
      {replicas.map((one) => {
        const stage = stageWords(one.stage);
        return (
          <li key={one.engine}>
            <span className="lamp" data-tone={stage.tone}>
              <span className="lamp-shape" aria-hidden="true" />
              {[
                `${stage.words} on ${one.engine}`,
                one.load_ms !== null && `loaded in ${milliseconds(one.load_ms)}`,
                one.verify_ms !== null && `verified in ${milliseconds(one.verify_ms)}`,
              ]
                .filter(Boolean)
                .join(', ')}
            </span>
            {one.reason && <span className="place-reason">{one.reason}</span>}
          </li>
        );
      })}
    </ul>
  );
}
