/** What is counted of what players hear, and what never leaves a player's ear. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { ServiceError } from '../core/errors.ts';
import type { LineEvidence } from '../core/learned-line.ts';
import { DistinctSketch } from '../lib/distinct-sketch.ts';
import { aSmallCast, hearing, said } from '../testing/line-learning.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { EVIDENCE_LIMITS, LineEvidenceSink } from './line-evidence.ts';

function aSink(limits = EVIDENCE_LIMITS) {
  const noted: LineEvidence[][] = [];
  const learning = new LineEvidenceSink(aSmallCast(), new ManualClock(), limits);
  let isDown = false;
  const store = {
    note: (evidence: readonly LineEvidence[]) => {
      if (isDown) return Promise.reject(new ServiceError('store_unavailable', 'away'));
      noted.push([...evidence]);
      return Promise.resolve();
    },
  };
  return {
    learning,
    noted,
    store,
    down: (is: boolean) => {
      isDown = is;
    },
    texts: async () => {
      while ((await learning.flush(store)) > 0);
      return noted.flat().map(({ text }) => text);
    },
  };
}

const LINE = 'Take the chair by the fire.';

describe('evidence of a line', () => {
  it('is written once for what is new, and holds no id of a player', async () => {
    const { learning, noted, store } = aSink();
    hearing(learning, LINE, 3);
    assert.equal(await learning.flush(store), 1);
    assert.equal(await learning.flush(store), 0, 'nothing new');
    learning.record(said([LINE], { player: 'player-0', npcId: 'vey' }));
    assert.equal(await learning.flush(store), 1);
    const [first, second] = noted.flat();
    assert.equal(first?.heard, 6);
    assert.equal(second?.heard, 1);
    assert.deepEqual(second?.npcs, { vey: 1 });
    assert.equal(second?.listeners, first?.listeners, 'the same players');
    assert.equal(DistinctSketch.parse(first?.listeners ?? '').count(), 3);
    assert.doesNotMatch(JSON.stringify(noted), /player-/);
  });

  it('of a line that one player alone has heard stays in memory', async () => {
    const sink = aSink();
    for (let turn = 0; turn < 50; turn += 1) sink.learning.record(said([LINE], { player: 'only' }));
    assert.deepEqual(await sink.texts(), []);
    sink.learning.record(said([LINE], { player: 'another' }));
    await sink.texts();
    assert.equal(sink.noted.flat()[0]?.heard, 51);
  });

  it('survives a store that is down, and is written when it is back', async () => {
    const sink = aSink();
    hearing(sink.learning, LINE, 3);
    sink.down(true);
    await assert.rejects(sink.learning.flush(sink.store), { code: 'store_unavailable' });
    hearing(sink.learning, LINE, 2);
    sink.down(false);
    await sink.texts();
    assert.equal(
      sink.noted.flat().reduce((sum, { heard }) => sum + heard, 0),
      10,
    );
  });

  it('is bounded: the line heard longest ago gives way, and batches have a size', async () => {
    const sink = aSink({ linesMax: 20, batchMax: 7 });
    const rooms = 'hall attic cellar chapel crypt garden kitchen library nursery orchard pantry quarry'.split(
      ' ',
    );
    for (const [at, room] of [...rooms, ...rooms.map((name) => `far ${name}`)].entries())
      hearing(sink.learning, `Go to the ${room}.`, 2, { occasion: at % 2 === 0 ? 'greet' : 'idle' });
    assert.equal(sink.learning.size, 20);
    const texts = await sink.texts();
    assert.equal(texts.length, 20);
    assert.ok(!texts.includes('Go to the hall.'));
    assert.deepEqual(
      sink.noted.map((batch) => batch.length),
      [7, 7, 6],
    );
    const cut = { outcome: null, error: 'client_closed' as const };
    sink.learning.record(said(['Go to the hall.'], { changes: cut }));
    assert.deepEqual(await sink.texts(), texts, 'what is forgotten is not interrupted');
  });

  it('counts a hang-up after the first sentence against every line that begins so', async () => {
    const sink = aSink();
    for (let turn = 0; turn < 4; turn += 1) {
      sink.learning.record(said(['Sit.', 'The night is long.'], { player: `p${turn}` }));
      sink.learning.record(said(['Sit.', 'The wine is poor.'], { player: `p${turn}` }));
    }
    sink.learning.record(said(['Sit.'], { changes: { outcome: null, error: 'client_closed' } }));
    sink.learning.record(said(['Sit.'], { changes: { outcome: null, error: 'internal' } }));
    sink.learning.record(said([], { changes: { outcome: null, error: 'client_closed' } }));
    const { outcome: _, heard: __, ...nothing } = said(['Sit.']);
    sink.learning.record({ ...nothing, outcome: null, error: 'client_closed' });
    await sink.texts();
    assert.deepEqual(
      sink.noted.flat().map(({ text, interrupted }) => [text, interrupted]),
      [
        ['Sit. The night is long.', 1],
        ['Sit. The wine is poor.', 1],
      ],
    );
  });

  it("has {player} where the player's name was, whoever the player is", async () => {
    const sink = aSink();
    for (const name of ['Ash', 'Mary-Jo (the 2nd)', 'Żółw'])
      sink.learning.record(
        said([`Ah, ${name}, ${name.toUpperCase()}!`], {
          player: `id of ${name}`,
          facts: [{ key: 'player.name', value: name }],
        }),
      );
    assert.deepEqual(await sink.texts(), ['Ah, {player}, {player}!']);
    assert.equal(sink.noted.flat()[0]?.heard, 3);
  });

  const strangers: readonly [what: string, reply: string, prompt: string][] = [
    ['a name that only the player brought up', 'Welcome, Zebulon.', 'My name is Zebulon'],
    ['a number', 'So 48151623 it is.', 'call me at 48151623'],
    ['four words in a row', 'You said the night was yours.', 'I think the night was yours, right?'],
  ];
  for (const [what, reply, prompt] of strangers)
    it(`is not kept of a reply with ${what}`, async () => {
      const sink = aSink();
      hearing(sink.learning, reply, 6, { occasion: 'answer', prompt });
      assert.deepEqual(await sink.texts(), []);
      hearing(sink.learning, reply, 6, { occasion: 'answer', prompt: 'Hello.' });
      assert.equal((await sink.texts()).length, 1, 'from another prompt it is');
    });

  it('is not kept of a reply that says the id of the player or has braces of its own', async () => {
    const sink = aSink();
    for (const player of ['steam-7656', 'steam-7657'])
      sink.learning.record(said([`Sit down, ${player}.`], { player }));
    hearing(sink.learning, 'Sit down, {name}.');
    assert.deepEqual(await sink.texts(), []);
  });

  it('counts everybody in earshot as a player who heard it', async () => {
    const sink = aSink();
    const turn = said([LINE], { player: 'a' });
    const context = { ...turn.request.context, listeners: ['b', 'c', 'a'] };
    sink.learning.record({ ...turn, request: { ...turn.request, context } });
    await sink.texts();
    assert.equal(sink.noted.flat()[0]?.heard, 1);
    assert.equal(DistinctSketch.parse(sink.noted.flat()[0]?.listeners ?? '').count(), 3);
  });

  it('counts players without an id by their conversation', async () => {
    const sink = aSink();
    for (const conversationId of ['a', 'b', 'a']) {
      const turn = said([LINE]);
      const { playerId: _, ...context } = turn.request.context;
      sink.learning.record({ ...turn, request: { ...turn.request, context, conversationId } });
    }
    await sink.texts();
    assert.equal(DistinctSketch.parse(sink.noted.flat()[0]?.listeners ?? '').count(), 2);
  });

  it('is recorded without a throw whatever stands in names, prompts and replies', async () => {
    const sink = aSink();
    const odd = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom('(', '[a-', '\\', '{player}', '\ud800', '$&', '.*', 'Ash'),
    );
    fc.assert(
      fc.property(fc.array(odd, { maxLength: 3 }), odd, odd, odd, (sentences, name, prompt, player) => {
        const facts = [{ key: 'player.name', value: name }];
        sink.learning.record(said(sentences, { facts, prompt, player, place: name }));
        sink.learning.record(
          said(sentences, { facts, prompt, changes: { outcome: null, error: 'client_closed' } }),
        );
      }),
      { numRuns: 300 },
    );
    await sink.texts();
  });
});
