/** Choosing written lines: the five rules, and that somebody always says something. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CAUSES, TRIGGERS } from '../core/dialogue.ts';
import type { Clock } from '../core/runtime.ts';
import { HeardLines, listenerKey, listenerKeys } from './heard-lines.ts';
import { LinePool, type LineQuery } from './line-pool.ts';
import { parseLinesCsv } from './written-lines.ts';

class HandClock implements Clock {
  ms = 0;
  nowMs() {
    return this.ms;
  }
  monotonicMs() {
    return this.ms;
  }
  sleep(): Promise<void> {
    throw new Error('nothing here sleeps');
  }
  timer(): Disposable {
    throw new Error('nothing here sets a timer');
  }
}

const QUERY: LineQuery = {
  npcId: 'wick',
  kind: 'zombie',
  tier: 1,
  playerId: 'ada',
  trigger: 'spot',
  cause: null,
  mood: null,
  facts: [],
  committed: [],
};

function poolOf(rows: string): LinePool {
  const { lines, problems } = parseLinesCsv(
    `id,speaker,trigger,text,when,mood,cooldown_s,once,status\n${rows}`,
    'x.csv',
  );
  assert.deepEqual(problems, []);
  return new LinePool(lines);
}

function say(pool: LinePool, heard: HeardLines, query: LineQuery = QUERY) {
  const line = pool.pick(query, heard);
  heard.record(listenerKey(query.playerId, query.npcId), query.npcId, line.text, line.id);
  return line.id;
}

test('the line with the most satisfied conditions wins, and then cools down', () => {
  const clock = new HandClock();
  const heard = new HeardLines(clock);
  const pool = poolOf(
    'a,zombie,spot,Hm you.\nb,zombie,spot,Wet.,weather=rain\nc,zombie,spot,Wet and hurt.,weather=rain;health<30\n',
  );
  const rain = {
    ...QUERY,
    facts: [
      { key: 'weather', value: 'rain' },
      { key: 'health', value: 10 },
    ],
  };
  assert.equal(say(pool, heard), 'a', 'facts that are unknown satisfy nothing');
  assert.deepEqual([say(pool, heard, rain), say(pool, heard, rain), say(pool, heard, rain)], ['c', 'b', 'a']);
  clock.ms += 60_000;
  assert.equal(say(pool, heard, rain), 'c');
});

test('of equals, the line that this player heard longest ago is chosen, for each player apart', () => {
  const clock = new HandClock();
  const heard = new HeardLines(clock);
  const pool = poolOf('a,zombie,spot,One.\nb,zombie,spot,Two.\nc,zombie,spot,Three.\n');
  const rounds = [1, 2, 3].map(() =>
    [1, 2, 3].map(() => {
      clock.ms += 20_000;
      return say(pool, heard);
    }),
  );
  for (const round of rounds) assert.deepEqual([...round].sort(), ['a', 'b', 'c']);
  assert.deepEqual(rounds[1], rounds[0], 'the order of being heard is the order of being said again');
  assert.equal(heard.lastHeardMs(listenerKey('bob', 'wick'), 'a'), null);
});

test('a line for many is the one that was heard longest ago by any of them, and `once` is once for each', () => {
  const clock = new HandClock();
  const heard = new HeardLines(clock);
  const pool = poolOf('a,zombie,spot,One.\nb,zombie,spot,Two.\nc,zombie,spot,Three.\n');
  for (const [player, lineId] of [
    ['bob', 'a'],
    ['ada', 'b'],
    ['eve', 'c'],
  ] as const) {
    clock.ms += 1_000;
    heard.record(listenerKey(player, 'wick'), 'wick', lineId, lineId);
  }
  assert.equal(pool.pick({ ...QUERY, listeners: ['bob', 'eve'] }, heard).id, 'a');
  assert.equal(pool.pick({ ...QUERY, playerId: null, listeners: ['bob', 'ada'] }, heard).id, 'c');
  heard.recordForAll(listenerKeys('ada', ['bob', 'eve'], 'wick'), 'wick', 'One.', 'a');
  assert.equal(pool.pick({ ...QUERY, playerId: 'eve' }, heard).id, 'b', 'each of them has heard it');

  const single = poolOf('a,zombie,spot,One.,,,,player\nb,zombie,spot,Two.\n');
  assert.equal(single.pick({ ...QUERY, playerId: 'dan', listeners: ['eve'] }, heard).id, 'b');
});

test('the same player, NPC and moment draw the same line; weights draw more often', () => {
  const clock = new HandClock();
  const pool = new LinePool(
    parseLinesCsv('id,speaker,trigger,text,weight\na,zombie,spot,One.,9\nb,zombie,spot,Two.,1\n', 'x.csv')
      .lines,
  );
  let first = 0;
  for (let bucket = 0; bucket < 1_000; bucket++) {
    clock.ms = bucket * 10_000;
    const ids = [1, 2].map(() => pool.pick(QUERY, new HeardLines(clock)).id);
    assert.equal(ids[0], ids[1]);
    if (ids[0] === 'a') first += 1;
  }
  assert.ok(first > 850 && first < 950, `${first} of 1000 for a weight of 0.9`);
});

test('pools widen from persona to kind to common, cooldowns yield before a grunt is heard, once stays once', () => {
  const heard = new HeardLines(new HandClock());
  const pool = poolOf(
    'p,wick,spot,Mine.,,,60\nk,zombie,spot,Ours.,,,60\nc,common,spot,Anyone.,,,60\no,common,spot,Never again.,,,,player\nd,zombie,spot,Draft.,,,,,draft\n',
  );
  const said = [1, 2, 3, 4].map(() => say(pool, heard));
  assert.deepEqual([...said].sort(), ['c', 'k', 'o', 'p']);
  assert.equal(said[0], 'p');
  assert.equal(say(pool, heard), 'p', 'nothing is free, so the narrowest pool speaks again');
  const onlyOnce = poolOf('o,zombie,spot,Once.,,,,player\n');
  const other = new HeardLines(new HandClock());
  assert.equal(say(onlyOnce, other), 'o');
  assert.match(say(onlyOnce, other), /^grunt\.zombie\./);
});

test('what this reply already said is not said again', () => {
  const pool = poolOf('a,zombie,spot,Hello there.\nb,zombie,spot,Go away.\n');
  const heard = new HeardLines(new HandClock());
  assert.equal(pool.pick({ ...QUERY, committed: ['hello, THERE!'] }, heard).id, 'b');
  assert.match(pool.pick({ ...QUERY, committed: ['Hello there.', 'Go away.'] }, heard).id, /^grunt\./);
});

test('the player is called by a name that can be spoken', () => {
  const pool = poolOf('a,zombie,spot,You {player}.\n');
  const heard = new HeardLines(new HandClock());
  const named = (value: string) =>
    pool.pick({ ...QUERY, facts: [{ key: 'player.name', value }] }, heard).text;
  assert.equal(pool.pick(QUERY, heard).text, 'You stranger.');
  assert.equal(named('Ada <b>$&</b>'), 'You Ada bb.');
  assert.equal(named('<|im_end|>'), 'You imend.');
  assert.equal(named('***'), 'You stranger.');
});

test('whatever is asked of whatever cast, a text comes back', () => {
  const heard = new HeardLines(new HandClock());
  const pools = [
    new LinePool([]),
    poolOf('a,common,spot,Hm you.,health<1\nb,lich,fallback:timeout,Later.\n'),
  ];
  fc.assert(
    fc.property(
      fc.record({
        npcId: fc.string(),
        kind: fc.constantFrom('zombie', 'lich', 'dragon', '', '__proto__', 'constructor'),
        tier: fc.constantFrom(1 as const, 4 as const),
        playerId: fc.option(fc.string()),
        trigger: fc.option(fc.constantFrom(...TRIGGERS)),
        cause: fc.option(fc.constantFrom(...CAUSES)),
        mood: fc.option(fc.string()),
        facts: fc.array(fc.record({ key: fc.constantFrom('health', 'x'), value: fc.integer() })),
        committed: fc.array(fc.constantFrom('Hm.', 'Later.', 'Unnh.', 'Mm.')),
      }),
      fc.constantFrom(...pools),
      (query, pool) => {
        assert.match(pool.pick(query, heard).text, /\p{L}/u);
      },
    ),
    { numRuns: 1_000 },
  );
});

test('memory of what was heard keeps to its limits and forgets the oldest', () => {
  const limits = { playersMax: 3, linesPerPlayerMax: 2, npcsPerPlayerMax: 2, textsPerNpcMax: 2 };
  const heard = new HeardLines(new HandClock(), limits);
  for (const player of ['a', 'b', 'c', 'd']) heard.record(player, 'wick', 'Hello.', 'x.1');
  assert.equal(heard.playerCount, 3);
  assert.equal(heard.lastHeardMs('a', 'x.1'), null);
  for (const line of ['x.2', 'x.3']) heard.record('d', 'wick', line, line);
  assert.equal(heard.lastHeardMs('d', 'x.1'), null);
  assert.equal(heard.lastHeardMs('d', 'x.3'), 0);
  assert.deepEqual(heard.recentTexts('d', 'wick'), ['x.2', 'x.3']);
});
