/** Seeds that failed once, one file each in tests/seeds: played first, for ever. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';

const DIRECTORY = fileURLToPath(new URL('../../../tests/seeds', import.meta.url));

const keptSeedSchema = z.strictObject({
  seed: z.int(),
  /** Times the usual length. */
  length: z.number().default(1),
  /** The rule that it broke. */
  broke: z.string(),
  /** What was wrong, in a sentence. */
  why: z.string(),
});
export type KeptSeed = z.infer<typeof keptSeedSchema>;

export function keptSeeds(): readonly KeptSeed[] {
  return readdirSync(DIRECTORY)
    .filter((name) => name.endsWith('.json'))
    .sort()
    .map((name) => keptSeedSchema.parse(JSON.parse(readFileSync(path.join(DIRECTORY, name), 'utf8'))));
}

/** Writes the file unless the seed is kept already. Returns its path. */
export function keepSeed(kept: KeptSeed): string {
  mkdirSync(DIRECTORY, { recursive: true });
  const file = path.join(DIRECTORY, `${kept.seed}.json`);
  if (!existsSync(file)) writeFileSync(file, `${JSON.stringify(kept, null, 2)}\n`);
  return file;
}
