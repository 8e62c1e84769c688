/** The name under which decisions are kept where the gateway has no keys: remembered by this browser, changed at will. */
import { useCallback, useState } from 'react';

const STORED_AS = 'greenroom.designer';

export function useDesigner(): readonly [name: string, rename: (name: string) => void] {
  const [name, setName] = useState(() => localStorage.getItem(STORED_AS) ?? '');
  const rename = useCallback((next: string): void => {
    setName(next);
    if (next.trim() === '') localStorage.removeItem(STORED_AS);
    else localStorage.setItem(STORED_AS, next);
  }, []);
  return [name, rename];
}
