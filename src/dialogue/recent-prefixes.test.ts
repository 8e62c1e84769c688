import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RecentPrefixes } from './recent-prefixes.ts';

const messages = (content: string) => [{ role: 'system', content } as const];

test('the prefixes used most are warmed first, and only a few', () => {
  const recent = new RecentPrefixes();
  for (const [name, times] of [
    ['a', 2],
    ['b', 5],
    ['c', 1],
    ['d', 3],
    ['e', 4],
  ] as const)
    for (let time = 0; time < times; time += 1) recent.note(name, messages(name));
  assert.deepEqual(
    recent.mostUsed().map(([first]) => first?.content),
    ['b', 'e', 'd', 'a'],
  );
});

test('a crowd of yesterday gives way to one of today', () => {
  const recent = new RecentPrefixes();
  for (let time = 0; time < 900; time += 1) recent.note('old', messages('old'));
  for (let time = 0; time < 3_000; time += 1) recent.note('new', messages('new'));
  assert.equal(recent.mostUsed()[0]?.[0]?.content, 'new');
});

test('personas beyond the limit are forgotten, the longest unused first', () => {
  const recent = new RecentPrefixes();
  for (let time = 0; time < 9; time += 1) recent.note('gone', messages('gone'));
  for (let index = 0; index < 256; index += 1) recent.note(`npc${index}`, messages(`npc${index}`));
  assert.ok(!recent.mostUsed().some(([first]) => first?.content === 'gone'));
});
