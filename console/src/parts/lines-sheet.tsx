/** The written lines that this NPC can fall back to, by speaker (its own pool, its kind, everybody) and trigger. */
import { useId, useMemo, useState } from 'react';
import { count, words } from '../format.ts';
import { useRead } from '../use-read.ts';
import type { NpcDetail, WrittenLine } from '../wire.ts';
import { HearIt } from './hear-it.tsx';
import { Notice } from './notice.tsx';

interface LinesSheetProps {
  readonly npcId: string;
  readonly name: string;
  readonly counts: NpcDetail['line_counts'];
  readonly stamp: string;
}

/** A table of thousands of rows helps nobody; the search narrows it. */
const ROWS_MAX = 300;

function whenText(when: WrittenLine['when']): string {
  if (!when) return '';
  return typeof when === 'string' ? when : when.join(', ');
}

export function LinesSheet({ npcId, name, counts, stamp }: LinesSheetProps) {
  const speakers = Object.keys(counts);
  const [chosenSpeaker, setSpeaker] = useState<string | null>(null);
  const [chosenTrigger, setTrigger] = useState('');
  const [query, setQuery] = useState('');
  const speakerId = useId();
  const triggerId = useId();
  const searchId = useId();
  // Named NPCs often have few lines of their own; begin where there is something to read.
  const firstFilled = speakers.find((one) => Object.keys(counts[one] ?? {}).length > 0);
  const speaker = chosenSpeaker ?? firstFilled ?? speakers[0] ?? npcId;
  const triggers = Object.entries(counts[speaker] ?? {});
  const trigger = triggers.some(([one]) => one === chosenTrigger) ? chosenTrigger : '';
  const address = `/admin/v1/lines?${new URLSearchParams({ speaker, ...(trigger ? { trigger } : {}) })}`;
  const lines = useRead<{ data: readonly WrittenLine[] }>(speakers.length > 0 ? address : null, stamp);

  const wanted = useMemo(() => {
    const all = lines.data?.data ?? [];
    const needle = query.trim().toLowerCase();
    if (needle === '') return all;
    return all.filter((line) => `${line.id} ${line.text} ${line.mood ?? ''}`.toLowerCase().includes(needle));
  }, [lines.data, query]);
  const shown = useMemo(() => wanted.slice(0, ROWS_MAX), [wanted]);

  if (speakers.length === 0) return <p className="empty">No lines are written for {name} or its kind yet.</p>;
  return (
    <section className="lines" aria-label="Written lines">
      <form className="lines-filter" onSubmit={(event) => event.preventDefault()}>
        <div className="field">
          <label htmlFor={speakerId}>Speaker</label>
          <select id={speakerId} value={speaker} onChange={(event) => setSpeaker(event.target.value)}>
            {speakers.map((one) => (
              <option key={one} value={one}>
                {one} ({Object.values(counts[one] ?? {}).reduce((sum, n) => sum + n, 0)})
              </option>
            ))}
          </select>
        </div>
        <div className="field">
          <label htmlFor={triggerId}>Trigger</label>
          <select id={triggerId} value={trigger} onChange={(event) => setTrigger(event.target.value)}>
            <option value="">all</option>
            {triggers.map(([one, n]) => (
              <option key={one} value={one}>
                {words(one)} ({n})
              </option>
            ))}
          </select>
        </div>
        <div className="field">
          <label htmlFor={searchId}>Search</label>
          <input
            id={searchId}
            type="search"
            value={query}
            onChange={(event) => setQuery(event.target.value)}
          />
        </div>
      </form>
      {lines.trouble && <Notice trouble={lines.trouble} />}
      <HearIt key={`${speaker} ${trigger} ${query}`} name={name} lines={shown} />
      <p className="lines-count" role="status">
        {lines.isLoading
          ? 'Reading…'
          : `${count(wanted.length)} ${wanted.length === 1 ? 'line' : 'lines'}${wanted.length > shown.length ? `, the first ${ROWS_MAX} shown; search to narrow` : ''}`}
      </p>
      {shown.length > 0 && <LinesTable lines={shown} />}
    </section>
  );
}

function LinesTable({ lines }: { lines: readonly WrittenLine[] }) {
  return (
    <table className="lines-table">
      <caption className="unseen">Written lines</caption>
      <thead>
        <tr>
          <th scope="col">Line</th>
          <th scope="col">Trigger</th>
          <th scope="col">When</th>
          <th scope="col">Mood</th>
          <th scope="col">Status</th>
        </tr>
      </thead>
      <tbody>
        {lines.map((line) => (
          <tr key={line.id}>
            <td className="lines-text">
              {line.text}
              <span className="lines-id">{line.id}</span>
            </td>
            <td data-label="Trigger">{words(line.trigger)}</td>
            <td data-label="When">{whenText(line.when)}</td>
            <td data-label="Mood">{line.mood}</td>
            <td data-label="Status">{line.status}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
