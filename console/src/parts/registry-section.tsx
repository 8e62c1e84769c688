/** The registry: search it, add to it, open a version and act on it. What is under way stands above the table. */
import { useEffect, useId, useMemo, useRef, useState } from 'react';
import { count } from '../format.ts';
import { nameOf, useOperations } from '../use-operations.ts';
import { useRegistry } from '../use-registry.ts';
import type { AdapterView, ReplicaView } from '../wire-adapters.ts';
import { AddAdapter } from './add-adapter.tsx';
import { Notice } from './notice.tsx';
import { OperationsList } from './operations-list.tsx';
import { RegistryTable } from './registry-table.tsx';

interface RegistrySectionProps {
  readonly engines: readonly ReplicaView[] | null;
  readonly stamp: string;
  readonly keyGeneration: number;
}

export function RegistrySection({ engines, stamp, keyGeneration }: RegistrySectionProps) {
  const [query, setQuery] = useState('');
  const [changes, setChanges] = useState(0);
  const [isAdding, setAdding] = useState(false);
  const [opened, open] = useState<string | null>(null);
  const adding = useRef<HTMLButtonElement>(null);
  const searchId = useId();
  const operations = useOperations(keyGeneration);
  const wholeStamp = `${stamp} ${operations.stamp} ${changes}`;
  const registry = useRegistry(query.trim(), wholeStamp);
  const adapters = useMemo(() => withLive(registry.adapters, engines), [registry.adapters, engines]);
  const bases = [...new Set((engines ?? []).map(({ base }) => base))];
  // Those of the opened version stand where they were begun.
  const isOpenedShown = adapters?.some(({ id }) => id === opened) ?? false;
  const others = operations.shown.filter(
    ({ adapter }) => !isOpenedShown || nameOf(adapter) !== nameOf(opened ?? ''),
  );
  const isSearch = registry.query !== '';
  const wasAdding = useRef(false);
  useEffect(() => {
    // The form left with its buttons; the focus must not be lost with it.
    if (wasAdding.current && !isAdding) adding.current?.focus();
    wasAdding.current = isAdding;
  }, [isAdding]);
  return (
    <section className="part adapters-part" aria-labelledby="registry">
      <h2 id="registry">Registry</h2>
      <div className="wide">
        {others.length > 0 && <OperationsList operations={others} onDismiss={operations.dismiss} />}
        {isAdding && (
          <AddAdapter bases={bases} onOperation={operations.follow} onClose={() => setAdding(false)} />
        )}
        {!isAdding && (
          <div className="registry-head">
            <div className="registry-search">
              <label htmlFor={searchId}>Search</label>
              <input
                id={searchId}
                type="search"
                autoComplete="off"
                placeholder="Name, version, base, licence or notes"
                value={query}
                onChange={(event) => setQuery(event.target.value)}
              />
            </div>
            <button type="button" ref={adding} onClick={() => setAdding(true)}>
              Add an adapter
            </button>
          </div>
        )}
        {registry.trouble && <Notice trouble={registry.trouble} />}
        {adapters && adapters.length > 0 && (
          <RegistryTable
            adapters={adapters}
            opened={opened}
            onOpen={open}
            operations={operations}
            stamp={wholeStamp}
            onChange={() => setChanges((before) => before + 1)}
          />
        )}
        {adapters?.length === 0 && isSearch && (
          <p className="empty">
            None of {count(registry.searched)} adapters matches. Clear the search to see all of them.
          </p>
        )}
        {adapters?.length === 0 && !isSearch && !isAdding && <FirstStep />}
        {!adapters && !registry.trouble && <p className="empty">Reading…</p>}
        {adapters && isSearch && adapters.length > 0 && (
          <p className="hint registry-more" role="status">
            {registry.isLoading
              ? `Searching: ${count(registry.searched)} seen so far…`
              : adapters.length < 200
                ? `${count(adapters.length)} found among ${count(registry.searched)}.`
                : 'These are the first 200. A longer search finds fewer.'}
          </p>
        )}
        {registry.hasMore && (
          <p className="registry-more">
            <button type="button" aria-disabled={registry.isLoading} onClick={registry.showMore}>
              Show more
            </button>
          </p>
        )}
      </div>
    </section>
  );
}

/** Where they lie is told by the engines at every change; the registry only when it is read. */
function withLive(
  adapters: readonly AdapterView[] | null,
  engines: readonly ReplicaView[] | null,
): readonly AdapterView[] | null {
  if (adapters === null || engines === null) return adapters;
  const places = new Map<string, AdapterView['replicas'][number][]>();
  for (const { engine, adapters: held } of engines)
    for (const one of held) places.set(one.id, [...(places.get(one.id) ?? []), { ...one, engine }]);
  return adapters.map((adapter) => ({ ...adapter, replicas: places.get(adapter.id) ?? [] }));
}

function FirstStep() {
  return (
    <div className="first-step">
      <p>
        None is registered yet. An adapter is a small file that makes the base model speak like one of your
        characters: add one from a folder, a file or an address, then publish it.
      </p>
      <p>
        With the button above, or in a terminal:{' '}
        <code>npm run greenroom -- adapters add ./FOLDER --name vampire --version 1</code>
      </p>
    </div>
  );
}
