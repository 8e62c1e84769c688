/**
 * What is offered and what was learned, read again now and then and after every decision; and the decisions themselves,
 * one at a time for each line. A decision that came too late reads the list again, so that it shows what is so.
 */
import { useCallback, useEffect, useRef, useState } from 'react';
import { Trouble } from './api.ts';
import { approveLine, rejectLine, retireLine } from './lines-api.ts';
import { type Reading, useRead } from './use-read.ts';
import type { LearnedLine, LineWish, Offer } from './wire-lines.ts';

/** Players talk all day; a list that moves under the hand is worse than one that is a little old. */
const AGAIN_AFTER_MS = 30_000;

export interface Candidates {
  readonly offer: Reading<Offer>;
  readonly learned: Reading<{ readonly data: readonly LearnedLine[] }>;
  /** Ids of lines that are being decided about. */
  readonly busy: ReadonlySet<string>;
  /** What the last decision came to, in a sentence. */
  readonly said: string;
  /** Why the last decision on a line failed. */
  readonly troubles: ReadonlyMap<string, Trouble>;
  approve(id: string, wish: Partial<LineWish>): Promise<boolean>;
  reject(id: string, text: string): Promise<boolean>;
  retire(id: string): Promise<boolean>;
}

/** `by` names who decides; `isHeld` keeps the list as it is while somebody writes in it. */
export function useCandidates(by: string, stamp: string, isHeld: boolean): Candidates {
  const [changes, setChanges] = useState(0);
  const [busy, setBusy] = useState<ReadonlySet<string>>(new Set());
  const [said, setSaid] = useState('');
  const [troubles, setTroubles] = useState<ReadonlyMap<string, Trouble>>(new Map());
  const running = useRef(new Set<string>());
  const wholeStamp = `${stamp} ${changes}`;
  const offer = useRead<Offer>('/admin/v1/lines/candidates', wholeStamp);
  const learned = useRead<{ data: readonly LearnedLine[] }>('/admin/v1/lines/learned', wholeStamp);

  useEffect(() => {
    if (isHeld) return;
    const timer = setInterval(() => setChanges((before) => before + 1), AGAIN_AFTER_MS);
    return () => clearInterval(timer);
  }, [isHeld]);

  const decide = useCallback(
    async (id: string, ask: (signal: AbortSignal) => Promise<string>): Promise<boolean> => {
      if (running.current.has(id)) return false;
      running.current.add(id);
      setBusy(new Set(running.current));
      setTroubles((before) => new Map([...before].filter(([one]) => one !== id)));
      try {
        // Leaving the page must not leave a decision half made: nothing aborts it but its own time.
        setSaid(await ask(new AbortController().signal));
        setChanges((before) => before + 1);
        return true;
      } catch (error) {
        const trouble = Trouble.from(error);
        setTroubles((before) => new Map([...before, [id, trouble]]));
        if (trouble.code === 'line_decided' || trouble.code === 'unknown_line') {
          setSaid(trouble.message);
          setChanges((before) => before + 1);
        }
        return false;
      } finally {
        running.current.delete(id);
        setBusy(new Set(running.current));
      }
    },
    [],
  );

  return {
    offer,
    learned,
    busy,
    said,
    troubles,
    approve: (id, wish) =>
      decide(id, async (signal) => {
        const line = await approveLine(id, wish, by, signal);
        return `Approved as ${line.id}: “${line.text}” Players hear it from now on.`;
      }),
    reject: (id, text) =>
      decide(id, async (signal) => {
        await rejectLine(id, by, signal);
        return `Rejected: “${text}” It is not offered again.`;
      }),
    retire: (id) =>
      decide(id, async (signal) => {
        const line = await retireLine(id, by, signal);
        return `Retired ${line.id}. Players hear it no more.`;
      }),
  };
}
