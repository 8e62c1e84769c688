/** The dialogue cache in words: shares, what was saved, and how the shared tier stands. */
import { span } from './format.ts';
import type { RecallStatus } from './wire-recall.ts';

/** Rounded down, so that 100 % means all. */
export function percent(share: number | null): string {
  if (share === null) return '–';
  return share > 0 && share < 0.01 ? '< 1 %' : `${Math.floor(share * 100)} %`;
}

/** Dollars that were not spent: to the cent where there are cents, else as small as they are. */
export function savedDollars(usd: number): string {
  if (usd === 0) return '$0';
  const digits = usd >= 1 ? 2 : 4;
  const text = usd.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });
  return Number(text) === 0 ? '< $0.0001' : `$${text}`;
}

/** Waiting that nobody did. */
export function savedWait(seconds: number): string {
  if (seconds === 0) return '0 s';
  return seconds < 60 ? `${seconds.toFixed(seconds < 10 ? 1 : 0)} s` : span(seconds * 1_000);
}

export function sharedTier({ shared, options }: RecallStatus): { tone: 'go' | 'dark' | 'off'; text: string } {
  if (shared === 'none') return { tone: 'off', text: 'None. This gateway remembers for itself.' };
  if (shared === 'reachable') return { tone: 'go', text: 'Answers. What one gateway hears, all may say.' };
  return {
    tone: 'dark',
    text: `Does not answer. This gateway goes on with its own memory; no line waits more than ${options.shared_wait_ms ?? 2} ms for it.`,
  };
}

/** A time to live as people say it: `1 d`, `6 h`. */
export function lifetime(seconds: number): string {
  if (seconds >= 172_800) return `${Math.round(seconds / 86_400)} days`;
  if (seconds >= 7_200) return `${Math.round(seconds / 3_600)} hours`;
  return seconds >= 120 ? `${Math.round(seconds / 60)} minutes` : `${seconds} seconds`;
}
