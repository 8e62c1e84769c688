/** Adapters and engines as lines for people. */
import type { WireAdapter, WireOperation, WireReplica } from '../api/adapters-wire.ts';
import { printable } from './spoken.ts';

/** Rows under their heads, as wide as they need. Cells come from outside: what would play tricks on a terminal is replaced. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [header, ...rows.map((row) => row.map(printable))];
  const widths = header.map((_title, column) => Math.max(...all.map((row) => (row[column] ?? '').length)));
  return all
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

export function adapterTable(adapters: readonly WireAdapter[]): string {
  return table(
    ['ADAPTER', 'STATE', 'TAGS', 'BASE', 'RANK', 'SIZE', 'RESIDENT ON', 'ADDED'],
    adapters.map((adapter) => {
      const { record, replicas } = adapter;
      const resident = replicas.filter(({ stage }) => stage === 'resident').map(({ engine }) => engine);
      return [
        adapter.id,
        stateOf(adapter),
        adapter.tags.join(','),
        record.base,
        String(record.rank),
        size(record.bytes),
        resident.length > 3 ? `${resident.length} engines` : resident.join(','),
        moment(record.added_at_ms),
      ];
    }),
  );
}

export function adapterLines(adapter: WireAdapter): readonly string[] {
  const { record, tags, replicas, failure } = adapter;
  const fields: readonly (readonly [string, string | null])[] = [
    ['state', stateOf(adapter)],
    ['tags', tags.length === 0 ? null : tags.join(', ')],
    ['base', record.base_digest === null ? record.base : `${record.base} (${record.base_digest})`],
    ['shape', `rank ${record.rank}, alpha ${record.alpha}, ${record.architecture}, ${record.layers} layers`],
    ['modules', record.target_modules.join(', ')],
    ['size', `${size(record.bytes)} as PEFT, ${size(record.gguf_bytes)} as GGUF`],
    ['digest', record.digest],
    ['source', record.source],
    ['licence', record.licence ?? 'not said'],
    ['training', record.training_run],
    ['notes', record.notes],
    ['added', `${moment(record.added_at_ms)} UTC by ${record.added_by}`],
    ['failure', failure],
  ];
  return [
    adapter.id,
    ...fields.flatMap(([name, value]) => (value === null ? [] : [`  ${name.padEnd(8)} ${value}`])),
    ...replicas.map(
      ({ engine, stage, leases, engine_name, reason }) =>
        `  on ${engine}: ${stage}, ${leases} lines now, as ${engine_name}${reason === null ? '' : ` (${reason})`}`,
    ),
  ].map(printable);
}

export function replicaLines(replicas: readonly WireReplica[]): readonly string[] {
  if (replicas.length === 0) return ['No engine that takes adapters answers.'];
  return replicas.flatMap((replica) => {
    const { engine, base, is_up, slots, slots_used, bytes, bytes_max, adapters } = replica;
    const room = `${slots_used}${slots === null ? '' : ` of ${slots}`} slots, ${size(bytes)}${bytes_max === null ? '' : ` of ${size(bytes_max)}`}`;
    const alarm = replica.is_thrashing
      ? `, THRASHING: ${replica.swaps_last_minute} loads a minute push others out`
      : '';
    return [
      printable(`${engine} (${base}): ${is_up ? room : 'does not answer'}${alarm}`),
      ...adapters.map((each) =>
        printable(
          `  ${each.id.padEnd(20)} ${each.stage.padEnd(9)} ${String(each.leases).padStart(3)} lines  ${size(each.bytes).padStart(9)}  ${idleText(each.idle_ms)}${each.is_pinned ? ', pinned' : ''}${each.reason === null ? '' : `  ${each.reason}`}`,
        ),
      ),
    ];
  });
}

export function operationTable(operations: readonly WireOperation[]): string {
  return table(
    ['OPERATION', 'STARTED', 'WHAT', 'ADAPTER', 'OUTCOME', 'DETAIL'],
    operations.map(({ id, kind, adapter, stage, detail, percent, started_at_ms, outcome }) => [
      id,
      moment(started_at_ms),
      kind,
      adapter,
      outcome ?? `${stage}${percent === null ? '' : ` ${percent} %`}`,
      detail,
    ]),
  );
}

function stateOf({ is_published, is_pinned, failure }: WireAdapter): string {
  if (is_published) return is_pinned ? 'published, pinned' : 'published';
  return failure === null ? 'registered' : 'failed';
}

function idleText(idleMs: number | null): string {
  if (idleMs === null) return 'no line yet';
  return `idle ${idleMs < 60_000 ? `${Math.round(idleMs / 1_000)} s` : `${Math.round(idleMs / 60_000)} min`}`;
}

function size(bytes: number): string {
  return bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

function moment(atMs: number): string {
  return new Date(atMs).toISOString().slice(0, 16).replace('T', ' ');
}
