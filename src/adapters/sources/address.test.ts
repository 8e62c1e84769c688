import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { ServiceError } from '../../core/errors.ts';
import { type AdapterSource, absoluteSource, describeSource, formatSource, parseSource } from './address.ts';

const DIGEST = 'ab'.repeat(32);

const refusal = (text: string): string => {
  try {
    parseSource(text);
  } catch (error) {
    assert.ok(error instanceof ServiceError, String(error));
    assert.equal(error.code, 'bad_request');
    return error.message;
  }
  return assert.fail(`${JSON.stringify(text)} was taken`);
};

test('each way to write a source is read', () => {
  const sha256 = null;
  const table: readonly (readonly [string, AdapterSource])[] = [
    ['./lich', { kind: 'local', path: './lich', sha256 }],
    ['../a b/lich.gguf', { kind: 'local', path: '../a b/lich.gguf', sha256 }],
    ['/srv/c#1', { kind: 'local', path: '/srv/c#1', sha256 }],
    ['C:\\lich', { kind: 'local', path: 'C:\\lich', sha256 }],
    ['.', { kind: 'local', path: '.', sha256 }],
    [`./l#sha256=${DIGEST.toUpperCase()}`, { kind: 'local', path: './l', sha256: DIGEST }],
    ['https://h/l/', { kind: 'web', shape: 'folder', url: 'https://h/l/', sha256 }],
    ['http://h:8/l.GGUF?k=v', { kind: 'web', shape: 'gguf', url: 'http://h:8/l.GGUF?k=v', sha256 }],
    [
      `HTTPS://h/../l.safetensors#sha256=${DIGEST}`,
      { kind: 'web', shape: 'safetensors', url: 'https://h/l.safetensors', sha256: DIGEST },
    ],
    ['hf://o/r', { kind: 'hub', repository: 'o/r', revision: null, path: '', sha256 }],
    ['hf://o/r@v1.0/a/b', { kind: 'hub', repository: 'o/r', revision: 'v1.0', path: 'a/b', sha256 }],
    [
      'hf://o/r@refs%2Fpr%2F3/l.gguf',
      { kind: 'hub', repository: 'o/r', revision: 'refs/pr/3', path: 'l.gguf', sha256 },
    ],
    ['s3://bucket', { kind: 'bucket', bucket: 'bucket', key: '', sha256 }],
    ['s3://my.bucket/a b/l/', { kind: 'bucket', bucket: 'my.bucket', key: 'a b/l', sha256 }],
  ];
  for (const [text, expected] of table) assert.deepEqual(parseSource(text), expected, text);
});

