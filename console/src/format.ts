/** Numbers as people read them. Every unit is said. */

export function milliseconds(value: number | null | undefined): string {
  if (value === null || value === undefined) return '–';
  if (value >= 1000) return `${(value / 1000).toFixed(2)} s`;
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
}

/** US dollars; local engines cost nothing, and a line rarely costs a cent, so small sums keep six places. */
export function dollars(value: number): string {
  if (value === 0) return '$0';
  return value < 0.01 ? `$${value.toFixed(6)}` : `$${value.toFixed(2)}`;
}

/** A sum of a ledger in US dollars, whose figures stand below each other: four places. */
export function ledgerDollars(value: number): string {
  return value.toLocaleString('en', {
    style: 'currency',
    currency: 'USD',
    minimumFractionDigits: 4,
    maximumFractionDigits: 4,
  });
}

export function count(value: number): string {
  return value.toLocaleString('en');
}

export function uptime(seconds: number): string {
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

/** A trigger or stage as words: `low_health` reads as "low health". */
export function words(name: string): string {
  return name.replaceAll('_', ' ');
}

/** Bytes in decimal units, as disks and downloads count them. */
export function bytes(value: number): string {
  const step = [
    { unit: 'GB', size: 1e9 },
    { unit: 'MB', size: 1e6 },
    { unit: 'kB', size: 1e3 },
  ].find(({ size }) => value >= size);
  if (!step) return `${value} B`;
  const amount = value / step.size;
  return `${amount < 10 ? amount.toFixed(1) : count(Math.round(amount))} ${step.unit}`;
}

/** A span of time, roughly: `12 s`, `3 min`. */
export function span(ms: number): string {
  return uptime(ms / 1000);
}

/** A day and minute of this person's own time zone. */
export function moment(epochMs: number): string {
  return new Date(epochMs).toLocaleString('en-GB', { dateStyle: 'medium', timeStyle: 'short' });
}
