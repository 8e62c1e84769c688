/**
 * One GET as state. The last answer stays visible while the next one is on its way, unless the address changed.
 * What may heal by itself (no connection, 5xx) is asked again; a refusal is final until something changes.
 */
import { useEffect, useState } from 'react';
import { read, Trouble } from './api.ts';

const AGAIN_AFTER_MS = 3_000;

export interface Reading<T> {
  readonly data: T | null;
  readonly trouble: Trouble | null;
  readonly isLoading: boolean;
}

/** Reads `path` when it or `stamp` changes; null reads nothing. */
export function useRead<T>(path: string | null, stamp: string): Reading<T> {
  const [held, setHeld] = useState<{ path: string | null; data: T | null; trouble: Trouble | null }>({
    path: null,
    data: null,
    trouble: null,
  });
  // biome-ignore lint/correctness/useExhaustiveDependencies: the stamp asks for the same address again
  useEffect(() => {
    if (path === null) return;
    const controller = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const load = async (): Promise<void> => {
      try {
        const data = await read<T>(path, controller.signal);
        if (!controller.signal.aborted) setHeld({ path, data, trouble: null });
      } catch (error) {
        if (controller.signal.aborted) return;
        const trouble = Trouble.from(error);
        setHeld((before) => ({ path, data: before.path === path ? before.data : null, trouble }));
        if (trouble.status === 0 || trouble.status >= 500)
          timer = setTimeout(() => void load(), AGAIN_AFTER_MS);
      }
    };
    void load();
    return () => {
      controller.abort();
      clearTimeout(timer);
    };
  }, [path, stamp]);
  if (held.path !== path) return { data: null, trouble: null, isLoading: path !== null };
  return { data: held.data, trouble: held.trouble, isLoading: false };
}
