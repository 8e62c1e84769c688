/**
 * The registry, page by page, as far as somebody looked. A search starts anew; a change of `stamp` reads again what is
 * shown, without taking it away meanwhile.
 */
import { useCallback, useEffect, useState } from 'react';
import { read, Trouble } from './api.ts';
import type { AdapterPage, AdapterView } from './wire-adapters.ts';

/** Small enough to come at once, large enough that most registries are one page. */
const PAGE = 100;
const AGAIN_AFTER_MS = 3_000;
/** Somebody who types does not mean every letter. */
const SETTLE_MS = 250;

export interface Registry {
  /** In the order of the gateway; null: not read yet. */
  readonly adapters: readonly AdapterView[] | null;
  readonly hasMore: boolean;
  readonly isLoading: boolean;
  readonly trouble: Trouble | null;
  showMore(): void;
}

interface Held {
  readonly query: string;
  readonly adapters: readonly AdapterView[];
  readonly next: string | null;
}

function address(query: string, after: string | null): string {
  const fields = new URLSearchParams({ limit: String(PAGE) });
  if (query !== '') fields.set('name', query);
  if (after !== null) fields.set('after', after);
  return `/admin/v1/adapters?${fields.toString()}`;
}

export function useRegistry(typed: string, stamp: string): Registry {
  const [query, setQuery] = useState(typed);
  const [held, setHeld] = useState<Held | null>(null);
  const [pages, setPages] = useState(1);
  const [isLoading, setLoading] = useState(true);
  const [trouble, setTrouble] = useState<Trouble | null>(null);

  useEffect(() => {
    const timer = setTimeout(() => {
      setQuery(typed);
      setPages(1);
    }, SETTLE_MS);
    return () => clearTimeout(timer);
  }, [typed]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: the stamp asks for the same pages again
  useEffect(() => {
    const controller = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const load = async (): Promise<void> => {
      setLoading(true);
      try {
        const next = await readPages(query, pages, controller.signal);
        setHeld(next);
        setTrouble(null);
      } catch (error) {
        if (controller.signal.aborted) return;
        const failed = Trouble.from(error);
        setTrouble(failed);
        if (failed.status === 0 || failed.status >= 500)
          timer = setTimeout(() => void load(), AGAIN_AFTER_MS);
      }
      if (!controller.signal.aborted) setLoading(false);
    };
    void load();
    return () => {
      controller.abort();
      clearTimeout(timer);
    };
  }, [query, pages, stamp]);

  const showMore = useCallback(() => setPages((before) => before + 1), []);
  return {
    adapters: held?.adapters ?? null,
    hasMore: held !== null && held.next !== null,
    isLoading,
    trouble,
    showMore,
  };
}

async function readPages(query: string, pages: number, signal: AbortSignal): Promise<Held> {
  const adapters: AdapterView[] = [];
  let next: string | null = null;
  for (let page = 0; page < pages; page++) {
    const answer: AdapterPage = await read<AdapterPage>(address(query, next), signal);
    adapters.push(...answer.data);
    next = answer.next;
    if (next === null) break;
  }
  return { query, adapters, next };
}
