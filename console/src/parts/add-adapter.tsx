/** What is asked before an adapter is added: where it lies, what it is called, and under which licence it may be used. */
import { type FormEvent, useId, useState } from 'react';
import { addAdapter } from '../adapters-api.ts';
import { Trouble } from '../api.ts';
import type { AdapterOperation } from '../wire-adapters.ts';
import { Notice } from './notice.tsx';

interface AddAdapterProps {
  /** The bases that engines serve. */
  readonly bases: readonly string[];
  readonly onOperation: (operation: AdapterOperation) => void;
  readonly onClose: () => void;
}

const EMPTY = { source: '', name: '', version: '1', base: '', licence: '', notes: '' };
/** As the gateway reads them. */
const NAME = '[a-z0-9][a-z0-9._\\-]{0,63}';
const VERSION = '[A-Za-z0-9][A-Za-z0-9._\\-]{0,31}';

export function AddAdapter({ bases, onOperation, onClose }: AddAdapterProps) {
  const [fields, setFields] = useState(EMPTY);
  const [isSending, setSending] = useState(false);
  const [trouble, setTrouble] = useState<Trouble | null>(null);
  const id = useId();
  const set = (change: Partial<typeof EMPTY>): void => setFields((before) => ({ ...before, ...change }));
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    if (isSending) return;
    setSending(true);
    setTrouble(null);
    const ask = async (): Promise<void> => {
      try {
        const base = fields.base || bases[0];
        const operation = await addAdapter(
          {
            source: fields.source.trim(),
            name: fields.name.trim(),
            version: fields.version.trim(),
            ...(base === undefined ? {} : { base }),
            ...(fields.licence.trim() === '' ? {} : { licence: fields.licence.trim() }),
            ...(fields.notes.trim() === '' ? {} : { notes: fields.notes.trim() }),
          },
          new AbortController().signal,
        );
        onOperation(operation);
        onClose();
      } catch (error) {
        setTrouble(Trouble.from(error));
        setSending(false);
      }
    };
    void ask();
  };
  const field = (name: keyof typeof EMPTY, label: string, more: object = {}) => (
    <div className="field" data-field={name}>
      <label htmlFor={`${id} ${name}`}>{label}</label>
      <input
        id={`${id} ${name}`}
        autoComplete="off"
        value={fields[name]}
        onChange={(event) => set({ [name]: event.target.value })}
        {...more}
      />
    </div>
  );
  return (
    <form className="add-adapter" aria-label="Add an adapter" onSubmit={submit}>
      <p className="hint add-tells">
        The gateway fetches it, refuses what is broken or hostile, checks it against the base, and keeps it.
        Nobody speaks with it before you publish it.
      </p>
      {field('source', "Folder or file on the gateway's machine, or an address (https, hf, s3)", {
        required: true,
        autoFocus: true,
        maxLength: 2_048,
        placeholder: './examples/body-broker/adapters/vampire',
      })}
      {field('name', 'Name', {
        required: true,
        pattern: NAME,
        placeholder: 'vampire',
        title: 'small letters, digits, . _ -',
      })}
      {field('version', 'Version', { required: true, pattern: VERSION, title: 'letters, digits, . _ -' })}
      {bases.length > 1 && (
        <div className="field" data-field="base">
          <label htmlFor={`${id} base`}>Base model</label>
          <select
            id={`${id} base`}
            value={fields.base || bases[0]}
            onChange={(event) => set({ base: event.target.value })}
          >
            {bases.map((base) => (
              <option key={base} value={base}>
                {base}
              </option>
            ))}
          </select>
        </div>
      )}
      {field('licence', 'Licence, if known', { maxLength: 100, placeholder: 'Apache-2.0' })}
      {field('notes', 'Notes', { maxLength: 4_000 })}
      {trouble && (
        <div role="alert" className="add-tells">
          <Notice trouble={trouble} />
        </div>
      )}
      <div className="add-act">
        <button type="submit" className="primary" aria-disabled={isSending}>
          Add it
        </button>
        <button type="button" onClick={onClose}>
          Cancel
        </button>
      </div>
    </form>
  );
}
