import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate as turnOfLoop } from 'node:timers/promises';
import { ManualClock } from '../../testing/manual-clock.ts';
import { inTime } from './in-time.ts';

describe('an answer in time', () => {
  it('is given as it comes, and leaves no timer', async () => {
    const clock = new ManualClock();
    assert.deepEqual(await inTime(Promise.resolve(7), 2, clock), { value: 7 });
    const reason = new Error('broken');
    await assert.rejects(inTime(Promise.reject(reason), 2, clock), reason);
    assert.equal(clock.waiting, 0);
  });

  it('is not waited for longer, and may come or fail later', async () => {
    for (const end of ['resolve', 'reject'] as const) {
      const clock = new ManualClock();
      const answer = Promise.withResolvers<number>();
      const asked = inTime(answer.promise, 2, clock);
      clock.advance(1.9);
      clock.advance(0.1);
      assert.equal(await asked, 'late');
      if (end === 'resolve') answer.resolve(1);
      else answer.reject(new Error('too late'));
      await turnOfLoop();
    }
  });

  it('is looked for once more when we were the late ones', async () => {
    const clock = new ManualClock();
    const answer = Promise.withResolvers<number>();
    const asked = inTime(answer.promise, 2, clock);
    clock.advance(50);
    answer.resolve(1);
    assert.deepEqual(await asked, { value: 1 });
    const never = inTime(new Promise<number>(() => {}), 2, clock);
    clock.advance(50);
    clock.advance(50);
    assert.equal(await never, 'late');
    assert.equal(clock.waiting, 0);
  });
});
