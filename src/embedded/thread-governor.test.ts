import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { idleCoreMeter } from './idle-cores.ts';
import { ThreadGovernor } from './thread-governor.ts';

type Machine = (threads: number, tokens: number) => number;

/** Runs passes on a machine that takes `passMs(threads, tokens)` each; returns the time at the end. */
function run(governor: ThreadGovernor, passMs: Machine, steps: number, nowMs = 0): number {
  let time = nowMs;
  for (let step = 0; step < steps; step++) {
    const tokens = 1 + (step % 8);
    const durationMs = passMs(governor.threads, tokens);
    time += durationMs;
    governor.observe({ tokens, durationMs, nowMs: time });
  }
  return time;
}

describe('ThreadGovernor', () => {
  const unknown = () => null;
  const quiet: Machine = (threads, tokens) => tokens * (8 / threads + 0.2);
  /** As measured: the barriers cost per pass. */
  const contended: Machine = (threads, tokens) => tokens * 12 + (threads === 1 ? 0 : 1_300);
  const flat: Machine = (threads, tokens) => tokens * (threads <= 2 ? 8 / threads : 6);

  it('climbs to all threads on a quiet machine and stays', () => {
    for (const most of [1, 2, 3, 6, 16]) {
      const governor = new ThreadGovernor(most, unknown);
      run(governor, quiet, 60);
      assert.equal(governor.threads, most);
    }
  });

  it('falls to what works when another program takes a core, and tries again ever more rarely', () => {
    const governor = new ThreadGovernor(2, unknown);
    const before = run(governor, quiet, 60);
    const steps = 400;
    const time = run(governor, contended, steps, before) - before;
    const alone = (steps / 8) * 36 * 12;
    assert.ok(time < alone * 2, `${time} ms against ${alone} ms with one thread all the time`);
  });

  it('comes back when the core is free again', () => {
    const governor = new ThreadGovernor(2, unknown);
    let time = run(governor, contended, 100);
    time = run(governor, quiet, 60_000 / 8, time);
    assert.equal(governor.threads, 2);
  });

  it('stays where more threads bring nothing', () => {
    const governor = new ThreadGovernor(4, unknown);
    run(governor, flat, 2_000);
    assert.ok(governor.threads <= 4);
    const counts: number[] = [];
    for (let step = 0; step < 200; step++) {
      counts.push(governor.threads);
      run(governor, flat, 1, 100_000 + step * 10);
    }
    assert.ok(counts.filter((threads) => threads === 2).length > 150);
  });

  it('does not even try where no core stands idle, and does as soon as one does', () => {
    let idle = 0.1;
    const governor = new ThreadGovernor(2, () => idle);
    for (let step = 0; step < 500; step++) {
      run(governor, contended, 1, step * 20);
      assert.equal(governor.threads, 1);
    }
    idle = 0.95;
    run(governor, quiet, 10, 20_000);
    assert.equal(governor.threads, 2);
  });
});

describe('idleCoreMeter', () => {
  it('counts the cores that stood idle between two calls', () => {
    const core = (user: number, idle: number) => ({
      model: '',
      speed: 0,
      times: { user, nice: 0, sys: 0, idle, irq: 0 },
    });
    const reads = [
      [core(0, 0), core(0, 0)],
      [core(40, 10), core(0, 50)],
      [core(1_000, 0), core(250, 750)],
    ];
    const meter = idleCoreMeter(() => reads.shift() ?? []);
    assert.equal(meter(), null, 'too soon to tell');
    assert.equal(meter(), 0.75);
    assert.equal(meter(), null, 'no counters here');
  });
});
