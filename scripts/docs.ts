/**
 * `npm run docs` writes docs/reference from what the code itself declares; `--check` writes nothing and fails when a page
 * is not what the code would give. Each page has one source, so a page is never edited by hand.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { cliPage } from './docs/cli-page.ts';
import { configPage, configSchemaFile } from './docs/config-page.ts';
import { errorsPage } from './docs/errors-page.ts';
import { httpPage } from './docs/http-page.ts';
import { metricsPage } from './docs/metrics-page.ts';

const folder = path.resolve(import.meta.dirname, '../docs/reference');

const PAGES: readonly { readonly name: string; readonly make: () => string | Promise<string> }[] = [
  { name: 'cli.md', make: cliPage },
  { name: 'config.md', make: configPage },
  { name: 'config.schema.json', make: configSchemaFile },
  { name: 'errors.md', make: errorsPage },
  { name: 'http.md', make: httpPage },
  { name: 'metrics.md', make: metricsPage },
];

const unknown = process.argv.slice(2).filter((argument) => argument !== '--check');
if (unknown.length > 0) {
  console.error(`unknown argument ${unknown.join(' ')}; expected nothing, or --check`);
  process.exit(2);
}
const checks = process.argv.includes('--check');
const stale: string[] = [];
mkdirSync(folder, { recursive: true });
for (const { name, make } of PAGES) {
  const file = path.join(folder, name);
  const wanted = await make();
  // A checkout on Windows may have other line ends; that is not another page.
  const present = existsSync(file) ? readFileSync(file, 'utf8').replaceAll('\r\n', '\n') : null;
  if (present === wanted) continue;
  if (checks) stale.push(`docs/reference/${name} ${present === null ? 'is missing' : 'is stale'}`);
  else {
    writeFileSync(file, wanted);
    console.log(`docs/reference/${name} written`);
  }
}
if (stale.length > 0) {
  console.error(`${stale.join('\n')}\nRun npm run docs and commit what it writes.`);
  process.exit(1);
}
