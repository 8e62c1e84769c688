/** Result files become tables that say what was measured, its spread, and what was not there. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { resultAsMarkdown } from './result-tables.ts';

const FRAME = {
  commit: 'abc1234',
  machine: { cpu: 'A|B', cores: 2, memoryGb: 8, system: 'linux 6' },
  versions: { node: 'v24.0.0' },
  seed: 1,
  bars: [],
};

test('a median and its spread share a cell, and units stand in the heading', () => {
  const text = resultAsMarkdown({
    ...FRAME,
    rows: [
      { engine: 'ours', tokensPerSecond: 5, tokensPerSecondLow: 4, tokensPerSecondHigh: 6, ttftP50Ms: 9 },
    ],
  });
  assert.match(text, /\| engine +\| tokens\/s +\| TTFT p50 \(ms\) \|/);
  assert.match(text, /\| ours +\| 5 \(4 to 6\) +\| 9 +\|/);
});

test('an absent rival is called absent, with the reason and the command that installs it, and has no figure', () => {
  const text = resultAsMarkdown({
    ...FRAME,
    rows: [
      { case: 'one client', gateway: 'ours', requests: 3, p50Ms: 1 },
      { case: 'one client', gateway: 'rival', result: 'absent', reason: 'not built', install: 'npm run x' },
    ],
  });
  assert.match(text, /One client:\n\n\| gateway \| requests \| p50 \(ms\) \|/);
  assert.match(text, /\| rival +\| absent +\| +\|/);
  assert.match(text, /\n\nrival is absent: not built\n/);
  assert.match(text, /Install what is absent: `npm run x`/);
});

test('a bar that could not be measured neither holds nor fails', () => {
  const bars = [
    { name: 'a', value: null, bound: '>= 5', holds: null, note: 'absent' },
    { name: 'b', value: 2, bound: '>= 5', holds: false, note: '' },
  ];
  const text = resultAsMarkdown({ ...FRAME, rows: [], bars });
  assert.match(text, /\| a +\| – +\| >= 5 +\| – +\| absent +\|/);
  assert.match(text, /\| b +\| 2 +\| >= 5 +\| \*\*no\*\* +\| +\|/);
});
