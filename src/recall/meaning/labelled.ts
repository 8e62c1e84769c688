/**
 * Reads labelled.jsonl: scenes whose words mean the same, and words that only look so. Its first line says what the rest is.
 * Bench and tests alone read it; a served line never does.
 */
import { z } from 'zod';

export const DIFFERENCES = [
  'negation',
  'swap',
  'object',
  'count',
  'direction',
  'place',
  'time',
  'detail',
  'action',
  'mode',
] as const;

const headerSchema = z.strictObject({
  about: z.string(),
  line: z.string(),
  how: z.string(),
  part: z.string(),
  seed: z.int(),
});

const sceneSchema = z.strictObject({
  id: z.string().min(1),
  trigger: z.string().min(1),
  part: z.enum(['calibration', 'held-out']),
  /** Which of the drawings it was held out of before it joined the calibration. */
  drawn: z.int().min(1).optional(),
  same: z.array(z.string().min(1)).min(2),
  different: z.array(z.strictObject({ how: z.enum(DIFFERENCES), words: z.string().min(1) })).min(1),
});

export type Scene = z.infer<typeof sceneSchema>;

export interface Labelled {
  readonly seed: number;
  readonly scenes: readonly Scene[];
}

/** Throws with the line's number when a line is not as the header says. */
export function parseLabelled(text: string): Labelled {
  const [first = '', ...lines] = text.trim().split('\n');
  const header = headerSchema.parse(JSON.parse(first));
  const scenes = lines.map((line, at) => {
    const scene = sceneSchema.safeParse(JSON.parse(line));
    if (!scene.success) throw new Error(`line ${at + 2}: ${z.prettifyError(scene.error)}`);
    return scene.data;
  });
  return { seed: header.seed, scenes };
}
