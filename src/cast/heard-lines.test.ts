import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../testing/manual-clock.ts';
import { HeardLines, listenerKey, listenerKeys, playersHearing } from './heard-lines.ts';

test('a line is heard by each known player once; where none is known, by those who are near', () => {
  assert.deepEqual(listenerKeys('ada', ['bob', 'ada', 'bob'], 'vey'), ['player ada', 'player bob']);
  assert.deepEqual(listenerKeys(null, ['bob'], 'vey'), ['player bob']);
  assert.deepEqual(listenerKeys(null, [], 'vey'), [listenerKey(null, 'vey')]);
  assert.deepEqual(playersHearing(null, []), []);
});

test('what a crowd has heard of an NPC: each sentence once, the newest of each listener first', () => {
  const heard = new HeardLines(new ManualClock());
  heard.record('a', 'vey', 'Old.', null);
  heard.recordForAll(['a', 'b'], 'vey', 'Shared.', null);
  heard.record('b', 'vey', 'New.', null);
  heard.record('b', 'wick', 'Not mine.', null);
  assert.deepEqual(heard.recentTextsOfAny(['a', 'b', 'c'], 'vey'), ['Shared.', 'New.', 'Old.']);
  assert.deepEqual(heard.recentTextsOfAny(['a'], 'vey'), heard.recentTexts('a', 'vey'));
  assert.deepEqual(heard.recentTextsOfAny([], 'vey'), []);
});

test('sixty-five listeners who heard different things are held against their newest sentences, a bounded number', () => {
  const heard = new HeardLines(new ManualClock());
  const crowd = Array.from({ length: 65 }, (_, number) => `player ${number}`);
  for (const listener of crowd)
    for (let line = 0; line < 24; line++) heard.record(listener, 'vey', `${listener} ${line}`, null);
  const texts = heard.recentTextsOfAny(crowd, 'vey');
  assert.equal(texts.length, 64);
  for (const text of texts) assert.match(text, / 23$/);
});

test('a line that any of them heard was heard', () => {
  const clock = new ManualClock();
  const heard = new HeardLines(clock);
  assert.equal(heard.lastHeardByAnyMs(['a', 'b'], 'l'), null);
  heard.record('a', 'vey', 'L.', 'l');
  clock.advance(10);
  heard.record('b', 'vey', 'L.', 'l');
  assert.equal(heard.lastHeardByAnyMs(['b', 'a'], 'l'), 10);
  assert.equal(heard.lastHeardByAnyMs(['c'], 'l'), null);
});
