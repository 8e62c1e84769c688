import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { ServiceError } from '../../core/errors.ts';
import { sharedAddress } from './address.ts';
import { sharedRecallOptionsSchema } from './options.ts';

const plain = { username: null, password: null, tls: null, database: 0 };

describe('the address of the shared tier', () => {
  it('is none where none is given', () => {
    assert.equal(sharedAddress(sharedRecallOptionsSchema.parse({}), {}), null);
  });

  for (const [url, expected] of [
    ['redis://cache', { ...plain, at: { host: 'cache', port: 6_379 }, shown: 'redis://cache' }],
    ['valkey://10.0.0.7:6380/3', { ...plain, at: { host: '10.0.0.7', port: 6_380 }, database: 3 }],
    ['redis://[::1]:6380', { ...plain, at: { host: '::1', port: 6_380 } }],
    [
      'rediss://cache.example:6390',
      { ...plain, at: { host: 'cache.example', port: 6_390 }, tls: { ca: null } },
    ],
    ['valkeys://cache.example', { ...plain, at: { host: 'cache.example', port: 6_379 }, tls: { ca: null } }],
    ['unix:///run/valkey.sock', { ...plain, at: { path: '/run/valkey.sock' } }],
    ['unix:///run/a%20b.sock#2', { ...plain, at: { path: '/run/a b.sock' }, database: 2 }],
    [
      'redis://game:p%40ss@cache/1',
      {
        ...plain,
        at: { host: 'cache', port: 6_379 },
        username: 'game',
        password: 'p@ss',
        database: 1,
        shown: 'redis://game:***@cache/1',
      },
    ],
    [
      'redis://:secret@cache',
      { ...plain, at: { host: 'cache', port: 6_379 }, password: 'secret', shown: 'redis://:***@cache' },
    ],
  ] as const)
    it(`reads ${url}`, () => {
      assert.deepEqual(sharedAddress({ url }, {}), { shown: url, ...expected });
    });

  it('takes the password that the environment holds before one in the address', () => {
    const options = { url: 'redis://game:old@cache', passwordEnv: 'CACHE_PASSWORD' };
    assert.equal(sharedAddress(options, { CACHE_PASSWORD: 'new' })?.password, 'new');
    assert.throws(
      () => sharedAddress(options, {}),
      /names the environment variable CACHE_PASSWORD, which is not set/,
    );
  });

  it('reads the authority that signed its certificate, and says when it is not there', () => {
    const caFile = import.meta.filename;
    const read = sharedAddress({ url: 'rediss://cache', caFile }, {});
    assert.match(read?.tls?.ca ?? '', /reads the authority/);
    assert.equal(sharedAddress({ url: 'redis://cache', caFile }, {})?.tls, null);
    assert.throws(
      () => sharedAddress({ url: 'rediss://cache', caFile: '/nowhere/ca.pem' }, {}),
      /caFile names \/nowhere\/ca.pem, which cannot be read \(ENOENT\)/,
    );
  });

  it('refuses what it cannot read, and never repeats a password', () => {
    for (const [url, message] of [
      ['cache:6379:x', /begins with "cache:"; expected redis:/],
      ['not an address', /cannot be read; expected/],
      ['https://:hunter2@cache', /begins with "https:"/],
      ['redis://', /names no host/],
      ['unix://cache/run.sock', /names no socket/],
      ['unix:///', /names no socket/],
      ['redis://:hunter2@cache/zero', /ends in "zero", which is no number/],
      ['redis://:hunter2@cache:99999', /cannot be read/],
      ['redis://:hunter2%zz@cache', /begins no escape/],
    ] as const)
      assert.throws(
        () => sharedAddress({ url }, {}),
        (error) =>
          error instanceof ServiceError &&
          error.code === 'config_invalid' &&
          message.test(error.message) &&
          !error.message.includes('hunter2'),
        url,
      );
  });

  it('never shows a password, whatever it is', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 6, unit: 'grapheme-ascii' }), (tail) => {
        const password = `Xq7${tail}`;
        const read = sharedAddress({ url: `redis://u:${encodeURIComponent(password)}@cache/0` }, {});
        assert.equal(read?.password, password);
        assert.equal(read.shown, 'redis://u:***@cache/0');
      }),
    );
  });
});
