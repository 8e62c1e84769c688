import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ServiceError } from '../core/errors.ts';
import { aReplica } from '../testing/a-replica.ts';
import { modelsSchema } from './options.ts';
import { Pool } from './pool.ts';
import { ModelVersions } from './versions.ts';

const POOLS = new Map(
  [
    new Pool('old', [aReplica('o1', { model: 'llama-3.1-8b', modelVersion: '2026-03' })]),
    new Pool('new', [aReplica('n1', { model: 'llama-3.1-8b', modelVersion: '2026-05' })]),
    new Pool('local', [aReplica('l1', { model: 'smollm2-135m' })]),
    new Pool('mixed', [aReplica('m1', { model: 'gpt' }), aReplica('m2', { model: 'claude' })]),
    new Pool('hub', [aReplica('h1', { model: 'team/model@main' })]),
  ].map((pool) => [pool.name, pool] as const),
);
const MODELS = modelsSchema.parse({
  'llama-3.1-8b': { aliases: { stable: '2026-03', canary: '2026-05' } },
});
const versions = new ModelVersions(POOLS, MODELS);

const FOUND: readonly (readonly [string, string | null, string])[] = [
  ['llama-3.1-8b', null, 'old'],
  ['llama-3.1-8b@2026-05', null, 'new'],
  ['llama-3.1-8b@canary', null, 'new'],
  ['llama-3.1-8b@stable', null, 'old'],
  ['llama-3.1-8b', '2026-05', 'new'],
  ['llama-3.1-8b', 'canary', 'new'],
  ['llama-3.1-8b@canary', '2026-05', 'new'],
  ['smollm2-135m', null, 'local'],
  ['mixed', null, 'mixed'],
  ['new', null, 'new'],
  ['new', 'canary', 'new'],
  ['new@2026-05', null, 'new'],
  ['team/model@main', null, 'hub'],
];

for (const [name, header, expected] of FOUND)
  test(`${name}${header === null ? '' : ` with x-model-version ${header}`} is ${expected}`, () =>
    assert.equal(versions.resolve(name, header).name, expected));

const UNKNOWN: readonly (readonly [string, string | null])[] = [
  ['llama-3.1-8b@2026-04', null],
  ['llama-3.1-8b', 'beta'],
  ['llama-3.1-8b', ''],
  ['llama-3.1-8b@', null],
  ['smollm2-135m', 'stable'],
  ['new', '2026-03'],
  ['new', 'stable'],
  ['gpt', null],
  ['', null],
  ['@', null],
  ['__proto__', null],
  ['llama-3.1-8b@__proto__', null],
  ['llama-3.1-8b@constructor', null],
];

for (const [name, header] of UNKNOWN)
  test(`${JSON.stringify(name)}${header === null ? '' : ` with x-model-version ${JSON.stringify(header)}`} is unknown, and the error lists what exists`, () =>
    assert.throws(
      () => versions.resolve(name, header),
      (error) => {
        assert.ok(error instanceof ServiceError && error.code === 'unknown_model');
        assert.ok(error.message.includes('llama-3.1-8b@2026-05') && error.message.includes('mixed'));
        const { available } = error.details;
        assert.ok(Array.isArray(available) && available.includes('llama-3.1-8b@canary'));
        return true;
      },
    ));

test('a name and a header that differ are a mistake of the request', () => {
  assert.throws(
    () => versions.resolve('llama-3.1-8b@stable', '2026-05'),
    (error) =>
      error instanceof ServiceError && error.code === 'bad_request' && /x-model-version/.test(error.message),
  );
});

test('without an alias the first of the configuration is taken', () => {
  assert.equal(new ModelVersions(POOLS, {}).resolve('llama-3.1-8b', null).name, 'old');
});

test('an alias of a version that no pool has is not listed', () => {
  const gone = new ModelVersions(
    POOLS,
    modelsSchema.parse({ 'llama-3.1-8b': { aliases: { stable: '2020' } } }),
  );
  assert.ok(gone.list().every(({ id }) => id !== 'llama-3.1-8b' && !id.endsWith('@stable')));
  assert.throws(() => gone.resolve('llama-3.1-8b', null), /no model "llama-3.1-8b"/);
});

test('everything that is listed is found, once', () => {
  const listed = versions.list();
  assert.equal(new Set(listed.map(({ id }) => id)).size, listed.length);
  for (const { id, pool } of listed) assert.equal(versions.resolve(id, null), pool, id);
});

test('whatever is asked: a pool or one of the two errors, and no name is repeated at length', () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.string({ maxLength: 400 }), fc.stringMatching(/^llama-3\.1-8b@[a-z0-9@-]{0,10}$/)),
      fc.option(fc.string({ maxLength: 20 })),
      (name, header) => {
        try {
          assert.ok(POOLS.has(versions.resolve(name, header).name));
        } catch (error) {
          assert.ok(error instanceof ServiceError, String(error));
          assert.ok(error.code === 'unknown_model' || error.code === 'bad_request');
          assert.ok(error.message.length < 1_000);
        }
      },
    ),
  );
});
