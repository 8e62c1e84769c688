/** The import ladder: who may import whom, and where each third-party package lives. Read it as the map of `src/`. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { codeOnly, importsOf, root, type SourceFile, sourceFiles } from './source-tree.ts';

const FOUNDATION = ['core', 'lib'];
const PARTS = [
  'adapters',
  'engines',
  'cast',
  'models',
  'store',
  'telemetry',
  'embedded',
  'recall',
  'routing',
  'spending',
  'jobs',
  'dialogue',
  'api',
];

/** Folder or file of `src/` → what it may import besides itself. */
const LADDER: Readonly<Record<string, readonly string[]>> = {
  lib: [],
  core: ['lib'],
  // Adapters are artefacts from the sources that models have, too.
  adapters: [...FOUNDATION, 'models'],
  engines: FOUNDATION,
  cast: FOUNDATION,
  models: FOUNDATION,
  store: FOUNDATION,
  telemetry: FOUNDATION,
  embedded: FOUNDATION,
  recall: FOUNDATION,
  routing: FOUNDATION,
  spending: FOUNDATION,
  jobs: FOUNDATION,
  dialogue: [...FOUNDATION, 'cast', 'recall', 'routing', 'spending'],
  api: [...FOUNDATION, 'adapters', 'dialogue', 'spending'],
  // The options schemas that the parts export; nothing below imports config back.
  config: [...FOUNDATION, ...PARTS],
  'runtime.ts': FOUNDATION,
  // The engines of one configuration: models, child process, transport and warm-up come together here.
  hosts: [...FOUNDATION, 'adapters', 'config', 'embedded', 'engines', 'models', 'routing'],
  'service.ts': [...FOUNDATION, ...PARTS, 'config', 'hosts'],
  'app.ts': [...FOUNDATION, 'api', 'config', 'engines', 'service.ts'],
  // A plan is the real service on a clock that jumps, before engines that are models.
  planning: [...FOUNDATION, ...PARTS, 'config', 'service.ts'],
  cli: [...FOUNDATION, ...PARTS, 'config', 'planning', 'runtime.ts', 'app.ts'],
  'main.ts': ['cli'],
  testing: [...FOUNDATION, ...PARTS, 'config', 'planning', 'runtime.ts', 'service.ts', 'app.ts', 'cli'],
};

/** A third-party package has one home, so that replacing it touches one folder. zod describes data everywhere. */
const HOMES: Readonly<Record<string, readonly string[]>> = {
  '@aws-sdk/client-s3': ['adapters'],
  '@bufbuild/protobuf': ['engines'],
  '@connectrpc/connect': ['engines'],
  '@connectrpc/connect-node': ['engines'],
  '@fastify/static': ['api'],
  '@fastify/swagger': ['api'],
  '@huggingface/jinja': ['embedded'],
  'better-sqlite3': ['store'],
  commander: ['cli'],
  'csv-parse': ['cast'],
  fastify: ['api'],
  'fastify-type-provider-zod': ['api'],
  fflate: ['cast'],
  ioredis: ['recall'],
  kysely: ['store'],
  'node-llama-cpp': ['embedded'],
  pg: ['store'],
  pino: ['telemetry'],
  // The engine is a program of its own with its own /metrics.
  'prom-client': ['telemetry', 'embedded'],
  re2js: ['cast'],
  undici: ['engines'],
  yaml: ['config'],
};

/** `src/cast/cards.ts` → `cast`; `src/app.ts` → `app.ts`. */
const rungOf = (file: string) => file.split('/')[1] ?? '';
const shipped = (file: SourceFile) => !file.isTest && rungOf(file.path) !== 'testing';

const files = sourceFiles('src/**/*.ts');

test('every import goes down the ladder', () => {
  const broken: string[] = [];
  for (const file of files.filter((each) => !each.isTest)) {
    const rung = rungOf(file.path);
    const allowed = LADDER[rung];
    if (allowed === undefined) {
      broken.push(`${file.path}: src/${rung} has no rung; give it one in tests/ladder.test.ts`);
      continue;
    }
    for (const imported of importsOf(file).files) {
      if (!imported.startsWith('src/')) {
        // The version in package.json is the one thing outside that shipped code may read.
        if (imported !== 'package.json') broken.push(`${file.path} imports ${imported}, outside src`);
        continue;
      }
      const target = rungOf(imported);
      if (target !== rung && !allowed.includes(target))
        broken.push(
          `${file.path} imports ${imported}: ${rung} may import ${allowed.join(', ') || 'nothing'}`,
        );
    }
  }
  assert.deepEqual(broken, []);
});

test('a third-party package is imported by its home alone', () => {
  const broken: string[] = [];
  for (const file of files.filter(shipped)) {
    for (const name of importsOf(file).packages) {
      if (name === 'zod' || HOMES[name]?.includes(rungOf(file.path))) continue;
      broken.push(
        HOMES[name] === undefined
          ? `${file.path} imports ${name}, which has no home; give it one in tests/ladder.test.ts`
          : `${file.path} imports ${name}, whose home is src/${HOMES[name].join(', src/')}`,
      );
    }
  }
  assert.deepEqual(broken, []);
});

test('every package that src imports is a dependency, and every dependency is imported', () => {
  const manifest = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>;
  };
  const imported = new Set(files.filter(shipped).flatMap((file) => importsOf(file).packages));
  const declared = new Set(Object.keys(manifest.dependencies));
  assert.deepEqual(
    [...imported].filter((name) => !declared.has(name)),
    [],
    'imported by shipped code, not in dependencies',
  );
  assert.deepEqual(
    [...declared].filter((name) => !imported.has(name)),
    [],
    'in dependencies, imported by nobody',
  );
});

test('nothing shipped imports a test or what only tests use', () => {
  const broken = files.filter(shipped).flatMap((file) =>
    importsOf(file)
      .files.filter((each) => each.endsWith('.test.ts') || each.startsWith('src/testing/'))
      .map((each) => `${file.path} imports ${each}`),
  );
  assert.deepEqual(broken, []);
});

test('imports are found in every form, and not in comments or strings', () => {
  const file = (text: string): SourceFile => ({ path: 'src/cast/a.ts', text, isTest: false });
  assert.deepEqual(
    importsOf(
      file(
        [
          "import { a,\n  type B } from './b.ts';",
          "import type { C } from '../core/c.ts';",
          "export { d } from '../lib/d.ts';",
          "import fs from 'node:fs';",
          "import 'bare';",
          "const late = await import('@scope/late/deep');",
          "// import { no } from './no.ts';",
          "/*\nimport { no } from './no.ts';\n*/",
          "import { parse } from 'csv-parse/sync';",
        ].join('\n'),
      ),
    ),
    {
      packages: ['bare', '@scope/late', 'csv-parse'],
      files: ['src/cast/b.ts', 'src/core/c.ts', 'src/lib/d.ts'],
    },
  );
  const text = "a('Date.now') / 2; /Date.now['/]/.test(`x $" + '{Date.now()} Date.now`); // Date.now';
  const code = codeOnly(text);
  assert.equal(code.length, text.length);
  assert.deepEqual(
    [...code.matchAll(/Date\.now/g)].map((each) => each.index),
    [text.indexOf('Date.now()')],
  );
});
