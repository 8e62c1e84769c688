import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeSse, encodeSse, encodeSseComment, SseDecoder, type SseEvent, SseTooLongError } from './sse.ts';

const limits = { maxEventBytes: 1024 };

/** The standard's algorithm, written for reading and not for speed, over the whole body at once. */
function reference(body: Uint8Array): { events: SseEvent[]; endedInsideEvent: boolean } {
  const text = new TextDecoder('utf-8', { ignoreBOM: false }).decode(body);
  const lines = text.split(/\r\n|\r|\n/);
  const rest = lines.pop() ?? '';
  const events: SseEvent[] = [];
  let event = '';
  let data: string[] = [];
  let id = '';
  for (const line of lines) {
    if (line === '') {
      if (data.length > 0) {
        events.push({ event: event || 'message', data: data.join('\n'), ...(id ? { id } : {}) });
      }
      event = '';
      data = [];
      continue;
    }
    const match = /^([^:]*)(?:: ?(.*))?$/s.exec(line);
    const [, name = '', value = ''] = match ?? [];
    if (name === 'event') event = value;
    if (name === 'data') data.push(value);
    if (name === 'id' && !value.includes('\0')) id = value;
  }
  return { events, endedInsideEvent: rest !== '' || data.length > 0 || event !== '' };
}

function decodeInChunks(body: Uint8Array, cuts: readonly number[]) {
  const decoder = new SseDecoder(limits);
  const events: SseEvent[] = [];
  const bounds = [0, ...[...cuts].sort((a, b) => a - b), body.length];
  for (let index = 1; index < bounds.length; index += 1) {
    // A view that is overwritten afterwards, as transports do that reuse their buffer.
    const chunk = body.slice(bounds[index - 1], bounds[index]);
    events.push(...decoder.push(chunk));
    chunk.fill(0x58);
  }
  return { events, endedInsideEvent: decoder.isInsideEvent };
}

const bytes = (text: string) => new TextEncoder().encode(text);

const bodies = [
  'data: {"choices":[{"delta":{"content":"Hel"}}]}\n\ndata: [DONE]\n\n',
  'event: sentence\r\nid: 7\r\ndata: {"text":"Nüchtern 🦇 夜"}\r\n\r\n: keep-alive\r\n\r\ndata:two\r\ndata: lines\r\n\r\n',
  '\uFEFFdata: after a mark\r\rdata\r\revent: lonely\r\rdata:  two spaces\r\r',
  ': ping\n\n\n\nretry: 10\nunknown\ndata:\n\ndata: cut off',
  'data: a\n\nevent: b\n',
  'id: 1\ndata: x\n\nid\ndata: y\n\nid: n\0l\ndata: z\n\n',
];

test('a body gives the same events wherever it is cut, byte by byte', () => {
  for (const text of bodies) {
    const body = bytes(text);
    const expected = reference(body);
    assert.deepEqual(decodeInChunks(body, []), expected, text);
    for (let cut = 0; cut <= body.length; cut += 1) {
      assert.deepEqual(decodeInChunks(body, [cut]), expected, `${JSON.stringify(text)} cut at ${cut}`);
    }
    assert.deepEqual(
      decodeInChunks(
        body,
        Array.from(body, (_, index) => index),
      ),
      expected,
    );
  }
});

test('any lines in any chunking agree with the standard, also bytes that are not UTF-8', () => {
  const line = fc.oneof(
    fc.constantFrom(
      'data: a',
      'data:b',
      'data',
      'event: e',
      'id: 4',
      ': comment',
      '',
      'dat',
      'data : c',
      '\uFEFF',
    ),
    fc.string({ unit: 'grapheme', maxLength: 12 }).map((value) => `data: ${value}`),
  );
  const part = fc.oneof(
    fc.tuple(line, fc.constantFrom('\n', '\r\n', '\r', '\n\n')).map(([text, end]) => bytes(text + end)),
    fc.uint8Array({ maxLength: 6 }),
  );
  fc.assert(
    fc.property(fc.array(part, { maxLength: 12 }), fc.array(fc.nat(200), { maxLength: 8 }), (parts, cuts) => {
      const body = new Uint8Array(parts.flatMap((each) => [...each]));
      const inside = cuts.map((cut) => Math.min(cut, body.length));
      assert.deepEqual(decodeInChunks(body, inside), reference(body));
    }),
    { numRuns: 500 },
  );
});

test('what is encoded is decoded again', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'grapheme', maxLength: 60 }),
      fc.constantFrom('message', 'done', 'sentence'),
      (data, event) => {
        const body = bytes(encodeSseComment('beat\nbeat') + encodeSse({ event, data }));
        const normal = bytes(data.replace(/\r\n?/g, '\n').toWellFormed());
        assert.deepEqual(decodeInChunks(body, []).events, [
          { event, data: new TextDecoder('utf-8', { ignoreBOM: true }).decode(normal) },
        ]);
      },
    ),
  );
  assert.equal(encodeSse({ data: 'x' }), 'data: x\n\n');
  assert.equal(encodeSse({ event: 'done', data: '{}', id: '3' }), 'event: done\nid: 3\ndata: {}\n\n');
  assert.throws(() => encodeSse({ event: 'a\nb', data: '' }), /line end/);
});

test('an over-long line, comment or event fails, and in any chunking', () => {
  const small = { maxEventBytes: 16 };
  for (const text of [
    `data: ${'x'.repeat(17)}\n\n`,
    `: ${'x'.repeat(17)}\n`,
    'data: 12345678\ndata: 12345678\n\n',
    `data: ${'夜'.repeat(6)}\n\n`,
  ]) {
    const body = bytes(text);
    assert.throws(() => new SseDecoder(small).push(body), SseTooLongError, text);
    assert.throws(() => {
      const decoder = new SseDecoder(small);
      for (const byte of body) decoder.push(Uint8Array.of(byte));
    }, SseTooLongError);
  }
  assert.equal(new SseDecoder(small).push(bytes('data: 1234567890\n\n')).length, 1);
});

test('the generator says whether the body ended inside an event, and closes its source when left early', async () => {
  let isClosed = false;
  async function* source(...texts: string[]) {
    try {
      for (const text of texts) yield await Promise.resolve(bytes(text));
    } finally {
      isClosed = true;
    }
  }
  const whole = decodeSse(source('data: 1\n', '\ndata: 2'), limits);
  assert.deepEqual(await whole.next(), { done: false, value: { event: 'message', data: '1' } });
  assert.deepEqual(await whole.next(), { done: true, value: { endedInsideEvent: true } });

  isClosed = false;
  for await (const event of decodeSse(source('data: 1\n\n', 'data: 2\n\n'), limits)) {
    assert.equal(event.data, '1');
    break;
  }
  assert.equal(isClosed, true);
});
