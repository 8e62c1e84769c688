/**
 * The NPC trace: what the players of a game ask its characters, as JSON lines in the order of time. The first line is the
 * header, each further one an entry. It says who asks whom what and when, never what a server should answer, so any
 * server can be judged by it. `README.md` beside this file is the description for people.
 */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';

export const TRACE_SCHEMA = 'greenroom.npc-trace/1';

export type TraceTier = 1 | 2 | 3 | 4;

/** One stable prompt beginning: rules, world and persona, as chat messages. Entries name it by `id`. */
export interface TracePrefix {
  readonly id: string;
  readonly npcId: string;
  readonly tier: TraceTier;
  readonly messages: readonly TraceMessage[];
}

export interface TraceMessage {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string;
}

export interface TraceHeader {
  readonly schema: typeof TRACE_SCHEMA;
  readonly seed: number;
  /** Milliseconds from the first to past the last entry at speed 1. */
  readonly durationMs: number;
  readonly players: number;
  /** Longest time to the first sentence that counts as in time, by tier (ms). */
  readonly firstSentenceMs: Readonly<Record<TraceTier, number>>;
  /** What shaped it: share of repeated questions, Zipf exponents, share of barks, sources of each figure. */
  readonly shape: Readonly<Record<string, number | string>>;
  readonly prefixes: readonly TracePrefix[];
}

/** A line that somebody waits for. */
export interface SayEntry {
  readonly kind: 'say';
  readonly id: string;
  readonly atMs: number;
  readonly playerId: string;
  readonly npcId: string;
  readonly tier: TraceTier;
  /** Empty for a bark, which has a trigger. */
  readonly prompt: string;
  readonly trigger?: string;
  /** As `context` of POST /v1/dialogue, without player_id; history is the trace's own, the same for every server. */
  readonly context: Readonly<Record<string, unknown>>;
  readonly priority: 'interactive' | 'ambient';
  /** For a server that takes chat messages: those of the prefix, then these. The last is the player's. */
  readonly prefix: string;
  readonly messages: readonly TraceMessage[];
  readonly maxTokens: number;
  /** The player cuts it short this long after asking (ms); left out: never. */
  readonly hangUpAfterMs?: number;
  /** Equal events in one area, of which one voice is enough. */
  readonly event?: { readonly id: string; readonly area: string };
}

/** The game says who will be met soon; servers without such a door skip it. */
export interface HintEntry {
  readonly kind: 'hint';
  readonly atMs: number;
  readonly playerId: string;
  readonly npcIds: readonly string[];
}

/** A player's connection is lost and comes back: what runs for them is hung up. */
export interface ReconnectEntry {
  readonly kind: 'reconnect';
  readonly atMs: number;
  readonly playerId: string;
}

export type TraceEntry = SayEntry | HintEntry | ReconnectEntry;

/** What became of one `say`. Times are milliseconds from when the request should have begun, at the client's socket. */
export interface SayOutcome {
  readonly id: string;
  readonly tier: TraceTier;
  readonly isBark: boolean;
  readonly startLateMs: number;
  readonly ttftMs: number | null;
  /** Null: no whole sentence came. */
  readonly ttfsMs: number | null;
  readonly totalMs: number;
  /** `failed`: an error status, an error event, a broken stream, an empty answer. */
  readonly end: 'done' | 'hung_up' | 'unspoken' | 'failed';
  readonly failure?: string;
  /** What answered, where the server tells: engine, cache, written; `joined` counts as cache. */
  readonly source: 'engine' | 'cache' | 'written' | 'unknown';
  /** A written line that stood in for an engine that could not: `timeout`, `overload`, … */
  readonly cause: string | null;
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly completionTokens: number;
  readonly costUsd: number;
  readonly text: string;
}

/** A whole trace in memory. */
export interface Trace {
  readonly header: TraceHeader;
  /** In the order of `atMs`. */
  readonly entries: readonly TraceEntry[];
}

/** The trace as JSON lines, the header first; the same trace gives the same bytes. */
export function formatTrace({ header, entries }: Trace): string {
  return `${[header, ...entries].map((line) => JSON.stringify(line)).join('\n')}\n`;
}

/**
 * Reads JSON lines. Throws with the number of the first line that is no JSON, is of another schema, names a prefix that
 * the header lacks, or goes back in time.
 */
export function parseTrace(text: string): Trace {
  const lines = text.split('\n').filter((line) => line !== '');
  const first = parseLine(lines[0] ?? '', 1) as { readonly schema?: unknown };
  if (first.schema !== TRACE_SCHEMA)
    throw new Error(`line 1: schema is ${JSON.stringify(first.schema)}; expected ${TRACE_SCHEMA}`);
  const header = first as TraceHeader;
  const prefixes = new Set(header.prefixes.map(({ id }) => id));
  let lastMs = 0;
  const entries = lines.slice(1).map((line, index) => {
    const number = index + 2;
    const entry = parseLine(line, number) as TraceEntry;
    if (!['say', 'hint', 'reconnect'].includes(entry.kind))
      throw new Error(
        `line ${number}: kind is ${JSON.stringify(entry.kind)}; expected say, hint or reconnect`,
      );
    if (!(entry.atMs >= lastMs)) throw new Error(`line ${number}: atMs is ${entry.atMs}, after ${lastMs}`);
    if (entry.kind === 'say' && !prefixes.has(entry.prefix))
      throw new Error(`line ${number}: no prefix ${JSON.stringify(entry.prefix)} in the header`);
    lastMs = entry.atMs;
    return entry;
  });
  return { header, entries };
}

/** Reads a trace file; one that ends with `.gz` is unpacked. Throws as `parseTrace` does, and when it cannot be read. */
export function readTrace(path: string): Trace {
  const bytes = readFileSync(path);
  return parseTrace((path.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('utf8'));
}

/** All messages that a server which takes chat is sent for an entry. Throws when the header lacks its prefix. */
export function messagesOf(header: TraceHeader, entry: SayEntry): readonly TraceMessage[] {
  const prefix = header.prefixes.find(({ id }) => id === entry.prefix);
  if (prefix === undefined)
    throw new Error(`${entry.id}: no prefix ${JSON.stringify(entry.prefix)} in the header`);
  return [...prefix.messages, ...entry.messages];
}

function parseLine(line: string, number: number): unknown {
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value === 'object' && value !== null) return value;
  } catch (error) {
    throw new Error(`line ${number} is not JSON: ${(error as Error).message}`);
  }
  throw new Error(`line ${number}: expected a JSON object`);
}
