/**
 * A written line (npc-domain §9) and the two forms it is kept in: CSV, one line a row, and JSON.
 *
 * CSV columns: id,speaker,trigger,text,when,mood,weight,cooldown_s,once,est_ms,audio,rating,tags,status,source
 * Only id, speaker, trigger and text are needed; the others may be empty, or their column absent. `when` holds
 * conditions joined by `;` (`health<30;weather=rain`), `tags` words joined by `;`. Every problem is reported with
 * its row; the good rows of a bad file are still returned, so that a lint can go on.
 */
import { parse as parseCsv } from 'csv-parse/sync';
import { z } from 'zod';
import { CAUSES, type Cause, TRIGGERS, type Trigger } from '../core/dialogue.ts';
import { type Condition, comparisonCount, parseCondition } from './conditions.ts';
import { type CastProblem, expectation, RATINGS, type Rating } from './persona.ts';

/** What a line answers to: a trigger of the game, or the reason why nothing better was said. */
export type LineTrigger = Trigger | `fallback:${Cause}`;

export const LINE_TRIGGERS: readonly LineTrigger[] = [
  ...TRIGGERS,
  ...CAUSES.map((cause): LineTrigger => `fallback:${cause}`),
];

/** The speaker of the widest pool. */
export const COMMON_SPEAKER = 'common';

export interface WrittenLine {
  /** Stable, readable, never reused: `zombie.spot.012`. */
  readonly id: string;
  /** Persona id, monster type, or `common`. */
  readonly speaker: string;
  readonly trigger: LineTrigger;
  /** What is said. No markup; `{player}` where grammar allows. */
  readonly text: string;
  /** All must hold. */
  readonly when: readonly Condition[];
  /** Comparisons in `when`: the more, the more specific. */
  readonly specificity: number;
  readonly mood: string | null;
  /** Relative weight in a tie, > 0. */
  readonly weight: number;
  /** Least seconds before the same player hears it again; null: the pool's default. */
  readonly cooldownS: number | null;
  readonly once: 'player' | 'session' | 'world' | null;
  /** Spoken length in milliseconds; null means: estimate from the words. */
  readonly estMs: number | null;
  readonly audio: string | null;
  readonly rating: Rating | null;
  readonly tags: readonly string[];
  readonly status: 'draft' | 'approved' | 'retired';
  readonly source: 'written' | 'generated_approved';
  /** File and row, for messages. */
  readonly origin: string;
}

/** The columns of a CSV file, in the order we write them. */
export const LINE_COLUMNS = [
  'id',
  'speaker',
  'trigger',
  'text',
  'when',
  'mood',
  'weight',
  'cooldown_s',
  'once',
  'est_ms',
  'audio',
  'rating',
  'tags',
  'status',
  'source',
] as const;
type Column = (typeof LINE_COLUMNS)[number];

/** Largest file of lines that is read, in bytes. */
export const LINES_FILE_BYTES_MAX = 8 * 1024 * 1024;

const number = z.union([z.number(), z.string().trim().min(1).transform(Number)]);
const words = z.union([z.array(z.string()), z.string().transform((value) => value.split(';'))]);
const blankAsAbsent = <T extends z.ZodType>(schema: T) =>
  z.preprocess(
    (value) => (value === null || (typeof value === 'string' && value.trim() === '') ? undefined : value),
    schema,
  );

const rowSchema = z.strictObject({
  id: z
    .string()
    .trim()
    .regex(
      /^[a-z0-9][a-z0-9_.:-]{0,119}$/,
      'an id such as zombie.spot.012 (lower-case letters, digits, . _ - :)',
    ),
  speaker: z
    .string()
    .trim()
    .regex(/^[a-z][a-z0-9_-]{0,63}$/, 'a persona id, a monster type, or common'),
  trigger: z
    .string()
    .trim()
    .refine(
      (value) => (LINE_TRIGGERS as readonly string[]).includes(value),
      `one of ${LINE_TRIGGERS.join(', ')}`,
    ),
  text: z.string().trim().min(1, 'the words that are said').max(600, 'at most 600 characters'),
  when: blankAsAbsent(words.optional()),
  mood: blankAsAbsent(z.string().trim().max(60).optional()),
  weight: blankAsAbsent(number.pipe(z.number().gt(0, 'a number over 0').max(1000)).optional()),
  cooldown_s: blankAsAbsent(number.pipe(z.number().min(0).max(31_536_000)).optional()),
  once: blankAsAbsent(
    z.enum(['player', 'session', 'world', 'no'], 'player, session, world, or empty').optional(),
  ),
  est_ms: blankAsAbsent(number.pipe(z.int().min(1).max(120_000)).optional()),
  audio: blankAsAbsent(z.string().trim().max(300).optional()),
  rating: blankAsAbsent(z.enum(RATINGS, `one of ${RATINGS.join(', ')}`).optional()),
  tags: blankAsAbsent(words.optional()),
  status: blankAsAbsent(z.enum(['draft', 'approved', 'retired'], 'draft, approved or retired').optional()),
  source: blankAsAbsent(
    z.enum(['written', 'generated_approved'], 'written or generated_approved').optional(),
  ),
});

export interface ParsedLines {
  readonly lines: readonly WrittenLine[];
  readonly problems: readonly CastProblem[];
}

