/**
 * Long work on adapters, whoever began it: looked at often while something runs, seldom else. What was begun here and is
 * forgotten by a gateway that restarted is said to be so.
 */
import { useCallback, useEffect, useRef, useState } from 'react';
import { read, Trouble } from './api.ts';
import type { AdapterOperation } from './wire-adapters.ts';

const RUNNING_EVERY_MS = 500;
const IDLE_EVERY_MS = 3_000;
/** Of others' work only what just ended is news. */
const NEWS_MS = 60_000;

/** `lich` of `lich@7`: what is worked on by one at a time. */
export function nameOf(adapter: string): string {
  return adapter.split('@')[0] ?? adapter;
}

export interface Operations {
  /** The newest first: what runs, what was begun here, and what just ended. */
  readonly shown: readonly AdapterOperation[];
  /** Changes whenever one has ended. */
  readonly stamp: string;
  /** Takes in what was begun here, and looks again at once. */
  follow(operation: AdapterOperation): void;
  dismiss(id: string): void;
}

export function useOperations(generation: number): Operations {
  const [all, setAll] = useState<readonly AdapterOperation[]>([]);
  const [dismissed, setDismissed] = useState<ReadonlySet<string>>(new Set());
  const own = useRef(new Map<string, AdapterOperation>());
  const wake = useRef(() => {});

  // biome-ignore lint/correctness/useExhaustiveDependencies: a new key begins anew
  useEffect(() => {
    const controller = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const look = async (): Promise<void> => {
      clearTimeout(timer);
      if (document.hidden) return;
      let everyMs = IDLE_EVERY_MS;
      try {
        const { data } = await read<{ data: readonly AdapterOperation[] }>(
          '/admin/v1/adapter-operations',
          controller.signal,
        );
        if (controller.signal.aborted) return;
        setAll(withOwn(data, own.current));
        if (data.some(({ outcome }) => outcome === null)) everyMs = RUNNING_EVERY_MS;
      } catch (error) {
        if (controller.signal.aborted) return;
        const { status } = Trouble.from(error);
        if (status >= 400 && status < 500) return;
      }
      clearTimeout(timer);
      timer = setTimeout(() => void look(), everyMs);
    };
    wake.current = () => void look();
    document.addEventListener('visibilitychange', wake.current);
    void look();
    return () => {
      controller.abort();
      clearTimeout(timer);
      document.removeEventListener('visibilitychange', wake.current);
    };
  }, [generation]);

  const follow = useCallback((operation: AdapterOperation): void => {
    own.current.set(operation.id, operation);
    setAll((before) => [operation, ...before.filter(({ id }) => id !== operation.id)]);
    wake.current();
  }, []);
  const dismiss = useCallback((id: string): void => {
    own.current.delete(id);
    setDismissed((before) => new Set([...before, id]));
  }, []);

  const nowMs = Date.now();
  const shown = all.filter(
    ({ id, adapter, ended_at_ms: endedAtMs }, place) =>
      endedAtMs === null ||
      (!dismissed.has(id) &&
        (own.current.has(id) || nowMs - endedAtMs < NEWS_MS) &&
        // What came after it says more.
        all.findIndex((one) => one.adapter === adapter) === place),
  );
  const stamp = all.map(({ id, ended_at_ms: endedAtMs }) => (endedAtMs === null ? '' : id)).join(' ');
  return { shown, stamp, follow, dismiss };
}

/** What the gateway knows, and what was begun here and is not known any more. */
function withOwn(
  told: readonly AdapterOperation[],
  own: Map<string, AdapterOperation>,
): readonly AdapterOperation[] {
  for (const one of told) if (own.has(one.id)) own.set(one.id, one);
  const lost = [...own.values()].filter(({ id }) => !told.some((one) => one.id === id));
  return [...lost.map(ended), ...told];
}

function ended(operation: AdapterOperation): AdapterOperation {
  if (operation.outcome !== null) return operation;
  const message = 'The gateway was started again meanwhile. The table shows what came of it.';
  return {
    ...operation,
    stage: 'failed',
    detail: message,
    ended_at_ms: operation.started_at_ms,
    outcome: 'failed',
    failure: { code: 'forgotten', message },
  };
}
