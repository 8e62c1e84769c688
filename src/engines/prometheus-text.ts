/**
 * Reads Prometheus' text format as engines write it (engines.md §3.9, §4.7, §5.8, §7.6, §8): comments, labels with
 * escapes, timestamps, exemplars. Tolerant: a line that is no sample is passed over, because one bad line of a metrics
 * page must not hide that an engine is full.
 */

export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** May be infinite or no number, as the format allows. */
  readonly value: number;
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*/;
const LABEL = /^\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"((?:[^"\\]|\\.)*)"\s*(,|(?=\}))/;
/** All samples of a page, in their order; only those called `name` where it is given. */
export function* prometheusSamples(page: string, name?: string): Generator<Sample> {
  for (const line of page.split('\n')) {
    if (name !== undefined && !line.trimStart().startsWith(name)) continue;
    const sample = readLine(line.trim());
    if (sample !== null && (name === undefined || sample.name === name)) yield sample;
  }
}

/** The sum of one metric over all its series (a server with several engines in it has one each); null: not there. */
export function prometheusSum(page: string, name: string): number | null {
  let sum: number | null = null;
  for (const { value } of prometheusSamples(page, name)) if (Number.isFinite(value)) sum = (sum ?? 0) + value;
  return sum;
}

function readLine(line: string): Sample | null {
  const name = NAME.exec(line)?.[0];
  if (name === undefined) return null;
  const read = readLabels(line.slice(name.length).trimStart());
  if (read === null) return null;
  const value = numberOf(read.rest.trimStart().split(/\s/, 1)[0] ?? '');
  return value === null ? null : { name, labels: read.labels, value };
}

function readLabels(text: string): { readonly labels: Record<string, string>; readonly rest: string } | null {
  const labels: Record<string, string> = {};
  if (!text.startsWith('{')) return { labels, rest: text };
  let rest = text.slice(1);
  while (!rest.trimStart().startsWith('}')) {
    const label = LABEL.exec(rest);
    if (label === null) return null;
    const [whole, key = '', value = ''] = label;
    labels[key] = value.replace(/\\(.)/g, (_, escaped: string) => (escaped === 'n' ? '\n' : escaped));
    rest = rest.slice(whole.length);
  }
  return { labels, rest: rest.trimStart().slice(1) };
}

/** Go's notation of floats, as the format has it; null for what is none. */
function numberOf(raw: string): number | null {
  const special = /^([+-]?)(inf|nan)$/i.exec(raw);
  if (special?.[2]?.toLowerCase() === 'nan') return Number.NaN;
  if (special !== null) return special[1] === '-' ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  const value = raw === '' ? Number.NaN : Number(raw);
  return Number.isNaN(value) ? null : value;
}
