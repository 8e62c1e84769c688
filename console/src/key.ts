/**
 * The API key, when the gateway has keys: kept in this tab's session storage, never in the address, forgotten with the
 * tab. `isWanted` is true from the first 401 until a key was given.
 */

const STORED_AS = 'greenroom.key';

export interface KeyState {
  readonly key: string | null;
  readonly isWanted: boolean;
  /** Rises with every change, so that views can load again. */
  readonly generation: number;
}

let state: KeyState = { key: sessionStorage.getItem(STORED_AS), isWanted: false, generation: 0 };
const listeners = new Set<() => void>();

function change(next: Partial<KeyState>): void {
  state = { ...state, ...next };
  for (const listener of listeners) listener();
}

export const keyStore = {
  state: (): KeyState => state,
  subscribe(listener: () => void): () => void {
    listeners.add(listener);
    return () => listeners.delete(listener);
  },
  give(key: string): void {
    sessionStorage.setItem(STORED_AS, key);
    change({ key, isWanted: false, generation: state.generation + 1 });
  },
  forget(): void {
    sessionStorage.removeItem(STORED_AS);
    change({ key: null, isWanted: false, generation: state.generation + 1 });
  },
  /** A 401 came for a request that was sent with `key`; an older key's late refusal says nothing about a newer one. */
  refuse(key: string | null): void {
    if (key === state.key && !state.isWanted) change({ isWanted: true });
  },
};
