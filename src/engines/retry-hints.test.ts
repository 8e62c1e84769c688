import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { retryHints } from './retry-hints.ts';

const DATE = 'Sat, 21 Nov 2026 08:00:00 GMT';

/** headers, what they hint at */
const HINTS: readonly (readonly [Record<string, string | string[]>, object])[] = [
  [{}, {}],
  [{ 'retry-after': '2' }, { retryAfterMs: 2_000 }],
  [{ 'retry-after': '0' }, { retryAfterMs: 0 }],
  [{ 'retry-after': ' 1.5 ' }, { retryAfterMs: 1_500 }],
  [{ 'retry-after': ['3', '4'] }, { retryAfterMs: 3_000 }],
  [{ 'retry-after': '20', 'retry-after-ms': '1250' }, { retryAfterMs: 1_250 }],
  [{ 'retry-after': '20', 'retry-after-ms': 'soon' }, { retryAfterMs: 20_000 }],
  [{ 'retry-after': '-5' }, {}],
  [{ 'retry-after': '-5', 'retry-after-ms': '-1' }, {}],
  [{ 'retry-after': 'Infinity' }, {}],
  [{ 'retry-after': '99999999999' }, { retryAfterMs: 3_600_000 }],
  [{ 'retry-after': 'Sat, 21 Nov 2026 08:00:30 GMT', date: DATE }, { retryAfterMs: 30_000 }],
  [{ 'retry-after': 'Sat, 21 Nov 2026 07:59:30 GMT', date: DATE }, {}],
  [{ 'retry-after': 'Sat, 21 Nov 2026 08:00:30 GMT' }, {}],
  [{ 'x-should-retry': 'false' }, { shouldRetry: false }],
  [
    { 'x-should-retry': 'TRUE', 'retry-after': '1' },
    { shouldRetry: true, retryAfterMs: 1_000 },
  ],
  [{ 'x-should-retry': 'perhaps' }, {}],
];

for (const [headers, expected] of HINTS)
  test(`${JSON.stringify(headers)} hints at ${JSON.stringify(expected)}`, () => {
    assert.deepEqual(retryHints(headers), expected);
  });

test('whatever the headers say, a hint is between now and an hour', () => {
  const header = fc.oneof(fc.string(), fc.double().map(String), fc.integer().map(String));
  fc.assert(
    fc.property(header, header, header, (after, afterMs, date) => {
      const { retryAfterMs } = retryHints({ 'retry-after': after, 'retry-after-ms': afterMs, date });
      if (retryAfterMs !== undefined)
        assert.ok(Number.isInteger(retryAfterMs) && retryAfterMs >= 0 && retryAfterMs <= 3_600_000);
    }),
  );
});