/** Reads a CSV file of lines (UTF-8, with or without byte order mark, quotes doubled, any line end). */
export function parseLinesCsv(content: string, file: string): ParsedLines {
  const malformed: CastProblem[] = [];
  let rows: { readonly record: Record<string, string>; readonly info: { readonly lines: number } }[];
  try {
    rows = parseCsv(content, {
      bom: true,
      columns: (header: string[]) => header.map((name) => name.trim()),
      info: true,
      skip_empty_lines: true,
      trim: true,
      comment: '#',
      comment_no_infix: true,
      relax_column_count_less: true,
      skip_records_with_error: true,
      on_skip: (error) => {
        const expected = `one cell a column; text with a comma needs quotes (${error?.message ?? 'unreadable'})`;
        const row: unknown = error?.['lines'];
        malformed.push({
          file,
          field: typeof row === 'number' ? `line ${row}` : 'a row',
          value: '',
          expected,
        });
      },
      max_record_size: 16_384,
    }) as unknown as typeof rows;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return {
      lines: [],
      problems: [{ file, field: '(the table)', value: '', expected: `CSV with a header row: ${message}` }],
    };
  }
  const parsed = collect(
    rows.map((row) => ({ value: row.record, place: `line ${row.info.lines}` })),
    file,
  );
  return { lines: parsed.lines, problems: [...malformed, ...parsed.problems] };
}

/** Reads the JSON form: an array of objects with the CSV's columns as keys, `when` and `tags` also as arrays. */
export function parseLinesJson(value: unknown, file: string): ParsedLines {
  if (!Array.isArray(value)) {
    return {
      lines: [],
      problems: [{ file, field: '(the whole file)', value: '', expected: 'an array of lines' }],
    };
  }
  return collect(
    value.map((entry: unknown, index) => ({ value: entry, place: `[${index}]` })),
    file,
  );
}

function collect(
  rows: readonly { readonly value: unknown; readonly place: string }[],
  file: string,
): ParsedLines {
  const lines: WrittenLine[] = [];
  const problems: CastProblem[] = [];
  for (const { value, place } of rows) {
    const result = rowSchema.safeParse(value);
    if (!result.success) {
      for (const issue of result.error.issues) problems.push(rowProblem(issue, value, file, place));
      continue;
    }
    const row = result.data;
    const conditions: Condition[] = [];
    for (const text of row.when ?? []) {
      if (text.trim() === '') continue;
      try {
        conditions.push(parseCondition(text));
      } catch (error) {
        problems.push({ file, field: `${place}, when`, value: text, expected: (error as Error).message });
      }
    }
    lines.push({
      id: row.id,
      speaker: row.speaker,
      trigger: row.trigger as LineTrigger,
      text: row.text,
      when: conditions,
      specificity: conditions.reduce((sum, condition) => sum + comparisonCount(condition), 0),
      mood: row.mood ?? null,
      weight: row.weight ?? 1,
      cooldownS: row.cooldown_s ?? null,
      once: row.once === undefined || row.once === 'no' ? null : row.once,
      estMs: row.est_ms ?? null,
      audio: row.audio ?? null,
      rating: row.rating ?? null,
      tags: (row.tags ?? []).map((tag) => tag.trim()).filter((tag) => tag !== ''),
      status: row.status ?? 'approved',
      source: row.source ?? 'written',
      origin: `${file}, ${place}`,
    });
  }
  return { lines, problems };
}

function rowProblem(issue: z.core.$ZodIssue, row: unknown, file: string, place: string): CastProblem {
  if (issue.code === 'unrecognized_keys') {
    return {
      file,
      field: place,
      value: issue.keys.join(', '),
      expected: `only the columns ${LINE_COLUMNS.join(', ')}`,
    };
  }
  const column = String(issue.path[0] ?? '');
  const found =
    typeof row === 'object' && row !== null ? (row as Record<string, unknown>)[column] : undefined;
  const shown = typeof found === 'string' ? found.slice(0, 80) : (JSON.stringify(found) ?? '').slice(0, 80);
  return {
    file,
    field: column === '' ? place : `${place}, ${column}`,
    value: shown,
    expected: expectation(issue),
  };
}

/** Writes lines as CSV with all columns; `parseLinesCsv` reads back the same lines. */
export function formatLinesCsv(lines: readonly WrittenLine[]): string {
  const rows = lines.map((line) => {
    const cells: Record<Column, string> = {
      id: line.id,
      speaker: line.speaker,
      trigger: line.trigger,
      text: line.text,
      when: line.when.map((condition) => condition.text).join(';'),
      mood: line.mood ?? '',
      weight: line.weight === 1 ? '' : String(line.weight),
      cooldown_s: line.cooldownS === null ? '' : String(line.cooldownS),
      once: line.once ?? '',
      est_ms: line.estMs === null ? '' : String(line.estMs),
      audio: line.audio ?? '',
      rating: line.rating ?? '',
      tags: line.tags.join(';'),
      status: line.status,
      source: line.source,
    };
    return LINE_COLUMNS.map((column) => cell(cells[column])).join(',');
  });
  return `${[LINE_COLUMNS.join(','), ...rows].join('\n')}\n`;
}

function cell(value: string): string {
  return /[",\n\r]|^#|^\s|\s$/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
}
