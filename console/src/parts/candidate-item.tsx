/** One candidate: the line, how it was heard and where, and what may be done with it. */
import { useEffect, useRef } from 'react';
import type { Trouble } from '../api.ts';
import { count, moment, words } from '../format.ts';
import type { Candidate, LineChoices, LineWish } from '../wire-lines.ts';
import { LineForm } from './line-form.tsx';
import { Notice } from './notice.tsx';

interface CandidateItemProps {
  readonly candidate: Candidate;
  readonly choices: LineChoices;
  readonly isBusy: boolean;
  readonly trouble: Trouble | null;
  readonly isEdited: boolean;
  readonly onEdit: (isOpen: boolean) => void;
  readonly onApprove: (wish: Partial<LineWish>) => void;
  readonly onReject: () => void;
}

export function CandidateItem(props: CandidateItemProps) {
  const { candidate, choices, isBusy, trouble, isEdited, onEdit, onApprove, onReject } = props;
  const editing = useRef<HTMLButtonElement>(null);
  const wasEdited = useRef(isEdited);
  useEffect(() => {
    // The form left with its buttons; the focus must not be lost with it.
    if (wasEdited.current && !isEdited && document.activeElement === document.body) editing.current?.focus();
    wasEdited.current = isEdited;
  }, [isEdited]);
  const { text, trigger, speaker, variants } = candidate;
  // An answer was said upon words of a player: nobody but the designer knows when else it fits.
  const approve = (): void => (trigger === null ? onEdit(true) : onApprove({}));
  return (
    <li className="candidate" aria-label={text} aria-busy={isBusy}>
      <p className="candidate-text">{text}</p>
      <p className="candidate-who">
        <span className="mark">{speaker}</span>
        {trigger === null ? 'answer to a player' : `on ${words(trigger)}`}
      </p>
      <dl className="candidate-facts">
        <div>
          <dt>Heard</dt>
          <dd>{count(candidate.heard)} times</dd>
        </div>
        <div>
          <dt>Players</dt>
          <dd>{count(candidate.players)}</dd>
        </div>
        <div>
          <dt>Cut off</dt>
          <dd>{percent(candidate.interrupted_share)}</dd>
        </div>
        <div>
          <dt>From the cache</dt>
          <dd>{count(candidate.cached)}</dd>
        </div>
        {Object.keys(candidate.npcs).length > 1 && (
          <div>
            <dt>Said by</dt>
            <dd>{tally(candidate.npcs)}</dd>
          </div>
        )}
        {Object.keys(candidate.places).length > 0 && (
          <div>
            <dt>Where</dt>
            <dd>{tally(candidate.places)}</dd>
          </div>
        )}
        <div>
          <dt>Last</dt>
          <dd>{moment(candidate.last_heard_at_ms)}</dd>
        </div>
        {candidate.voice !== '' && (
          <div>
            <dt>Voice</dt>
            <dd>{candidate.voice}</dd>
          </div>
        )}
      </dl>
      {variants.length > 0 && (
        <p className="hint">
          Also heard, and decided with it: {variants.map((variant) => `“${variant}”`).join(', ')}
        </p>
      )}
      {trouble && (
        <div role="alert">
          <Notice trouble={trouble} />
        </div>
      )}
      {isEdited ? (
        <LineForm
          candidate={candidate}
          choices={choices}
          isBusy={isBusy}
          onApprove={onApprove}
          onClose={() => onEdit(false)}
        />
      ) : (
        <div className="candidate-acts">
          <button
            type="button"
            className="primary"
            data-action="approve"
            aria-disabled={isBusy}
            onClick={approve}
          >
            {trigger === null ? 'Approve as…' : 'Approve'}
          </button>
          <button
            type="button"
            data-action="edit"
            ref={editing}
            aria-disabled={isBusy}
            onClick={() => onEdit(true)}
          >
            Edit
          </button>
          <button type="button" data-action="reject" aria-disabled={isBusy} onClick={onReject}>
            Reject
          </button>
        </div>
      )}
    </li>
  );
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

/** The most frequent first: `salon 8, crypt 2`. */
function tally(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .sort(([, one], [, other]) => other - one)
    .map(([name, times]) => `${words(name)} ${count(times)}`)
    .join(', ');
}
