import assert from 'node:assert/strict';
import test from 'node:test';
import { type ModelProgress, ProgressMeter, percent, progressText } from './progress.ts';
import { barLine, createProgressDisplay, plainLine } from './progress-bar.ts';

const half: ModelProgress = {
  stage: 'fetching',
  source: 'hub',
  receivedBytes: 41_000_000,
  totalBytes: 100_000_000,
  bytesPerSecond: 10_000_000,
};

test('the bar shows size, speed and time left, and never breaks the line', () => {
  const line = barLine(half, 100);
  assert.match(
    line,
    /^fetching from the model hub █+░+ {2}41 % {2}41\.0\/100\.0 MB {2}10\.0 MB\/s {2}6 s left$/,
  );
  for (let columns = 1; columns < 140; columns += 1)
    assert.ok(barLine(half, columns).length < columns, `${columns} columns`);
});

test('without a terminal there is one plain line a stage, then one every few seconds', () => {
  let nowMs = 0;
  const written: string[] = [];
  using display = createProgressDisplay({
    write: (text) => written.push(text),
    isTerminal: false,
    columns: () => 80,
    monotonicMs: () => nowMs,
    plainEveryMs: 5_000,
  });
  for (nowMs = 0; nowMs <= 10_000; nowMs += 100) display.onProgress(half);
  display.onProgress({ ...half, stage: 'verifying' });
  assert.equal(written.length, 4);
  assert.equal(written[0], 'model: fetching from the model hub, 41 %, 41.0/100.0 MB, 10.0 MB/s, 6 s left\n');
  assert.equal(
    plainLine({ ...half, bytesPerSecond: 0 }),
    'model: fetching from the model hub, 41 %, 41.0/100.0 MB',
  );
  assert.ok(!written.join('').includes('\u001b'));
});

test('on a terminal the line is drawn over, a notice stands above it, and the end leaves a fresh line', () => {
  const written: string[] = [];
  {
    using display = createProgressDisplay({
      write: (text) => written.push(text),
      isTerminal: true,
      columns: () => 80,
      monotonicMs: () => 0,
    });
    display.onProgress(half);
    display.onNotice('not from hub: gone');
    display.onProgress(half);
  }
  assert.deepEqual(
    written.map((text) => text.replace(/fetching.*/, '…')),
    ['\r\u001b[2K…', '\r\u001b[2K', 'not from hub: gone\n', '\r\u001b[2K…', '\n'],
  );
});

test('the meter reports at most ten times a second, the last byte always, and what was there is no speed', () => {
  let nowMs = 0;
  const heard: ModelProgress[] = [];
  const clock = {
    nowMs: () => nowMs,
    monotonicMs: () => nowMs,
    sleep: () => Promise.resolve(),
    timer: () => ({ [Symbol.dispose]: () => {} }),
  };
  const meter = new ProgressMeter(clock, 1_000, (progress) => heard.push(progress));
  meter.begin('fetching', 'hub', 500);
  for (nowMs = 1; nowMs < 100; nowMs += 1) meter.advance(510);
  assert.equal(heard.length, 1);
  nowMs = 200;
  meter.advance(600);
  assert.equal(heard[1]?.bytesPerSecond, 500);
  nowMs = 201;
  meter.advance(1_000);
  assert.equal(heard.length, 3);
  assert.equal(percent(heard[2] ?? half), 100);
  assert.equal(progressText(half), 'fetching 41 %');
  assert.equal(percent({ receivedBytes: 999, totalBytes: 1_000 }), 99);
});
