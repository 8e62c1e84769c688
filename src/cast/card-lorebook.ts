/**
 * Lorebook entries of character cards as world facts, and back (npc-domain §8.4). Decorators (`@@scan_depth 4`) at the
 * head of an entry's content are read where we know them and ignored where not; the card keeps its own text.
 */
import { type WorldFact, worldFactSchema } from './persona.ts';

type Json = Readonly<Record<string, unknown>>;

const ENTRIES_MAX = 500;

/** Reads `character_book`; what cannot be read is left out with a warning. */
export function readLorebook(book: unknown, warnings: string[]): readonly WorldFact[] {
  if (!isObject(book)) return [];
  const entries = Array.isArray(book['entries']) ? (book['entries'] as readonly unknown[]) : [];
  if (entries.length > ENTRIES_MAX)
    warnings.push(`lorebook: ${entries.length} entries, the first ${ENTRIES_MAX} are used`);
  const bookDepth = wholeNumber(book['scan_depth'], 0, 100);
  const facts: WorldFact[] = [];
  const ids = new Set<string>();
  for (const [index, entry] of entries.slice(0, ENTRIES_MAX).entries()) {
    if (!isObject(entry)) continue;
    const { text, decorators } = splitDecorators(textOf(entry['content']));
    const clean = cleanText(text, 4000);
    if (clean === '') continue;
    let id = cleanText(textOf(entry['id'] ?? entry['name']), 100) || String(index);
    if (ids.has(id)) id = `${id}#${index}`;
    ids.add(id);
    const depth = wholeNumber(decorators.get('scan_depth'), 0, 100) ?? bookDepth;
    const isConstant = entry['constant'] === true || decorators.has('activate');
    const parsed = worldFactSchema.safeParse({
      id,
      text: clean,
      mode: isConstant ? 'always' : 'keyword',
      keys: [...strings(entry['keys']), ...listOf(decorators.get('additional_keys'))].slice(0, 60),
      secondary_keys: entry['selective'] === true ? strings(entry['secondary_keys']) : [],
      exclude_keys: listOf(decorators.get('exclude_keys')),
      use_regex: entry['use_regex'] === true,
      case_sensitive: entry['case_sensitive'] === true,
      ...(depth === undefined ? {} : { scan_depth: depth }),
      priority: decorators.has('ignore_on_max_context')
        ? 0
        : (wholeNumber(entry['priority'], 0, 1_000_000) ?? 50),
      order: wholeNumber(entry['insertion_order'], -1_000_000, 1_000_000) ?? 100,
      enabled: entry['enabled'] !== false && !decorators.has('dont_activate'),
    });
    if (parsed.success) facts.push(parsed.data);
    else
      warnings.push(
        `lorebook entry ${id} was left out: ${parsed.error.issues[0]?.message ?? 'not readable'}`,
      );
  }
  return facts;
}

/** Writes facts as a lorebook. Facts that hang on game conditions or audiences stay out: a card cannot say that. */
export function writeLorebook(facts: readonly WorldFact[], version: 2 | 3): Json | null {
  const open = facts.filter(
    (fact) => fact.audience.length === 0 && fact.known_from === undefined && fact.when === undefined,
  );
  if (open.length === 0) return null;
  return {
    extensions: {},
    entries: open.map((fact, index) => ({
      keys: fact.keys,
      content: version === 3 ? `${decoratorsOf(fact)}${fact.text}` : fact.text,
      extensions: {},
      enabled: fact.enabled,
      insertion_order: fact.order,
      case_sensitive: fact.case_sensitive,
      ...(version === 3 ? { use_regex: fact.use_regex } : {}),
      constant: fact.mode === 'always',
      name: fact.id,
      priority: fact.priority,
      id: version === 2 ? index : fact.id,
      selective: fact.secondary_keys.length > 0,
      secondary_keys: fact.secondary_keys,
    })),
  };
}

/** A lorebook as V2 readers want it: no decorators in the text, no `use_regex`; a pattern is no use as a word there. */
export function asVersion2Book(book: unknown): unknown {
  if (!isObject(book) || !Array.isArray(book['entries'])) return book;
  return {
    ...book,
    entries: (book['entries'] as readonly unknown[]).map((entry) => {
      if (!isObject(entry)) return entry;
      const { use_regex: usesRegex, ...rest } = entry;
      const content = splitDecorators(textOf(entry['content'])).text;
      return { ...rest, content, ...(usesRegex === true ? { enabled: false } : {}) };
    }),
  };
}

function decoratorsOf(fact: WorldFact): string {
  let head = '';
  if (fact.scan_depth !== undefined) head += `@@scan_depth ${fact.scan_depth}\n`;
  if (fact.exclude_keys.length > 0) head += `@@exclude_keys ${fact.exclude_keys.join(',')}\n`;
  return head;
}

const KNOWN_DECORATORS: ReadonlySet<string> = new Set([
  'scan_depth',
  'additional_keys',
  'exclude_keys',
  'ignore_on_max_context',
  'activate',
  'dont_activate',
]);

/** Decorators stand at the head, one a line; `@@@name` is read only when the `@@` line above it is unknown to us. */
function splitDecorators(content: string): {
  readonly text: string;
  readonly decorators: ReadonlyMap<string, string>;
} {
  const decorators = new Map<string, string>();
  const lines = content.split('\n');
  let at = 0;
  let needsFallback = false;
  for (; at < lines.length; at++) {
    const line = (lines[at] ?? '').trim();
    const match = /^(@{2,})([A-Za-z_]+)(?:\s+(.*))?$/.exec(line);
    if (match === null) break;
    const [, marks = '', name = '', value = ''] = match;
    if (marks.length > 2 && !needsFallback) continue;
    const isKnown = KNOWN_DECORATORS.has(name);
    if (isKnown) decorators.set(name, value.trim());
    needsFallback = !isKnown;
  }
  return { text: lines.slice(at).join('\n').trim(), decorators };
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Text without control characters but tab and line breaks, cut to a length. */
export function cleanText(text: string, lengthMax: number): string {
  return text
    .replace(/[^\t\n\r\P{Cc}]/gu, '')
    .slice(0, lengthMax)
    .replace(/[\uD800-\uDBFF]$/, '')
    .trim();
}

/** Texts and numbers as text; anything else is empty. */
export function textOf(value: unknown): string {
  return typeof value === 'string' ? value : typeof value === 'number' ? String(value) : '';
}

function strings(value: unknown): string[] {
  if (!Array.isArray(value)) return [];
  return value
    .filter((entry): entry is string => typeof entry === 'string')
    .map((entry) => cleanText(entry, 200))
    .filter((entry) => entry !== '')
    .slice(0, 60);
}

function listOf(value: string | undefined): string[] {
  return value === undefined ? [] : strings(value.split(','));
}

function wholeNumber(value: unknown, min: number, max: number): number | undefined {
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
  if (typeof number !== 'number' || !Number.isFinite(number)) return undefined;
  return Math.min(max, Math.max(min, Math.round(number)));
}
