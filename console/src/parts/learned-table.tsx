/** Lines that were learned: what they say, who took them and when; one that was a mistake is retired here. */
import { useState } from 'react';
import type { Trouble } from '../api.ts';
import { moment, words } from '../format.ts';
import type { LearnedLine } from '../wire-lines.ts';
import { Confirmation } from './confirmation.tsx';
import { Notice } from './notice.tsx';

interface LearnedTableProps {
  readonly learned: readonly LearnedLine[];
  readonly busy: ReadonlySet<string>;
  readonly troubles: ReadonlyMap<string, Trouble>;
  readonly onRetire: (id: string) => void;
}

/** A table of thousands of rows helps nobody; the export has all of them. */
const ROWS_MAX = 200;

export function LearnedTable({ learned, busy, troubles, onRetire }: LearnedTableProps) {
  const [asked, ask] = useState<LearnedLine | null>(null);
  const shown = learned.slice(0, ROWS_MAX);
  return (
    <>
      <table className="lines-table learned-table">
        <caption className="unseen">Learned lines</caption>
        <thead>
          <tr>
            <th scope="col">Line</th>
            <th scope="col">Said by</th>
            <th scope="col">Upon</th>
            <th scope="col">Approved</th>
            <th scope="col">
              <span className="unseen">Actions</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {shown.map((line) => (
            <tr key={line.id} data-status={line.status}>
              <td className="lines-text">
                {line.text}
                <span className="lines-id">{line.id}</span>
                {line.original !== line.text && (
                  <span className="learned-note">Heard as “{line.original}”</span>
                )}
                {line.when.length > 0 && (
                  <span className="learned-note">Only if {line.when.join(' and ')}</span>
                )}
                {troubles.has(line.id) && (
                  <span role="alert">
                    <Notice trouble={troubles.get(line.id) as Trouble} />
                  </span>
                )}
              </td>
              <td data-label="Said by">{line.speaker}</td>
              <td data-label="Upon">{words(line.trigger)}</td>
              <td data-label="Approved">
                {line.approved_by}, {moment(line.approved_at_ms)}
                {line.status === 'retired' && line.retired_at_ms !== null && (
                  <span className="learned-note">
                    Retired by {line.retired_by}, {moment(line.retired_at_ms)}
                  </span>
                )}
              </td>
              <td>
                {line.status === 'approved' && (
                  <button
                    type="button"
                    className="quiet"
                    aria-disabled={busy.has(line.id)}
                    aria-label={`Retire ${line.id}`}
                    onClick={() => ask(line)}
                  >
                    Retire
                  </button>
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {shown.length < learned.length && (
        <p className="hint">The last {ROWS_MAX} are shown; the export has all of them.</p>
      )}
      {asked && (
        <Confirmation
          title={`Retire ${asked.id}?`}
          yes="Retire it"
          no="Keep it"
          onYes={() => onRetire(asked.id)}
          onClose={() => ask(null)}
        >
          <p>Players hear “{asked.text}” no more, and it is not offered again.</p>
        </Confirmation>
      )}
    </>
  );
}
