/** Retention and a date that jumps: what was said is not lost to a clock that was set wrong. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turnOfLoop } from 'node:timers/promises';
import { silentLogger } from '../telemetry/log.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { Access } from './access.ts';
import { StoredConversations } from './conversations.ts';
import { migrate } from './migrate.ts';
import { pruneForever } from './prune.ts';
import { MEMORY_FILE, openSqlite } from './sqlite.ts';

const DAY_MS = 86_400_000;

class JumpingClock extends ManualClock {
  jumpMs = 0;
  override nowMs(): number {
    return super.nowMs() + this.jumpMs;
  }
}

test('a date that jumps past the retention removes nothing for a day, and the true passing of time does', async () => {
  const clock = new JumpingClock();
  const backend = await openSqlite(MEMORY_FILE, clock, new AbortController().signal);
  const access = new Access({ backend, clock, log: silentLogger });
  await access.run('migrate', (db) => migrate(db, 'sqlite', 0));
  const conversations = new StoredConversations(access);
  const turn = { conversationId: 'c', timelineId: 'main', playerText: 'Hm?', npcText: 'Hm.', turn: 0 };
  await conversations.appendTurn({ ...turn, interrupted: false, gameTime: null, atMs: clock.nowMs() });
  const kept = async () => (await conversations.loadWindow('c', 'main', 5)).length;
  const minutes = async (count: number) => {
    for (let minute = 0; minute < count; minute++) {
      clock.advance(60_000);
      for (let turnNumber = 0; turnNumber < 20; turnNumber++) await turnOfLoop();
    }
  };
  const pruning = pruneForever(access, 30);
  clock.jumpMs = 400 * DAY_MS;
  await minutes(5);
  assert.equal(await kept(), 1, 'a jump of the date has removed what was said');
  clock.jumpMs = 0;
  await minutes(2);
  assert.equal(await kept(), 1);
  clock.jumpMs = 400 * DAY_MS;
  await minutes(24 * 60 + 5);
  assert.equal(await kept(), 0, 'a date that has held for a day is believed');
  await access.close();
  await pruning;
});
