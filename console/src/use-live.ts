/**
 * What the service says about itself, asked again and again: often while it starts or is gone, seldom when it is
 * ready, not at all while the page is hidden. What was last known stays, marked by its trouble, until it is known anew.
 */
import { useCallback, useEffect, useRef, useState } from 'react';
import { read, readReadiness, Trouble } from './api.ts';
import type { Readiness, ServiceStatus, SpendingStatus } from './wire.ts';

const STARTING_EVERY_MS = 700;
const READY_EVERY_MS = 2_000;

export interface Live {
  readonly connection: 'unknown' | 'up' | 'lost';
  readonly readiness: Readiness | null;
  /** As it was last told. */
  readonly status: ServiceStatus | null;
  /** Why `status` is missing or no longer of now, e.g. a key without the operator scope. */
  readonly statusTrouble: Trouble | null;
  /** As it was last told. */
  readonly spending: SpendingStatus | null;
  /** Why `spending` is missing, or no longer of now. */
  readonly spendingTrouble: Trouble | null;
}

const NOTHING: Live = {
  connection: 'unknown',
  readiness: null,
  status: null,
  statusTrouble: null,
  spending: null,
  spendingTrouble: null,
};

async function look(signal: AbortSignal): Promise<Live> {
  let readiness: Readiness;
  try {
    readiness = await readReadiness(signal);
  } catch (error) {
    const trouble = Trouble.from(error);
    return { ...NOTHING, connection: 'lost', statusTrouble: trouble, spendingTrouble: trouble };
  }
  const [status, spending] = await Promise.all([
    tried(read<ServiceStatus>('/admin/v1/status', signal)),
    tried(read<SpendingStatus>('/admin/v1/spending', signal)),
  ]);
  return {
    connection: 'up',
    readiness,
    status: status.value,
    statusTrouble: status.trouble,
    spending: spending.value,
    spendingTrouble: spending.trouble,
  };
}

async function tried<T>(
  asked: Promise<T>,
): Promise<{ readonly value: T | null; readonly trouble: Trouble | null }> {
  try {
    return { value: await asked, trouble: null };
  } catch (error) {
    return { value: null, trouble: Trouble.from(error) };
  }
}

/** Looks again at once when `generation` (of the key) changes. The second value takes what a switch answered. */
export function useLive(generation: number): [Live, (spending: SpendingStatus) => void] {
  const [live, setLive] = useState<Live>(NOTHING);
  /** Rises with each switch: what was asked before it must not undo on the page what it did. */
  const switches = useRef(0);

  const tellSpending = useCallback((spending: SpendingStatus): void => {
    switches.current += 1;
    setLive((before) => ({ ...before, spending, spendingTrouble: null }));
  }, []);

  // biome-ignore lint/correctness/useExhaustiveDependencies: a new key must be tried at once
  useEffect(() => {
    const controller = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    // Another key may see other things.
    setLive((before) => ({ ...before, status: null, spending: null }));
    const turn = async (): Promise<void> => {
      if (document.hidden) return;
      const switchesBefore = switches.current;
      const seen = await look(controller.signal);
      if (controller.signal.aborted) return;
      setLive((before) => {
        const isOutrun = switches.current !== switchesBefore;
        return {
          ...seen,
          status: seen.status ?? before.status,
          spending: isOutrun ? before.spending : (seen.spending ?? before.spending),
        };
      });
      timer = setTimeout(() => void turn(), seen.readiness?.ready ? READY_EVERY_MS : STARTING_EVERY_MS);
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
  }, [generation]);
  return [live, tellSpending];
}
