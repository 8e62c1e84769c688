/**
 * The dialogue cache, asked every few seconds while the page is seen, and forgetting what somebody said. What was last
 * known stays on the page, marked by its trouble, until it is known anew.
 */
import { useEffect, useRef, useState } from 'react';
import { read, send, Trouble } from './api.ts';
import type { Forgotten, RecallStatus } from './wire-recall.ts';

const AGAIN_AFTER_MS = 2_000;

export interface RecallView {
  /** As it was last told. */
  readonly status: RecallStatus | null;
  /** Why `status` is missing or no longer of now. */
  readonly trouble: Trouble | null;
  /** What the last forgetting came to, in a sentence. */
  readonly said: string;
  /** Why the last forgetting failed. */
  readonly forgetTrouble: Trouble | null;
  readonly isForgetting: boolean;
  /** Null: everybody. `name` is for the sentence. */
  forget(npcId: string | null, name: string): void;
}

/** Asks anew at once when `stamp` changes. */
export function useRecall(stamp: string): RecallView {
  const [seen, setSeen] = useState<Pick<RecallView, 'status' | 'trouble'>>({ status: null, trouble: null });
  const [said, setSaid] = useState('');
  const [forgetTrouble, setForgetTrouble] = useState<Trouble | null>(null);
  const [isForgetting, setForgetting] = useState(false);
  const [changes, setChanges] = useState(0);
  const running = useRef(false);

  // biome-ignore lint/correctness/useExhaustiveDependencies: the stamp and what was forgotten ask the same again
  useEffect(() => {
    const controller = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const turn = async (): Promise<void> => {
      if (document.hidden) return;
      try {
        const status = await read<RecallStatus>('/admin/v1/recall', controller.signal);
        if (!controller.signal.aborted) setSeen({ status, trouble: null });
      } catch (error) {
        if (controller.signal.aborted) return;
        setSeen((before) => ({ status: before.status, trouble: Trouble.from(error) }));
      }
      if (!controller.signal.aborted) timer = setTimeout(() => void turn(), AGAIN_AFTER_MS);
    };
    const onVisible = (): void => {
      clearTimeout(timer);
      void turn();
    };
    document.addEventListener('visibilitychange', onVisible);
    void turn();
    return () => {
      controller.abort();
      clearTimeout(timer);
      document.removeEventListener('visibilitychange', onVisible);
    };
  }, [stamp, changes]);

  const forget = async (npcId: string | null, name: string): Promise<void> => {
    if (running.current) return;
    running.current = true;
    setForgetting(true);
    setForgetTrouble(null);
    try {
      const body = npcId === null ? { all: true } : { npc_id: npcId };
      // Leaving the page must not leave it half forgotten: nothing aborts it but its own time.
      const { signal } = new AbortController();
      const { keys } = await send<Forgotten>('POST', '/admin/v1/recall/forget', body, signal);
      setSaid(`Forgotten: what ${name} said to ${keys === 1 ? '1 question' : `${keys} questions`}.`);
    } catch (error) {
      setForgetTrouble(Trouble.from(error));
    } finally {
      running.current = false;
      setForgetting(false);
      setChanges((before) => before + 1);
    }
  };
  return {
    ...seen,
    said,
    forgetTrouble,
    isForgetting,
    forget: (npcId, name) => void forget(npcId, name),
  };
}
