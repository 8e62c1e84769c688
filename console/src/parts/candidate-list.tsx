/**
 * The candidates, the best first. Arrow keys walk from line to line; a, e and r are Approve, Edit and Reject of the line
 * that has the focus, and mean nothing while somebody types. After a decision the focus goes on to the next line.
 */
import { useEffect, useRef } from 'react';
import type { Candidates } from '../use-candidates.ts';
import type { Offer } from '../wire-lines.ts';
import { CandidateItem } from './candidate-item.tsx';

interface CandidateListProps {
  readonly offer: Offer;
  readonly lines: Candidates;
  /** The id of the candidate whose form is open. */
  readonly edited: string | null;
  readonly onEdit: (id: string | null) => void;
  /** Runs the decision once it is known who decides. */
  readonly asNamed: (decide: () => void) => void;
}

const KEYS: Readonly<Record<string, string>> = { a: 'approve', e: 'edit', r: 'reject' };

export function CandidateList({ offer, lines, edited, onEdit, asNamed }: CandidateListProps) {
  const list = useRef<HTMLOListElement>(null);
  /** Where the focus was when its line left. */
  const leftAt = useRef<number | null>(null);
  const { data, choices } = offer;

  useEffect(() => {
    const element = list.current;
    if (element === null) return;
    const press = (event: KeyboardEvent): void => {
      const target = event.target instanceof HTMLElement ? event.target : null;
      if (target === null || event.ctrlKey || event.metaKey || event.altKey) return;
      if (target.closest('form') !== null) return;
      const items = [...element.querySelectorAll<HTMLElement>(':scope > li')];
      const at = items.findIndex((item) => item.contains(target));
      if (at < 0) return;
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      const action = KEYS[event.key.toLowerCase()];
      if (step !== undefined) focusOn(items[at + step]);
      else if (action !== undefined)
        items[at]?.querySelector<HTMLElement>(`[data-action="${action}"]`)?.click();
      else return;
      event.preventDefault();
    };
    element.addEventListener('keydown', press);
    return () => element.removeEventListener('keydown', press);
  }, []);

  // biome-ignore lint/correctness/useExhaustiveDependencies: a line left when the data changed
  useEffect(() => {
    if (leftAt.current === null) return;
    const items = list.current?.querySelectorAll<HTMLElement>(':scope > li') ?? [];
    const next = items[Math.min(leftAt.current, items.length - 1)];
    leftAt.current = null;
    // Somebody who went elsewhere meanwhile is left alone.
    if (document.activeElement === document.body || list.current?.contains(document.activeElement))
      focusOn(next);
  }, [data]);

  const decided = async (id: string, decision: Promise<boolean>): Promise<void> => {
    const at = data.findIndex((candidate) => candidate.id === id);
    if (!(await decision)) return;
    leftAt.current = at;
    onEdit(null);
  };
  return (
    <>
      <p className="hint lines-keys">
        On a line: <kbd>a</kbd> approves, <kbd>e</kbd> edits first, <kbd>r</kbd> rejects, <kbd>↑</kbd> and{' '}
        <kbd>↓</kbd> walk.
      </p>
      <ol className="candidates" ref={list}>
        {data.map((candidate) => (
          <CandidateItem
            key={candidate.id}
            candidate={candidate}
            choices={choices}
            isBusy={lines.busy.has(candidate.id)}
            trouble={lines.troubles.get(candidate.id) ?? null}
            isEdited={edited === candidate.id}
            onEdit={(isOpen) => onEdit(isOpen ? candidate.id : null)}
            onApprove={(wish) => asNamed(() => void decided(candidate.id, lines.approve(candidate.id, wish)))}
            onReject={() =>
              asNamed(() => void decided(candidate.id, lines.reject(candidate.id, candidate.text)))
            }
          />
        ))}
      </ol>
    </>
  );
}

function focusOn(item: HTMLElement | undefined): void {
  item?.querySelector<HTMLElement>('[data-action]')?.focus();
}
