import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeNdjson, NdjsonTooLongError } from './ndjson.ts';

async function* inPieces(...pieces: readonly (string | Uint8Array)[]) {
  for (const piece of pieces) yield typeof piece === 'string' ? Buffer.from(piece) : piece;
}

async function lines(maxLineBytes: number, ...pieces: readonly (string | Uint8Array)[]): Promise<string[]> {
  const found: string[] = [];
  for await (const line of decodeNdjson(inPieces(...pieces), { maxLineBytes })) found.push(line);
  return found;
}

const TEXT = '{"a":"grüß 🧛"}\r\n\n{"b":2}\n \n{"c":"last, with no line end"}';
const EXPECTED = ['{"a":"grüß 🧛"}', '{"b":2}', '{"c":"last, with no line end"}'];

test('lines come whole wherever the bytes are cut', async () => {
  const bytes = Buffer.from(TEXT);
  for (let cut = 0; cut <= bytes.length; cut += 1)
    assert.deepEqual(await lines(100, bytes.subarray(0, cut), bytes.subarray(cut)), EXPECTED);
  assert.deepEqual(await lines(100, ...[...bytes].map((byte) => Uint8Array.of(byte))), EXPECTED);
});

test('any JSON values come back, under any chunking', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.json(), { maxLength: 8 }),
      fc.array(fc.nat(40), { maxLength: 20 }),
      async (values, cuts) => {
        const bytes = Buffer.from(values.map((value) => `${value}\n`).join(''));
        const pieces: Uint8Array[] = [];
        let at = 0;
        for (const size of cuts) {
          pieces.push(bytes.subarray(at, at + size));
          at += size;
        }
        pieces.push(bytes.subarray(at));
        assert.deepEqual(await lines(100_000, ...pieces), values);
      },
    ),
  );
});

test('bytes that are no UTF-8 are no failure of the decoder', async () => {
  assert.deepEqual(await lines(10, Uint8Array.of(0xff, 0x0a, 0xc3), Uint8Array.of(0x0a)), ['�', '�']);
});

test('a line may be as long as the limit, its line end apart, and not a byte longer', async () => {
  for (const end of ['\n', '\r\n', '']) assert.deepEqual(await lines(6, `abc`, `def${end}`), ['abcdef']);
  for (const end of ['\n', '\r\n', '', 'h'])
    await assert.rejects(lines(6, 'abc', `defg${end}`), NdjsonTooLongError);
  await assert.rejects(lines(6, 'abcdefg\n'), /longer than 6 bytes/);
});

test('a line without end is refused long before it is whole, and the source is let go', async () => {
  const state = { given: 0, returned: false };
  async function* endless() {
    try {
      for (;;) {
        state.given += 1;
        yield Buffer.alloc(1_000, 'x');
      }
    } finally {
      state.returned = true;
    }
  }
  const reading = decodeNdjson(endless(), { maxLineBytes: 10_000 });
  await assert.rejects(reading.next(), NdjsonTooLongError);
  assert.deepEqual(state, { given: 11, returned: true });
});

test('a reader that leaves lets the source go', async () => {
  let isReturned = false;
  async function* source() {
    try {
      yield Buffer.from('{}\n{}\n');
    } finally {
      isReturned = true;
    }
  }
  for await (const _ of decodeNdjson(source(), { maxLineBytes: 10 })) break;
  assert.ok(isReturned);
});

test('what breaks the source is passed on after the lines before it', async () => {
  async function* broken() {
    yield Buffer.from('{}\n{"cut');
    throw new Error('reset');
  }
  const found: string[] = [];
  await assert.rejects(async () => {
    for await (const line of decodeNdjson(broken(), { maxLineBytes: 10 })) found.push(line);
  }, /reset/);
  assert.deepEqual(found, ['{}']);
});
