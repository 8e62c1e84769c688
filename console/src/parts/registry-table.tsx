/** Adapters by name, the newest version first: what it was made for, how large it is, and how it stands. */

import { Fragment } from 'react';
import { adapterState } from '../adapter-words.ts';
import { bytes, moment } from '../format.ts';
import { nameOf, type Operations } from '../use-operations.ts';
import type { AdapterView } from '../wire-adapters.ts';
import { AdapterDetail } from './adapter-detail.tsx';

const COLUMNS = 7;

interface RegistryTableProps {
  readonly adapters: readonly AdapterView[];
  /** The id of the version that is opened. */
  readonly opened: string | null;
  readonly onOpen: (id: string | null) => void;
  readonly operations: Operations;
  readonly stamp: string;
  readonly onChange: () => void;
}

/** Names in the order they came, each with its versions, the newest first. */
export function byName(
  adapters: readonly AdapterView[],
): readonly (readonly [string, readonly AdapterView[]])[] {
  const names = new Map<string, AdapterView[]>();
  for (const adapter of adapters) {
    const versions = names.get(adapter.record.name);
    if (versions) versions.push(adapter);
    else names.set(adapter.record.name, [adapter]);
  }
  return [...names].map(([name, versions]) => [
    name,
    versions.sort((one, other) => other.record.added_at_ms - one.record.added_at_ms),
  ]);
}

export function RegistryTable(props: RegistryTableProps) {
  const { adapters, opened, onOpen, operations, stamp, onChange } = props;
  return (
    <table className="registry">
      <caption className="unseen">Registered adapters</caption>
      <thead>
        <tr>
          <th scope="col">Version</th>
          <th scope="col">State</th>
          <th scope="col">Base</th>
          <th scope="col" className="figure">
            Rank
          </th>
          <th scope="col" className="figure">
            Size
          </th>
          <th scope="col">Licence</th>
          <th scope="col">Added</th>
        </tr>
      </thead>
      {byName(adapters).map(([name, versions]) => (
        <tbody key={name}>
          {versions.map((adapter) => (
            <Fragment key={adapter.id}>
              <Row
                adapter={adapter}
                isOpen={opened === adapter.id}
                onToggle={() => onOpen(opened === adapter.id ? null : adapter.id)}
              />
              {opened === adapter.id && (
                <tr className="adapter-detail-row">
                  <td colSpan={COLUMNS}>
                    <AdapterDetail
                      adapter={adapter}
                      stamp={stamp}
                      operations={operations.shown.filter((one) => nameOf(one.adapter) === name)}
                      onOperation={operations.follow}
                      onDismiss={operations.dismiss}
                      onChange={onChange}
                    />
                  </td>
                </tr>
              )}
            </Fragment>
          ))}
        </tbody>
      ))}
    </table>
  );
}

interface RowProps {
  readonly adapter: AdapterView;
  readonly isOpen: boolean;
  readonly onToggle: () => void;
}

function Row({ adapter, isOpen, onToggle }: RowProps) {
  const { record } = adapter;
  const state = adapterState(adapter);
  return (
    <tr data-open={isOpen}>
      <th scope="row">
        <button type="button" className="adapter-id" aria-expanded={isOpen} onClick={onToggle}>
          {adapter.id}
        </button>
        {adapter.tags.map((tag) => (
          <span className="badge" data-tag={tag} key={tag}>
            {tag}
          </span>
        ))}
        {adapter.is_pinned && <span className="badge">pinned</span>}
      </th>
      <td>
        <p className="lamp" data-tone={state.tone}>
          <span className="lamp-shape" aria-hidden="true" />
          {state.words}
        </p>
        {adapter.failure && <p className="engine-reason">{adapter.failure}</p>}
      </td>
      <td data-label="base">{record.base}</td>
      <td className="figure" data-label="rank">
        {record.rank}
      </td>
      <td className="figure" data-label="size">
        {bytes(record.bytes)}
      </td>
      <td data-label="licence">{record.licence ?? '–'}</td>
      <td data-label="added">
        {moment(record.added_at_ms)}, {record.added_by}
      </td>
    </tr>
  );
}
