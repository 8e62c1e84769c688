/** Whether side panels stand open beside the page. The width is that of frame.css. */
import { useSyncExternalStore } from 'react';

const wide = window.matchMedia('(min-width: 68rem)');

function subscribe(listener: () => void): () => void {
  wide.addEventListener('change', listener);
  return () => wide.removeEventListener('change', listener);
}

export function useIsWide(): boolean {
  return useSyncExternalStore(subscribe, () => wide.matches);
}
