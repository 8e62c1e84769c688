/** The pool as a file: our own table, Yarn Spinner, or an Unreal string table. */
import { useId, useState } from 'react';
import { Trouble } from '../api.ts';
import { count } from '../format.ts';
import { exportLines } from '../lines-api.ts';
import type { ExportedFile, ExportFormat } from '../wire-lines.ts';
import { Notice } from './notice.tsx';

const FORMATS: readonly { readonly format: ExportFormat; readonly name: string }[] = [
  { format: 'csv', name: 'Table (CSV)' },
  { format: 'yarn', name: 'Yarn Spinner' },
  { format: 'unreal', name: 'Unreal string table' },
];

export function ExportLines() {
  const [scope, setScope] = useState<'learned' | 'all'>('learned');
  const [isBusy, setBusy] = useState(false);
  const [said, setSaid] = useState('');
  const [trouble, setTrouble] = useState<Trouble | null>(null);
  const id = useId();
  const take = (format: ExportFormat): void => {
    if (isBusy) return;
    const ask = async (): Promise<void> => {
      setBusy(true);
      setTrouble(null);
      try {
        const file = await exportLines(format, scope, new AbortController().signal);
        save(file);
        setSaid(`${file.file_name}: ${count(file.count)} ${file.count === 1 ? 'line' : 'lines'}.`);
      } catch (error) {
        setTrouble(Trouble.from(error));
      } finally {
        setBusy(false);
      }
    };
    void ask();
  };
  return (
    <div className="export-lines">
      <div className="field">
        <label htmlFor={id}>Lines</label>
        <select
          id={id}
          value={scope}
          onChange={(event) => setScope(event.target.value === 'all' ? 'all' : 'learned')}
        >
          <option value="learned">learned ones</option>
          <option value="all">all written lines</option>
        </select>
      </div>
      <div className="candidate-acts">
        {FORMATS.map(({ format, name }) => (
          <button type="button" key={format} aria-disabled={isBusy} onClick={() => take(format)}>
            {name}
          </button>
        ))}
      </div>
      <p className="hint" role="status">
        {said}
      </p>
      {trouble && (
        <div role="alert">
          <Notice trouble={trouble} />
        </div>
      )}
    </div>
  );
}

/** A link could not carry the key, so the file comes by a request of ours. */
function save({ file_name, content_type, text }: ExportedFile): void {
  const url = URL.createObjectURL(new Blob([text], { type: content_type }));
  const link = document.createElement('a');
  link.href = url;
  link.download = file_name;
  document.body.append(link);
  link.click();
  link.remove();
  // The browser has it by the next turn.
  setTimeout(() => URL.revokeObjectURL(url), 1_000);
}
