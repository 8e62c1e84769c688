import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Unspoken } from '../core/dialogue.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { type Voice, type VoiceAsk, Voices, type VoicesLimits } from './voices.ts';
import { type VoicesOptions, voicesOptionsSchema } from './voices-options.ts';

function start(options: Partial<VoicesOptions> = {}, limits?: VoicesLimits) {
  const clock = new ManualClock();
  const parts = { clock, ...(limits === undefined ? {} : { limits }) };
  const voices = new Voices(voicesOptionsSchema.parse(options), parts);
  let asked = 0;
  const ask = (
    npcId: string,
    changes: Partial<Omit<VoiceAsk, 'event'>> & { event?: Partial<VoiceAsk['event']> } = {},
  ) =>
    voices.ask({
      id: `dlg_${++asked}`,
      npcId,
      source: 'local',
      isAddressed: false,
      players: [],
      ...changes,
      event: { id: 'bell', area: 'crypt', depth: 0, ...changes.event },
    });
  return { clock, voices, ask };
}

function speaks(decision: Voice | Unspoken): Voice {
  assert.ok('said' in decision, JSON.stringify(decision));
  return decision;
}

function says(decision: Voice | Unspoken, speechMs = 2_000): void {
  using voice = speaks(decision);
  voice.said(speechMs);
  voice.ended();
}

function silent(decision: Voice | Unspoken, reason: Unspoken['reason']): Unspoken['voice'] {
  assert.ok('reason' in decision, `it speaks instead of ${reason}`);
  assert.equal(decision.reason, reason);
  return decision.voice;
}

test('of twenty zombies that see one thing, one speaks, and the others are told which', () => {
  const { ask } = start();
  says(ask('zombie_1'));
  for (let number = 2; number <= 20; number++)
    assert.deepEqual(silent(ask(`zombie_${number}`), 'coalesced'), { npcId: 'zombie_1', id: 'dlg_1' });
});

test('an event is one for half a second, and for as long as it is spoken of', () => {
  const { ask, clock } = start({ tokensPerArea: 5 });
  says(ask('a'), 300);
  clock.advance(499);
  silent(ask('b'), 'coalesced');
  clock.advance(1);
  says(ask('b'), 4_000);
  clock.advance(3_999);
  silent(ask('c'), 'coalesced');
  clock.advance(1);
  says(ask('c'));
});

test('an area hears one bark at a time, for as long as it takes to say', () => {
  const { ask, clock } = start();
  const voice = speaks(ask('a', { event: { id: 'one' } }));
  clock.advance(700);
  assert.deepEqual(silent(ask('b', { event: { id: 'two' } }), 'area_busy'), { npcId: 'a', id: 'dlg_1' });
  voice.said(1_000);
  voice.said(500);
  voice.ended();
  clock.advance(1_499);
  silent(ask('b', { event: { id: 'two' } }), 'area_busy');
  says(ask('b', { event: { id: 'two', area: 'market' } }));
  says(ask('b', { event: { id: 'two' }, source: 'other_server' }));
  clock.advance(1);
  says(ask('b', { event: { id: 'two' } }));
});

test('an area with two tokens hears two', () => {
  const { ask } = start({ tokensPerArea: 2 });
  says(ask('a', { event: { id: 'one' } }));
  says(ask('b', { event: { id: 'two' } }));
  silent(ask('c', { event: { id: 'three' } }), 'area_busy');
});

test('a line that is cut off frees its area at once; of one that said nothing nothing is left', () => {
  const { ask } = start();
  speaks(ask('a'))[Symbol.dispose]();
  const voice = speaks(ask('a'));
  voice.said(3_000);
  voice[Symbol.dispose]();
  silent(ask('b'), 'coalesced');
  silent(ask('a', { event: { id: 'two' } }), 'cooldown');
  says(ask('b', { event: { id: 'two' } }));
});

test('an NPC that barked is silent for a while in that area, however many events there are', () => {
  const { ask, clock } = start({ cooldownMs: 5_000 });
  says(ask('a'), 100);
  clock.advance(4_999);
  assert.equal(silent(ask('a', { event: { id: 'two' } }), 'cooldown'), null);
  // The persona of a crowd: the one in the next room is another zombie.
  says(ask('a', { event: { id: 'two', area: 'market' } }), 100);
  clock.advance(1);
  says(ask('a', { event: { id: 'two' } }));
});

test('NPCs answer one another twice at most', () => {
  const { ask, clock } = start();
  for (const [depth, npcId] of ['a', 'b', 'c'].entries()) {
    says(ask(npcId, { event: { depth } }), 100);
    clock.advance(500);
  }
  silent(ask('d', { event: { depth: 3 } }), 'depth');
});

test('a player who has heard a lot in a minute is spared further barks, and so are those beside them', () => {
  const { ask, voices, clock } = start({ wordsPerMinute: 60 });
  voices.words.note('p1', 59);
  says(ask('a', { players: ['p1'] }), 100);
  voices.words.note('p1', 1);
  clock.advance(5_000);
  silent(ask('a', { players: ['p1'] }), 'words_per_minute');
  silent(ask('a', { players: ['p2', 'p1'] }), 'words_per_minute');
  says(ask('a', { players: ['p2'] }));
  const unlimited = start({ wordsPerMinute: null });
  unlimited.voices.words.note('p1', 10_000);
  says(unlimited.ask('a', { players: ['p1'] }));
});

