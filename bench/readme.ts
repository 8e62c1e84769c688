/**
 * `node bench/readme.ts`: writes the tables of bench/README.md from bench/results/*.json; with `--check` it writes nothing
 * and ends with 1 when they differ. Only what stands between a pair of `results:<name>` comments is generated.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type ResultFile, resultAsMarkdown } from './load/result-tables.ts';

const README = path.join(import.meta.dirname, 'README.md');
const BLOCK = /(<!-- results:([a-z]+) -->\n)[\s\S]*?(<!-- end of results -->)/g;

const present = readFileSync(README, 'utf8');
const fresh = present.replace(BLOCK, (_all, open: string, name: string, close: string) => {
  const file = path.join(import.meta.dirname, 'results', `${name}.json`);
  const text = existsSync(file)
    ? resultAsMarkdown(JSON.parse(readFileSync(file, 'utf8')) as ResultFile)
    : `Not measured yet: \`npm run bench:${name}\`.`;
  return `${open}\n${text}\n\n${close}`;
});
if (fresh === present) console.log('bench/README.md is fresh');
else if (process.argv.includes('--check')) {
  console.error('bench/README.md differs from bench/results; run: node bench/readme.ts');
  process.exitCode = 1;
} else {
  writeFileSync(README, fresh);
  console.log('bench/README.md is written');
}
