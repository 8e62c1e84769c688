/** The registry as a table to search and walk through, and what may be done with each version. */
import { useId, useState } from 'react';
import { useRegistry } from '../use-registry.ts';
import { Notice } from './notice.tsx';
import { RegistryTable } from './registry-table.tsx';

export function RegistrySection({ stamp }: { stamp: string }) {
  const [query, setQuery] = useState('');
  const registry = useRegistry(query.trim(), stamp);
  const searchId = useId();
  const { adapters } = registry;
  return (
    <section className="part adapters-part" aria-labelledby="registry">
      <h2 id="registry">Registry</h2>
      <div className="wide">
        <div className="registry-search">
          <label htmlFor={searchId}>Search by name</label>
          <input
            id={searchId}
            type="search"
            autoComplete="off"
            placeholder="vampire"
            value={query}
            onChange={(event) => setQuery(event.target.value)}
          />
        </div>
        {registry.trouble && <Notice trouble={registry.trouble} />}
        {adapters && adapters.length > 0 && <RegistryTable adapters={adapters} />}
        {adapters?.length === 0 && query.trim() !== '' && (
          <p className="empty">No adapter by that name. Clear the search to see all of them.</p>
        )}
        {adapters?.length === 0 && query.trim() === '' && <p className="empty">None is registered yet.</p>}
        {!adapters && !registry.trouble && <p className="empty">Reading…</p>}
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
