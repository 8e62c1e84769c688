/**
 * The registry as far as somebody looked, in the gateway's order, by name. The gateway knows only whole names, so a search
 * looks through all of it in large pages and shows what it finds on the way. A change of `stamp` reads again what is
 * shown, without taking it away meanwhile.
 */
import { useCallback, useEffect, useState } from 'react';
import { read, Trouble } from './api.ts';
import type { AdapterPage, AdapterView } from './wire-adapters.ts';

/** Small enough to come at once, large enough that most registries are one page. */
const PAGE = 100;
/** The gateway's largest. */
const SEARCH_PAGE = 1_000;
/** Beyond it a search is not precise enough to be read. */
const FOUND_MAX = 200;
const AGAIN_AFTER_MS = 3_000;
/** Somebody who types does not mean every letter. */
const SETTLE_MS = 250;

export interface Registry {
  /** null: not read yet. */
  readonly adapters: readonly AdapterView[] | null;
  /** The search that `adapters` answers. */
  readonly query: string;
  /** How many a search has looked at. */
  readonly searched: number;
  readonly hasMore: boolean;
  readonly isLoading: boolean;
  readonly trouble: Trouble | null;
  showMore(): void;
}

interface Held {
  readonly query: string;
  readonly adapters: readonly AdapterView[];
  readonly searched: number;
  readonly hasMore: boolean;
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

  // biome-ignore lint/correctness/useExhaustiveDependencies: the stamp asks for the same again
  useEffect(() => {
    const controller = new AbortController();
    const { signal } = controller;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const load = async (): Promise<void> => {
      setLoading(true);
      try {
        const reading = query === '' ? readPages(pages, signal) : search(query, signal);
        for await (const next of reading) if (!signal.aborted) setHeld(next);
        setTrouble(null);
      } catch (error) {
        if (signal.aborted) return;
        const failed = Trouble.from(error);
        setTrouble(failed);
        if (failed.status === 0 || failed.status >= 500)
          timer = setTimeout(() => void load(), AGAIN_AFTER_MS);
      }
      if (!signal.aborted) setLoading(false);
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
    query: held?.query ?? '',
    searched: held?.searched ?? 0,
    hasMore: held?.hasMore ?? false,
    isLoading,
    trouble,
    showMore,
  };
}

/** One page of the registry. Throws Trouble. */
export function readPage(limit: number, after: string | null, signal: AbortSignal): Promise<AdapterPage> {
  const fields = new URLSearchParams({ limit: String(limit) });
  if (after !== null) fields.set('after', after);
  return read<AdapterPage>(`/admin/v1/adapters?${fields.toString()}`, signal);
}

/** All of them at once, at the end: a table that shrinks while it is read again would move under the reader. */
async function* readPages(pages: number, signal: AbortSignal): AsyncGenerator<Held> {
  const adapters: AdapterView[] = [];
  let next: string | null = null;
  for (let page = 0; page < pages; page++) {
    const answer: AdapterPage = await readPage(PAGE, next, signal);
    adapters.push(...answer.data);
    next = answer.next;
    if (next === null) break;
  }
  yield { query: '', adapters, searched: 0, hasMore: next !== null };
}

async function* search(query: string, signal: AbortSignal): AsyncGenerator<Held> {
  const wanted = query.toLowerCase().split(/\s+/);
  const found: AdapterView[] = [];
  let searched = 0;
  let next: string | null = null;
  do {
    const answer: AdapterPage = await readPage(SEARCH_PAGE, next, signal);
    searched += answer.data.length;
    found.push(...answer.data.filter((adapter) => matches(adapter, wanted)));
    next = answer.next;
    // Nothing found so far is no answer yet.
    if (found.length > 0 || next === null)
      yield { query, adapters: found.slice(0, FOUND_MAX), searched, hasMore: false };
  } while (next !== null && found.length < FOUND_MAX);
}

function matches({ id, record, tags }: AdapterView, wanted: readonly string[]): boolean {
  const text = [id, record.base, record.licence, record.notes, record.added_by, ...tags]
    .join(' ')
    .toLowerCase();
  return wanted.every((word) => text.includes(word));
}
