/** Asks for an API key after a 401. The key stays in this tab. */
import { type FormEvent, useState } from 'react';
import { keyStore } from '../key.ts';

export function KeyForm({ wasRefused }: { wasRefused: boolean }) {
  const [key, setKey] = useState('');
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    if (key.trim()) keyStore.give(key.trim());
  };
  return (
    <form className="key-form" onSubmit={submit}>
      <h1>Stage door</h1>
      {wasRefused ? (
        <p role="alert">The gateway did not accept this key. Check that it is whole and not revoked.</p>
      ) : (
        <p>This gateway asks for an API key.</p>
      )}
      <label htmlFor="key">API key</label>
      <input
        id="key"
        type="password"
        autoComplete="off"
        spellCheck={false}
        value={key}
        onChange={(event) => setKey(event.target.value)}
        aria-describedby="key-hint"
        // biome-ignore lint/a11y/noAutofocus: the form replaces the page, and the key is the only thing to do on it
        autoFocus
      />
      <p id="key-hint" className="hint">
        Create one with <code>greenroom keys create</code>. An operator key also shows the service and the
        cast sheets. It is kept until this tab closes.
      </p>
      <button type="submit" className="primary" disabled={key.trim() === ''}>
        Use this key
      </button>
    </form>
  );
}