test('who is addressed by a player always speaks, and barks wait until that is said', () => {
  const { ask, voices, clock } = start({ wordsPerMinute: 10 });
  voices.words.note('p1', 100);
  says(ask('a', { event: { id: 'one' } }), 3_000);
  says(ask('a', { event: { id: 'one', depth: 9 }, isAddressed: true, players: ['p1'] }), 4_000);
  clock.advance(3_500);
  silent(ask('b', { event: { id: 'two' } }), 'area_busy');
  clock.advance(500);
  says(ask('b', { event: { id: 'two' } }));
});

test('an answer to a player that is cut off before a word leaves the bark beside it as it was', () => {
  const { ask } = start({ tokensPerArea: 2 });
  const bark = speaks(ask('a'));
  speaks(ask('b', { isAddressed: true }))[Symbol.dispose]();
  assert.equal(silent(ask('c'), 'coalesced')?.npcId, 'a');
  bark[Symbol.dispose]();
  says(ask('c'));
});

test('what is remembered is bounded: of areas, of events and of NPCs', () => {
  const { ask, voices } = start({}, { areasMax: 3, eventsPerAreaMax: 2, npcsPerAreaMax: 2 });
  for (let area = 0; area < 10; area++)
    for (let event = 0; event < 10; event++)
      speaks(ask(`npc_${event}`, { isAddressed: true, event: { id: `e${event}`, area: `${area}` } }))[
        Symbol.dispose
      ]();
  assert.equal(voices.areaCount, 3);
  for (let event = 0; event < 5; event++)
    says(ask(`npc_${event}`, { isAddressed: true, event: { id: `e${event}`, area: 'last' } }), 0);
  silent(ask('npc_9', { event: { id: 'e4', area: 'last' } }), 'coalesced');
  says(ask('npc_9', { event: { id: 'e0', area: 'last' } }));
});

interface Step {
  readonly kind: 'ask' | 'said' | 'ended' | 'cut' | 'pass';
  readonly npcId: string;
  readonly eventId: string;
  readonly area: string;
  readonly depth: number;
  readonly isAddressed: boolean;
  readonly at: number;
}

const stepArbitrary: fc.Arbitrary<Step> = fc.record({
  kind: fc.constantFrom('ask', 'ask', 'ask', 'said', 'ended', 'cut', 'pass'),
  npcId: fc.constantFrom('a', 'b', 'c', 'd'),
  eventId: fc.constantFrom('one', 'two', 'three'),
  area: fc.constantFrom('crypt', 'market'),
  depth: fc.integer({ min: 0, max: 3 }),
  isAddressed: fc.boolean(),
  at: fc.integer({ min: 0, max: 900 }),
});

interface Spoken {
  readonly step: Step;
  readonly voice: Voice;
  readonly beganMs: number;
  isOpen: boolean;
  heardMs: number;
  words: number;
}

test('whatever happens: places, equal events, pauses, depth and words keep their limits, and players are answered', () => {
  const options = voicesOptionsSchema.parse({ tokensPerArea: 2, cooldownMs: 2_000, wordsPerMinute: 12 });
  fc.assert(
    fc.property(fc.array(stepArbitrary, { maxLength: 120 }), (steps) => {
      const { ask, voices, clock } = start(options);
      let all: Spoken[] = [];
      const open = () => all.filter(({ isOpen }) => isOpen);
      for (const step of steps) {
        const nowMs = clock.monotonicMs();
        const some = open()[step.at % Math.max(1, open().length)];
        if (step.kind === 'pass') clock.advance(step.at);
        else if (step.kind === 'said' && some !== undefined) {
          some.voice.said(step.at);
          some.heardMs = Math.max(some.heardMs, nowMs) + step.at;
          some.words += 3;
          voices.words.note('p', 3);
        } else if (step.kind === 'ended' && some !== undefined) {
          some.voice.ended();
          some.voice[Symbol.dispose]();
          some.isOpen = false;
        } else if (step.kind === 'cut' && some !== undefined) {
          some.voice[Symbol.dispose]();
          some.isOpen = false;
          some.heardMs = Number.NEGATIVE_INFINITY;
          if (some.words === 0) all = all.filter((each) => each !== some);
        } else if (step.kind === 'ask') {
          const { npcId, isAddressed, area, depth } = step;
          const decision = ask(npcId, {
            isAddressed,
            players: ['p'],
            event: { id: step.eventId, area, depth },
          });
          const here = all.filter((each) => each.step.area === area);
          const audible = here.filter(({ isOpen, heardMs }) => isOpen || nowMs < heardMs);
          if ('said' in decision) {
            if (!isAddressed) {
              assert.ok(depth <= options.depthMax);
              assert.ok(audible.length < options.tokensPerArea);
              assert.ok(!audible.some((each) => each.step.eventId === step.eventId));
              for (const each of here) {
                if (each.step.eventId === step.eventId) assert.ok(nowMs - each.beganMs >= options.coalesceMs);
                if (each.step.npcId === npcId && !each.step.isAddressed)
                  assert.ok(nowMs - each.beganMs >= options.cooldownMs);
              }
              assert.ok(voices.words.inLastMinute('p') < (options.wordsPerMinute ?? 0));
            }
            all.push({ step, voice: decision, beganMs: nowMs, isOpen: true, heardMs: nowMs, words: 0 });
          } else {
            assert.ok(!isAddressed, decision.reason);
            if (decision.reason === 'area_busy') assert.ok(audible.length >= options.tokensPerArea);
            const { voice } = decision;
            if (voice !== null) assert.ok(here.some((each) => each.step.npcId === voice.npcId));
          }
        }
      }
    }),
    { numRuns: 400 },
  );
});
