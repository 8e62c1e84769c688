/**
 * Learned lines: what players heard often and well waits here for the designer's word, and what she took stands below
 * with who took it. Everything works from the keyboard: arrows walk the lines, a, e and r decide about the one in focus.
 */
import { useEffect, useId, useRef, useState } from 'react';
import { CandidateList } from '../parts/candidate-list.tsx';
import { ExportLines } from '../parts/export-lines.tsx';
import { LearnedTable } from '../parts/learned-table.tsx';
import { NothingOffered } from '../parts/nothing-offered.tsx';
import { Notice } from '../parts/notice.tsx';
import { useCandidates } from '../use-candidates.ts';
import { useDesigner } from '../use-designer.ts';

interface LinesPageProps {
  readonly stamp: string;
  readonly hasKey: boolean;
}

const NAME_LENGTH_MAX = 120;

export function LinesPage({ stamp, hasKey }: LinesPageProps) {
  const [name, rename] = useDesigner();
  const [edited, edit] = useState<string | null>(null);
  const [isNameMissing, setNameMissing] = useState(false);
  const nameField = useRef<HTMLInputElement>(null);
  const nameId = useId();
  const lines = useCandidates(name, stamp, edited !== null);
  const { offer, learned } = lines;
  const isForbidden = offer.trouble?.code === 'forbidden';
  const mayDecide = hasKey || name.trim() !== '';
  /** Nothing is decided by nobody: the question goes where the answer is typed. */
  const asNamed = (decide: () => void): void => {
    if (mayDecide) {
      decide();
      return;
    }
    setNameMissing(true);
    nameField.current?.focus();
  };
  useEffect(() => {
    if (mayDecide) setNameMissing(false);
  }, [mayDecide]);
  const isEmpty = offer.data?.data.length === 0;
  const wasEmpty = useRef(isEmpty);
  useEffect(() => {
    // The last line left with its buttons; the focus must not be lost with it.
    if (isEmpty && !wasEmpty.current && document.activeElement === document.body)
      document.getElementById('main')?.focus();
    wasEmpty.current = isEmpty;
  }, [isEmpty]);
  return (
    <div className="operations lines-page">
      <header className="lines-head">
        <h1>Lines</h1>
        {!hasKey && !isForbidden && (
          <div className="field lines-name">
            <label htmlFor={nameId}>Your name</label>
            <input
              id={nameId}
              ref={nameField}
              autoComplete="name"
              maxLength={NAME_LENGTH_MAX}
              value={name}
              aria-invalid={isNameMissing}
              aria-describedby={`${nameId} hint`}
              onChange={(event) => rename(event.target.value)}
            />
            <p className="hint" id={`${nameId} hint`} data-tone={isNameMissing ? 'warn' : undefined}>
              {isNameMissing ? 'Say who decides first.' : 'It is kept with what you decide.'}
            </p>
          </div>
        )}
      </header>
      <p className="lines-said" role="status">
        {lines.said}
      </p>
      {isForbidden && (
        <Notice trouble={{ code: 'forbidden', message: 'This key may talk, but not decide about lines.' }} />
      )}
      {!isForbidden && (
        <>
          <section className="part" aria-labelledby="candidates">
            <h2 id="candidates">Waiting for you</h2>
            <div className="wide">
              {offer.trouble && <Notice trouble={offer.trouble} />}
              {!offer.data && !offer.trouble && <p className="empty">Reading…</p>}
              {offer.data && offer.data.data.length > 0 && (
                <CandidateList
                  offer={offer.data}
                  lines={lines}
                  edited={edited}
                  onEdit={edit}
                  asNamed={asNamed}
                />
              )}
              {offer.data && <NothingOffered offer={offer.data} />}
            </div>
          </section>
          <section className="part" aria-labelledby="learned">
            <h2 id="learned">In the pool</h2>
            <div className="wide">
              {learned.trouble && <Notice trouble={learned.trouble} />}
              {learned.data?.data.length === 0 && (
                <p className="empty">
                  Nothing was approved yet. What you approve stands here with your name.
                </p>
              )}
              {learned.data && learned.data.data.length > 0 && (
                <LearnedTable
                  learned={learned.data.data}
                  busy={lines.busy}
                  troubles={lines.troubles}
                  onRetire={(id) => asNamed(() => void lines.retire(id))}
                />
              )}
            </div>
          </section>
          <section className="part" aria-labelledby="export">
            <h2 id="export">Take along</h2>
            <ExportLines />
          </section>
        </>
      )}
    </div>
  );
}