test('what cannot be used is refused with what would be right', () => {
  const table: readonly (readonly [string, RegExp])[] = [
    ['', /is empty; expected \.\/folder/],
    ['x'.repeat(2_049), /2049 characters; at most 2048/],
    ['./a\u0000b', /control character/],
    ['./a\ud800', /half a character/],
    ['lich/seven', /write \.\/lich\/seven for a path.* or hf:\/\/lich\/seven/],
    ['file:/etc/passwd', /expected \.\/folder/],
    ['file:///etc/passwd', /file:\/\/ is no source/],
    ['ftp://h/l/', /ftp:\/\/ is no source/],
    ['git+ssh://h/l/', /git\+ssh:\/\/ is no source/],
    ['https://', /no web address/],
    ['https://h/lich', /ends with \//],
    ['https://me:secret@h/l/', /no user name or password/],
    ['https://h/l/#main', /the only thing that may follow #/],
    ['https://h/l/#', /the only thing that may follow #/],
    ['https://h/l/#sha256=12', /64 hexadecimal digits/],
    ['https://h/adapter_model.bin', /pickle.*safe_serialization/],
    ['./adapter_model.pt', /pickle/],
    ['s3://bucket/l.ckpt', /pickle/],
    ['hf://o/r/l.tar.gz', /archives are not unpacked/],
    ['hf://r', /hf:\/\/owner\/repository/],
    ['hf://../r', /hf:\/\/owner\/repository/],
    ['hf://o/r@', /hf:\/\/owner\/repository/],
    ['hf://o/r@a..b', /holds no \.\./],
    ['hf://o/r@-f', /is no revision/],
    ['hf://o/r@a%2F%2Fb', /is no revision/],
    ['hf://o/r/a/../../b', /holds no "\.\."/],
    ['hf://o/r/a//b', /holds no empty name/],
    ['hf://o/r/a\\b', /holds no/],
    ['s3://AB/l', /no bucket's name/],
    ['s3://a..b/l', /no bucket's name/],
    ['s3://bucket//l', /holds no empty name/],
    ['s3://bucket/./l', /holds no "\."/],
    [`s3://bucket/${'ü'.repeat(600)}`, /more than 1024 bytes/],
  ];
  for (const [text, expected] of table) assert.match(refusal(text), expected, text);
});

test('neither a password nor a signature of a refused address is repeated', () => {
  assert.doesNotMatch(refusal('https://me:secret@h/l/'), /secret/);
  assert.doesNotMatch(refusal('https://h/lich?X-Amz-Signature=secret'), /secret/);
  assert.equal(describeSource(parseSource('https://h/l/?sig=secret')), 'https://h/l/');
});

test('a local path means the same in another process once it is absolute', () => {
  assert.deepEqual(absoluteSource(parseSource('../l'), '/srv/game'), parseSource('/srv/l'));
  assert.deepEqual(absoluteSource(parseSource('s3://bucket'), '/srv'), parseSource('s3://bucket'));
});

const word = fc.stringMatching(/^[a-z0-9][a-zA-Z0-9_é +-]{0,10}[a-z0-9]$/);
const innerPath = fc.array(word, { maxLength: 4 }).map((names) => names.join('/'));
const hubWord = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,20}[A-Za-z0-9]$/);
const sha256 = fc.option(fc.stringMatching(/^[0-9a-f]{64}$/), { nil: null });
const anySource: fc.Arbitrary<AdapterSource> = fc.oneof(
  fc.record({
    kind: fc.constant('local' as const),
    path: fc.tuple(fc.constantFrom('./', '/', '../'), innerPath).map((parts) => parts.join('')),
    sha256,
  }),
  fc.record({
    kind: fc.constant('hub' as const),
    repository: fc.tuple(hubWord, hubWord).map((names) => names.join('/')),
    revision: fc.option(fc.stringMatching(/^[A-Za-z0-9_]{1,9}(\/[A-Za-z0-9_]{1,9}){0,2}$/), { nil: null }),
    path: innerPath,
    sha256,
  }),
  fc.record({
    kind: fc.constant('bucket' as const),
    bucket: fc.stringMatching(/^[a-z0-9][a-z0-9-]{1,20}[a-z0-9]$/),
    key: innerPath,
    sha256,
  }),
  fc
    .record({
      url: fc.webUrl({ withQueryParameters: true }),
      file: fc.constantFrom('', 'a.gguf', 'b.safetensors'),
      sha256,
    })
    .map(({ url, file, sha256: digest }) => {
      const base = new URL(url);
      base.pathname = `${base.pathname.replace(/\/*$/, '')}/${file}`;
      const shape = file === '' ? 'folder' : file.endsWith('gguf') ? 'gguf' : 'safetensors';
      return { kind: 'web' as const, shape: shape as 'folder', url: base.href, sha256: digest };
    }),
);

test('whatever is written back parses to the same', () => {
  fc.assert(
    fc.property(anySource, (source) => {
      assert.deepEqual(parseSource(formatSource(source)), { ...source });
    }),
  );
});

test('any text is either refused by name or is a source that stays inside its place', () => {
  const hostile = fc.constantFrom('..', '.', '', '/', '\\', '@', '#', '%2F', '%2e%2e', '\u0000', '?', ':');
  const text = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 60 }),
    fc
      .tuple(
        fc.constantFrom('./', '/', 'hf://', 'hf://o/r', 's3://', 's3://bucket/', 'https://h/', 'file://', ''),
        fc.array(fc.oneof(hostile, fc.string({ maxLength: 6 })), { maxLength: 8 }),
      )
      .map(([scheme, pieces]) => scheme + pieces.join('')),
  );
  fc.assert(
    fc.property(text, (each) => {
      let source: AdapterSource;
      try {
        source = parseSource(each);
      } catch (error) {
        assert.ok(error instanceof ServiceError && error.code === 'bad_request', String(error));
        return;
      }
      assert.deepEqual(parseSource(formatSource(source)), source);
      const inside = source.kind === 'hub' ? source.path : source.kind === 'bucket' ? source.key : '';
      if (inside !== '')
        for (const name of inside.split('/'))
          assert.ok(!['', '.', '..'].includes(name) && !name.includes('\\'));
      if (source.kind === 'web') assert.ok(['http:', 'https:'].includes(new URL(source.url).protocol));
    }),
    { numRuns: 2_000 },
  );
});
