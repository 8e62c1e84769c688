/** The loop that keeps a gateway's pool and the store in step: seconds between gateways, and a store that goes away. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate as turnOfLoop } from 'node:timers/promises';
import { ServiceError } from '../core/errors.ts';
import type { LearnedLineStore, LineDecision, LineEvidence } from '../core/learned-line.ts';
import type { Logger } from '../core/runtime.ts';
import { silentLogger } from '../telemetry/log.ts';
import { aSmallCast, hearing } from '../testing/line-learning.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { LineLearning } from './line-learning.ts';
import { type LineLearningOptions, lineLearningOptionsSchema } from './line-learning-options.ts';

const WINE = 'Sit down, the wine will not drink itself.';

/** What another gateway and a failing network do to a store. */
function aStore() {
  const noted: LineEvidence[] = [];
  const asked: string[] = [];
  const state = { isDown: false, decisions: [] as LineDecision[], old: 0 };
  const ask = <T>(what: string, answer: T): Promise<T> => {
    asked.push(what);
    return state.isDown
      ? Promise.reject(new ServiceError('store_unavailable', 'away'))
      : Promise.resolve(answer);
  };
  const store: Pick<LearnedLineStore, 'note' | 'decisions' | 'stamp' | 'forget'> = {
    note: async (evidence) => {
      await ask('note', null);
      noted.push(...evidence);
    },
    decisions: () => ask('decisions', state.decisions),
    stamp: () => ask('stamp', `${state.decisions.length}`),
    forget: () => {
      const part = Math.min(2, state.old);
      state.old -= part;
      return ask('forget', part);
    },
  };
  return { store: store as LearnedLineStore, noted, asked, state };
}

function anApproved(number: number): LineDecision {
  const text = `Line number ${number}.`;
  return {
    evidenceId: `e${number}`,
    verdict: 'approved',
    by: 'Mara',
    atMs: 1,
    kind: 'vampire',
    occasion: 'greet',
    text,
    line: {
      id: `vampire.greet.learned-${String(number).padStart(3, '0')}`,
      evidenceId: `e${number}`,
      status: 'approved',
      ...{ text, speaker: 'vampire', trigger: 'greet', when: [], mood: null, locale: 'en' },
      ...{ original: text, heard: 12, players: 6, approvedBy: 'Mara', approvedAtMs: 1 },
      ...{ retiredBy: null, retiredAtMs: null },
    },
  };
}

function aLoop() {
  const clock = new ManualClock();
  const cast = aSmallCast();
  const { store, noted, asked, state } = aStore();
  const warned: string[] = [];
  const log: Logger = { ...silentLogger, warn: (event) => warned.push(event) };
  const learning = new LineLearning({ cast, store, clock, log });
  const stop = new AbortController();
  const ended = learning.run(stop.signal);
  const pass = async (ms: number) => {
    for (let left = ms; left > 0; left -= 1_000) {
      clock.advance(1_000);
      for (let turn = 0; turn < 5; turn += 1) await turnOfLoop();
    }
  };
  const end = async () => {
    stop.abort(new Error('the test ended'));
    await ended;
  };
  const learned = () => learning.state.learned;
  return { learning, noted, asked, state, warned, pass, end, learned };
}

describe('the learning of a gateway', () => {
  it('serves what another gateway approved within seconds, and reads no list without need', async () => {
    const loop = aLoop();
    await loop.pass(1_000);
    assert.equal(loop.learned(), 0);
    loop.state.decisions = [anApproved(1), anApproved(2)];
    await loop.pass(6_000);
    assert.equal(loop.learned(), 2);
    const before = loop.asked.filter((what) => what === 'decisions').length;
    await loop.pass(60_000);
    assert.equal(loop.asked.filter((what) => what === 'decisions').length, before);
    await loop.end();
  });

  it('writes evidence now and then, and all of it at the end', async () => {
    const loop = aLoop();
    hearing(loop.learning, WINE);
    await loop.pass(4_000);
    assert.equal(loop.noted.length, 0);
    await loop.pass(20_000);
    assert.equal(loop.noted.length, 1);
    assert.deepEqual(loop.learning.state, { counted: 1, learned: 0 });
    hearing(loop.learning, 'Mind the stair.');
    await loop.end();
    assert.equal(loop.noted.length, 2, 'the last of it goes out at the stop');
  });

  it('goes on without a store, loses no line of the pool, and counts on', async () => {
    const loop = aLoop();
    loop.state.decisions = [anApproved(1)];
    await loop.pass(6_000);
    loop.state.isDown = true;
    hearing(loop.learning, WINE);
    await loop.pass(60_000);
    assert.equal(loop.learned(), 1);
    assert.deepEqual([...new Set(loop.warned)].sort(), ['lines.unread', 'lines.unwritten']);
    assert.equal(loop.warned.length, 2, 'said once, not at every try');
    hearing(loop.learning, WINE);
    loop.state.isDown = false;
    await loop.pass(30_000);
    assert.equal(loop.noted[0]?.heard, 24);
    loop.state.isDown = true;
    await loop.pass(10_000);
    assert.equal(loop.warned.length, 3, 'and again after it was well between');
    await loop.end();
  });

  it('counts nothing when it is switched off, and offers sooner or later as it is told', async () => {
    const offered = async (options: Partial<LineLearningOptions>) => {
      const { store, noted } = aStore();
      const given = lineLearningOptionsSchema.parse(options);
      const parts = { cast: aSmallCast(), store, clock: new ManualClock(), log: silentLogger };
      const learning = new LineLearning({ ...parts, options: given });
      hearing(learning, WINE, 3);
      await learning.flush();
      const whole = {
        ...store,
        count: () => Promise.resolve(noted.length),
        undecided: () => Promise.resolve(noted),
      };
      const asked = new LineLearning({ ...parts, store: whole as LearnedLineStore, options: given });
      return (await asked.offer({ limit: 9 })).candidates.length;
    };
    assert.equal(await offered({ heardMin: 6, playersMin: 3 }), 1);
    assert.equal(await offered({ heardMin: 6, playersMin: 4 }), 0);
    assert.equal(await offered({ heardMin: 6, playersMin: 3, enabled: false }), 0);
    assert.throws(() => lineLearningOptionsSchema.parse({ playersMin: 1 }));
  });

  it('forgets old evidence every hour, in parts', async () => {
    const loop = aLoop();
    loop.state.old = 5;
    await loop.pass(3_700_000);
    assert.equal(loop.state.old, 0);
    assert.equal(loop.asked.filter((what) => what === 'forget').length, 4);
    await loop.end();
  });
});
