/** The one switch for all paid calls: what was asked of it, whether it is under way, and why it failed. */
import { useCallback, useState } from 'react';
import { send, Trouble } from './api.ts';
import type { SpendingStatus } from './wire.ts';

export interface SpendingSwitch {
  readonly isBusy: boolean;
  readonly trouble: Trouble | null;
  /** Asked for while one is under way, it does nothing. */
  turn(off: boolean): void;
}

export function useSpendingSwitch(onAnswer: (spending: SpendingStatus) => void): SpendingSwitch {
  const [isBusy, setBusy] = useState(false);
  const [trouble, setTrouble] = useState<Trouble | null>(null);
  const turn = useCallback(
    (off: boolean): void => {
      if (isBusy) return;
      setBusy(true);
      setTrouble(null);
      const ask = async (): Promise<void> => {
        // Leaving the page must not leave the switch half thrown: nothing aborts it but its own time.
        const { signal } = new AbortController();
        try {
          onAnswer(await send<SpendingStatus>('POST', '/admin/v1/spending', { off }, signal));
        } catch (error) {
          setTrouble(Trouble.from(error));
        } finally {
          setBusy(false);
        }
      };
      void ask();
    },
    [isBusy, onAnswer],
  );
  return { isBusy, trouble, turn };
}
