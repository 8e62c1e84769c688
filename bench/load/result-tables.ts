/**
 * Result files as Markdown. It knows no benchmark: rows that carry the same `case` (or none) become one table, columns
 * are the rows' own fields in their order, a field with its `Low` and `High` becomes one cell, and what is absent says so
 * with the command that installs it.
 */

type Row = Readonly<Record<string, string | number | null>>;

export interface ResultFile {
  readonly commit: string;
  readonly machine: {
    readonly cpu: string;
    readonly cores: number;
    readonly memoryGb: number;
    readonly system: string;
    /** Load average of the minute before the run. */
    readonly loadBefore?: number;
  };
  readonly versions: Readonly<Record<string, string>>;
  readonly seed: number;
  readonly quick?: boolean;
  readonly settings?: Readonly<Record<string, unknown>>;
  readonly rows: readonly Row[];
  readonly bars: readonly {
    readonly name: string;
    readonly value: number | null;
    readonly bound: string;
    readonly holds: boolean | null;
    readonly note: string;
  }[];
}

/** The whole of one result: where it was measured, the bars, then the tables. Ends without a line break. */
export function resultAsMarkdown(result: ResultFile): string {
  const { cpu, cores, memoryGb, system } = result.machine;
  const versions = Object.entries(result.versions).map(([name, version]) => `${words(name)} ${version}`);
  const head = [
    `Commit ${result.commit}; ${cpu}, ${cores} cores, ${memoryGb} GB, ${system}; ${versions.join(', ')}; seed ${result.seed}.`,
    ...(result.machine.loadBefore === undefined
      ? []
      : [`Load average before the run: ${result.machine.loadBefore}; a quiet machine shows less than 1.`]),
    ...(result.quick === true ? ['A quick run: few rounds, so the spread says more than the median.'] : []),
  ].join(' ');
  const bars = table(
    ['bar', 'value', 'bound', 'holds', 'note'],
    result.bars.map(({ name, value, bound, holds, note }) => [
      name,
      value === null ? '–' : String(value),
      bound,
      holds === null ? '–' : holds ? 'yes' : '**no**',
      note,
    ]),
  );
  const groups = Map.groupBy(result.rows, (row) => String(row['case'] ?? ''));
  const tables = [...groups].map(
    ([name, rows]) => `${name === '' ? '' : `${capital(name)}:\n\n`}${rowsAsTable(rows)}`,
  );
  return [head, bars, ...tables, ...absences(result.rows)].join('\n\n');
}

/** Fields that are no columns. */
const SAID_BELOW: ReadonlySet<string> = new Set(['case', 'result', 'reason', 'install']);

function rowsAsTable(rows: readonly Row[]): string {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))].filter(
    (field) => !SAID_BELOW.has(field) && !isSpread(field, rows),
  );
  const lines = rows.map((row) => {
    // Where there is no figure, the word for it stands in the first one's place.
    const gap = row['result'] === undefined ? -1 : columns.findIndex((field) => row[field] === undefined);
    return columns.map((field, at) => (at === gap ? String(row['result']) : cell(field, row)));
  });
  return table(columns.map(words), lines);
}

/** Said once for all tables: why something is absent, and the command that would change it. */
function absences(rows: readonly Row[]): string[] {
  const reasons = rows.flatMap(({ gateway, engine, side, reason }) =>
    reason ? [`${String(gateway ?? engine ?? side)} is absent: ${String(reason)}`] : [],
  );
  const installs = rows.flatMap(({ install }) =>
    install ? [`Install what is absent: \`${String(install)}\``] : [],
  );
  return [...new Set([...reasons, ...installs])];
}

/** Whether `field` is the low or high end of another field of these rows. */
function isSpread(field: string, rows: readonly Row[]): boolean {
  const base = field.replace(/(?:Low|High)$/, '');
  return base !== field && rows.some((row) => row[base] !== undefined);
}

function cell(field: string, row: Row): string {
  const value = row[field];
  if (value === undefined || value === null) return '';
  const [low, high] = [row[`${field}Low`], row[`${field}High`]];
  return low === undefined || high === undefined
    ? String(value)
    : `${String(value)} (${String(low)} to ${String(high)})`;
}

const UNITS: readonly (readonly [RegExp, string])[] = [
  [/ per second$/, '/s'],
  [/ ms$/, ' (ms)'],
  [/ ms per request$/, ' per request (ms)'],
];

/** `addedP99Ms` as a heading: `added p99 (ms)`. */
function words(field: string): string {
  let text = field.replace(/([a-z\d])([A-Z])/g, '$1 $2').toLowerCase();
  for (const [pattern, unit] of UNITS) text = text.replace(pattern, unit);
  return text.replace(/\bttf([ts])\b/g, (all) => all.toUpperCase());
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** Columns are padded as the formatter of the tree pads them, so that it has nothing to change. */
function table(heads: readonly string[], lines: readonly (readonly string[])[]): string {
  const cells = [heads, ...lines].map((line) => line.map((text) => text.replaceAll('|', '\\|')));
  const widths = heads.map((_head, at) => Math.max(3, ...cells.map((line) => line[at]?.length ?? 0)));
  const asLine = (line: readonly string[]) =>
    `| ${widths.map((width, at) => (line[at] ?? '').padEnd(width)).join(' | ')} |`;
  const [first = [], ...rest] = cells;
  return [asLine(first), asLine(widths.map((width) => '-'.repeat(width))), ...rest.map(asLine)].join('\n');
}
