/**
 * Token counts of the model that the first game ships with, as its engine counted them, so that a trace can be made
 * without an engine and its prefixes still hold what the service's own do. Texts that are not in the table are estimated.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { hash32 } from '../../src/cast/seeded.ts';
import type { TokenCounter } from '../../src/core/engine.ts';

const FILE = join(import.meta.dirname, 'token-counts.json');
/** Bytes a token of this model over the texts of the cast, measured when the table was made. */
const BYTES_PER_TOKEN = 3.95;

export interface TokenTable {
  readonly model: string;
  /** By FNV-1a of the text, in hexadecimal. */
  readonly counts: Readonly<Record<string, number>>;
}

export function readTokenTable(): TokenTable {
  return JSON.parse(readFileSync(FILE, 'utf8')) as TokenTable;
}

export function tableCounter(table: TokenTable): TokenCounter {
  return {
    count: (text) =>
      Promise.resolve(table.counts[keyOf(text)] ?? Math.ceil(Buffer.byteLength(text) / BYTES_PER_TOKEN)),
  };
}

/** Asks an engine for each text and keeps what it says, for the next table. */
export function recordingCounter(engine: TokenCounter, counts: Map<string, number>): TokenCounter {
  return {
    count: async (text, signal) => {
      const count = await engine.count(text, signal);
      counts.set(keyOf(text), count);
      return count;
    },
  };
}

/** The table as the file keeps it: sorted, so that a new one shows what changed. */
export function tableText(model: string, counts: ReadonlyMap<string, number>): string {
  const sorted = Object.fromEntries([...counts].sort(([one], [other]) => (one < other ? -1 : 1)));
  return `${JSON.stringify({ model, counts: sorted }, null, 2)}\n`;
}

function keyOf(text: string): string {
  return hash32(text).toString(16).padStart(8, '0');
}
