/**
 * A variant: one whole reply that was generated, passed the guard, and may be said again to whoever asks the same. Its
 * encoded form carries a version, so that what another release left in a shared tier is not misread.
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { Source } from '../core/dialogue.ts';
import type { GenerationCost } from '../core/recall.ts';

export interface Variant {
  /** Of its words: 16 hex digits. */
  readonly id: string;
  readonly sentences: readonly string[];
  readonly source: VariantSource;
  /** Epoch milliseconds. */
  readonly bornAtMs: number;
  /** What it took to generate, which is what saying it again saves. */
  readonly took: GenerationCost;
}

/** Who generated it. */
export type VariantSource = Pick<
  Source,
  'engine' | 'model' | 'modelVersion' | 'adapter' | 'adapterGeneration'
>;

/** No reply is longer: sixty sentences of two kilobytes are not speech. */
const SENTENCES_MAX = 60;
const SENTENCE_LENGTH_MAX = 2_000;
const VARIANTS_MAX = 64;
const ENCODED_VERSION = 1;
const ID_DIGITS = 16;

const count = z.int().min(0);
const name = z.string().max(400);
const variantSchema = z.strictObject({
  sentences: z.array(z.string().min(1).max(SENTENCE_LENGTH_MAX)).min(1).max(SENTENCES_MAX),
  source: z.strictObject({
    engine: name,
    model: name.nullable(),
    modelVersion: name.nullable(),
    adapter: name.nullable(),
    adapterGeneration: count.optional(),
  }),
  bornAtMs: count,
  took: z.strictObject({
    promptTokens: count,
    completionTokens: count,
    costMicroUsd: count,
    ttfsMs: z.number().min(0),
  }),
});
const entrySchema = z.strictObject({
  version: z.literal(ENCODED_VERSION),
  variants: z.array(variantSchema).max(VARIANTS_MAX),
});

export function variantOf(parts: Omit<Variant, 'id'>): Variant {
  return { id: idOf(parts.sentences), ...parts };
}

/** The same words are the same variant, whoever generated them. */
function idOf(sentences: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(sentences)).digest('hex').slice(0, ID_DIGITS);
}

export function encodeVariants(variants: readonly Variant[]): string {
  return JSON.stringify({ version: ENCODED_VERSION, variants: variants.map(({ id: _id, ...rest }) => rest) });
}

/** Null for anything that is not exactly what `encodeVariants` writes: other versions, broken or hostile data. */
export function decodeVariants(encoded: string): readonly Variant[] | null {
  let value: unknown;
  try {
    value = JSON.parse(encoded);
  } catch {
    return null;
  }
  const read = entrySchema.safeParse(value);
  if (!read.success) return null;
  return read.data.variants.map(({ source: { adapterGeneration, ...source }, ...rest }) =>
    variantOf({
      ...rest,
      source: adapterGeneration === undefined ? source : { ...source, adapterGeneration },
    }),
  );
}

/** Bytes that it takes in memory, about: two a character, and what the objects around it weigh. */
export function bytesOf({ sentences }: Variant): number {
  return sentences.reduce((sum, sentence) => sum + 2 * sentence.length + 32, 400);
}
