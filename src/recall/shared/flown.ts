/** A sentence of a flight as it travels between gateways. What does not read as one is not said to anybody. */
import { z } from 'zod';
import type { FlownSentence } from '../shared-tier.ts';

/** Characters of one encoded sentence: its words, each of which may need six to be escaped, and some names. */
export const FLOWN_LENGTH_MAX = 24_000;
/** As of a variant: what is longer is not kept either. */
export const FLOWN_SENTENCES_MAX = 60;
const TEXT_LENGTH_MAX = 2_000;

const name = z.string().max(400);
const flownSchema = z.strictObject({
  text: z.string().min(1).max(TEXT_LENGTH_MAX),
  source: z.strictObject({
    engine: name,
    model: name.nullable(),
    modelVersion: name.nullable(),
    adapter: name.nullable(),
    adapterGeneration: z.int().min(0).exactOptional(),
  }),
});

/** Null for a sentence that nobody would decode. */
export function encodeFlown({ text, source }: FlownSentence): string | null {
  const { engine, model, modelVersion, adapter, adapterGeneration } = source;
  const encoded = JSON.stringify({
    text,
    source: { engine, model, modelVersion, adapter, adapterGeneration },
  });
  return text.length > TEXT_LENGTH_MAX || encoded.length > FLOWN_LENGTH_MAX ? null : encoded;
}

/** Null for anything else than `encodeFlown` gives within its limits. */
export function decodeFlown(encoded: string): FlownSentence | null {
  if (encoded.length > FLOWN_LENGTH_MAX) return null;
  let value: unknown;
  try {
    value = JSON.parse(encoded);
  } catch {
    return null;
  }
  return flownSchema.safeParse(value).data ?? null;
}
