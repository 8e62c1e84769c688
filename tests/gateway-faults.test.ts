/**
 * The whole gateway over an engine that fails in every way an engine can: each failure has its named outcome, the player
 * hears whole sentences and one end, and what must not be said never leaves.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Gateway, remoteConfig, type StreamEvent, startGateway } from './gateway-process.ts';
import { always, type Script, type ScriptedEngine, scriptedEngine } from './scripted-engine.ts';

const NPC = 'vampire_salon_keeper';
const CANARY = 'lent my carriage that night';
const FIRST = 'The bell has not rung since the flood.';
const SECOND = 'Ask the sexton who carried the ropes.';

const SCRIPTS: Readonly<Record<string, Script>> = {
  goldfinch: always(`${FIRST} `, SECOND),
  // One character a chunk: every boundary is met.
  kestrel: always(...`${FIRST} ${SECOND}`),
  plover: (speaker) => speaker.die(),
  heron: async (speaker) => {
    await speaker.text(`${FIRST} `);
    await speaker.text('And ');
    speaker.die();
  },
  bittern: async (speaker) => {
    await speaker.text(`${FIRST} Ask the sexton who carried the`);
    speaker.die();
  },
  curlew: (speaker) => speaker.hang(),
  dunlin: async (speaker) => {
    await speaker.text(`${FIRST} Ask the`);
    await speaker.hang();
  },
  avocet: always(`You should know that I ${CANARY}.`),
  snipe: always('You should know that I ', 'l.e.n.t my ', 'CARRIAGE', ' that, ', 'night.'),
  whimbrel: always('I am only a language model that was made to help you.'),
  godwit: always('The chandelier was hung by my husband in the year of the frost.'),
  sanderling: async (speaker) => {
    await speaker.text(speaker.turn === 0 ? `I ${CANARY}.` : FIRST);
    await speaker.finish();
  },
  turnstone: always(
    '<think>The player is rude. I should lie.</think>*smiles thinly* [draws a knife] ',
    '**Sit** down, dear. 🧛🩸 (sighs) The *tea* is cold, and so is the company.',
  ),
  ruff: always('*sighs* [turns away] 🦇'),
  shrike: always('Mind the stair, it is older than the house.\nPlayer: I will.\nYou: Good.'),
  pipit: (speaker) => speaker.raw('data: {"choices": [{"delta": not json}]}\n\n'),
  wagtail: (speaker) => speaker.raw('\u0000\u0001\u0002 garbage without an end'),
  dipper: async (speaker) => {
    await speaker.text(`${FIRST} And `);
    await speaker.raw('data: {"error": {"message": "CUDA error: out of memory"}}\n\n');
  },
  wryneck: async (speaker) => {
    await speaker.text(FIRST);
    await speaker.finish('abort');
  },
  fulmar: always('x'.repeat(200_000)),
  tern: async (speaker) => {
    await speaker.raw(`data: ${'y'.repeat(2_000_000)}`);
    await speaker.hang();
  },
  petrel: async (speaker) => {
    for (let chapter = 0; chapter < 10_000; chapter++) await speaker.text(`And then came night ${chapter}. `);
    await speaker.finish('length');
  },
  hoopoe: async (speaker) => {
    await speaker.raw('data: [DONE]\n\n');
    speaker.die();
  },
};

describe('a gateway whose engine fails', () => {
  let engine: ScriptedEngine;
  let gateway: Gateway;
  before(async () => {
    engine = await scriptedEngine(SCRIPTS);
    gateway = await startGateway({ config: remoteConfig(engine.origin) });
    await gateway.untilReady();
  });
  after(async () => {
    await gateway?.[Symbol.asyncDispose]();
    await engine?.[Symbol.asyncDispose]();
  });

  /** Each word is one player, so that nobody's repetition is another's. */
  const about = (word: string, more: Readonly<Record<string, unknown>> = {}) => ({
    npc_id: NPC,
    prompt: `What do you know of the ${word}?`,
    context: { player_id: `player-${word}` },
    ...more,
  });
  const hear = async (body: Readonly<Record<string, unknown>>) => {
    const events: StreamEvent[] = [];
    for await (const event of gateway.stream(body)) events.push(event);
    return events;
  };
  const texts = (events: readonly StreamEvent[], kind = 'sentence') =>
    events.filter(({ event }) => event === kind).map(({ data }) => String(data['text']));
  const sourceOf = (events: readonly StreamEvent[]) =>
    events.at(-1)?.data['source'] as { kind: string; cause?: string; rung: number };

  for (const word of ['goldfinch', 'kestrel']) {
    test(`a good line comes in the order of the contract, tokens before their sentence (${word})`, async () => {
      const events = await hear(about(word, { units: 'token' }));
      assert.deepEqual(
        events.map(({ event }) => event).filter((event, at, all) => event !== all[at - 1]),
        ['accepted', 'token', 'sentence', 'token', 'sentence', 'done'],
      );
      assert.deepEqual(texts(events), [FIRST, SECOND]);
      assert.equal(texts(events, 'token').join('').replace(/\s+/g, ' ').trim().length > 0, true);
      assert.deepEqual(events.at(-1)?.data['sentences'], [FIRST, SECOND]);
      assert.equal(sourceOf(events).kind, 'engine');
    });
  }

  for (const word of ['plover', 'pipit', 'wagtail', 'hoopoe']) {
    test(`an engine that breaks before its first word costs nothing but its words (${word})`, async () => {
      const more = word === 'wagtail' ? { deadline_ms: 500 } : {};
      const reply = await gateway.say(about(word, more));
      assert.equal(reply.source.kind, 'written');
      assert.equal(reply.source.cause, word === 'wagtail' ? 'timeout' : 'backend_error');
      assert.equal(reply.source.rung, 1);
      assert.equal(reply.finish_reason, 'written');
      assert.equal(reply.sentences.length, 1);
      assert.ok(!reply.text.includes('garbage'));
    });
  }

  for (const word of ['heron', 'bittern', 'dipper']) {
    test(`an engine that breaks behind its first sentence: the sentence stands, half of one never leaves (${word})`, async () => {
      const events = await hear(about(word, { units: 'token' }));
      assert.equal(events.filter(({ event }) => event === 'done').length, 1);
      assert.equal(events.at(-1)?.event, 'done');
      const sentences = events.filter(({ event }) => event === 'sentence').map(({ data }) => data);
      assert.equal(sentences.length, 2);
      assert.equal(sentences[0]?.['text'], FIRST);
      assert.equal(sentences[0]?.['source'], 'engine');
      assert.equal(sentences[1]?.['source'], 'written');
      assert.deepEqual(sourceOf(events).cause, 'backend_error');
      const tokens = texts(events, 'token').join('');
      assert.ok(!/sexton|And/.test(tokens), tokens);
      assert.deepEqual(
        events.at(-1)?.data['sentences'],
        sentences.map(({ text }) => text),
      );
    });
  }

  test('an engine that says it gave up has told no line, however whole it looks', async () => {
    const reply = await gateway.say(about('wryneck'));
    assert.equal(reply.source.cause, 'backend_error');
    assert.equal(reply.sentences.length, 1);
    assert.notEqual(reply.text, FIRST);
  });

  test('an engine that hangs is left at the deadline, and is told so', async () => {
    const reply = await gateway.say(about('curlew', { deadline_ms: 300 }));
    assert.equal(reply.source.kind, 'written');
    assert.equal(reply.source.cause, 'timeout');
    // The deadline itself is measured by a benchmark; here only that nobody waited for the engine.
    assert.ok(reply.timing.total_ms < 5_000, `${reply.timing.total_ms} ms`);
    await engine.server.untilRunning(0);
  });

  test('an engine that hangs behind a sentence: what was said is the answer', async () => {
    const reply = await gateway.say(about('dunlin', { deadline_ms: 700 }));
    assert.deepEqual(reply.sentences, [FIRST]);
    assert.equal(reply.finish_reason, 'deadline');
    assert.equal(reply.source.cause, 'timeout');
    await engine.server.untilRunning(0);
  });

  test('a deadline of one millisecond is answered', async () => {
    const reply = await gateway.say(about('goldfinch', { deadline_ms: 1, context: { player_id: 'hasty' } }));
    assert.equal(reply.source.kind, 'written');
    assert.equal(reply.source.cause, 'timeout');
    assert.ok(reply.text.length > 0);
  });

  for (const [word, forbidden] of [
    ['avocet', /carriage/i],
    ['snipe', /carriage|l\.e\.n\.t/i],
    ['whimbrel', /\bAI\b|language model/i],
  ] as const) {
    test(`what must not be said is rolled again once, then replaced, and no part of it leaves (${word})`, async () => {
      const events = await hear(about(word, { units: 'token' }));
      const wire = JSON.stringify(events);
      assert.ok(!forbidden.test(wire), wire);
      assert.equal(sourceOf(events).kind, 'written');
      assert.equal(sourceOf(events).cause, 'safety');
      assert.equal(engine.askedFor(word).length, 2);
      assert.deepEqual(texts(events, 'token'), []);
    });
  }

  test('a second roll that is clean is spoken', async () => {
    const reply = await gateway.say(about('sanderling'));
    assert.deepEqual(reply.sentences, [FIRST]);
    assert.equal(reply.source.kind, 'engine');
    assert.equal(engine.askedFor('sanderling').length, 2);
  });

  test('a line that this player has heard is not said again', async () => {
    const once = await gateway.say(about('godwit'));
    assert.equal(once.source.kind, 'engine');
    const again = await gateway.say(about('godwit'));
    assert.equal(again.source.kind, 'written');
    assert.equal(again.source.cause, 'repetition');
    assert.notEqual(again.text, once.text);
    assert.equal(engine.askedFor('godwit').length, 3);
    const another = await gateway.say(about('godwit', { context: { player_id: 'somebody-else' } }));
    assert.equal(another.text, once.text);
  });

  test('thinking, stage directions, markup and emoji never leave', async () => {
    const events = await hear(about('turnstone', { units: 'token' }));
    const spoken = [...texts(events), ...texts(events, 'token')].join(' ');
    assert.ok(!/[*[\]<>🧛🩸()]|smiles|knife|sigh|rude|think/u.test(spoken), spoken);
    assert.ok(texts(events).includes('The tea is cold, and so is the company.'), spoken);
    assert.equal(sourceOf(events).kind, 'engine');
  });

  test('an answer of stage directions alone is silence, and silence is answered', async () => {
    const reply = await gateway.say(about('ruff'));
    assert.equal(reply.source.kind, 'written');
    assert.ok(reply.text.length > 0 && !/[*[\]🦇]/u.test(reply.text));
  });

  test("the model speaks for nobody else, and the player's role never leaves", async () => {
    const reply = await gateway.say(about('shrike'));
    assert.deepEqual(reply.sentences, ['Mind the stair, it is older than the house.']);
  });

  test('all are answered at once, the good and the broken, and nothing stays behind', async () => {
    const words = ['plover', 'heron', 'bittern', 'pipit', 'dipper', 'whimbrel', 'avocet', 'ruff', 'hoopoe'];
    const replies = await Promise.all(
      [...words, ...words].map((word, index) =>
        gateway.say(about(word, { context: { player_id: `crowd-${index}` } })),
      ),
    );
    for (const reply of replies) assert.ok(reply.text.length > 0);
    await engine.server.untilRunning(0);
  });

  test('a turn of a conversation is kept whatever spoke it, however many there are', async () => {
    for (let turn = 0; turn < 11; turn++) {
      const reply = await gateway.say(
        about('plover', { prompt: '', trigger: 'greet', conversation_id: 'barks-only' }),
      );
      assert.deepEqual(
        { turn: reply.conversation?.turn, stored: reply.conversation?.stored },
        { turn, stored: true },
      );
    }
  });

  test('a save that is loaded and begins with a bark still has its past', async () => {
    const saved = (timeline_id: string, game_time: string) => ({
      context: { player_id: 'loader', timeline_id, game_time },
      conversation_id: 'saves',
    });
    const turns = [
      await gateway.say(about('cormorant', saved('first', '1'))),
      await gateway.say(about('guillemot', saved('first', '5'))),
      await gateway.say({ ...about('plover', saved('second', '3')), prompt: '', trigger: 'greet' }),
      await gateway.say(about('razorbill', saved('second', '4'))),
    ];
    assert.deepEqual(
      turns.map(({ conversation }) => conversation?.turn),
      [0, 1, 1, 2],
    );
    const prompt = JSON.stringify(engine.askedFor('razorbill')[0]?.['messages']);
    assert.ok(prompt.includes('cormorant'), 'what was said before the save is remembered');
    assert.ok(!prompt.includes('guillemot'), 'the future is not');
  });

  for (const [word, cause] of [
    ['fulmar', 'backend_error'],
    ['tern', 'backend_error'],
  ] as const) {
    test(`an engine that floods is cut off and replaced (${word})`, async () => {
      const reply = await gateway.say(about(word));
      assert.equal(reply.source.cause, cause);
      assert.ok(reply.text.length < 400);
      await engine.server.untilRunning(0);
    });
  }

  test('an engine that never stops is left once the reply is full', async () => {
    const reply = await gateway.say(about('petrel'));
    assert.equal(reply.source.kind, 'engine');
    assert.ok(reply.text.split(' ').length <= 45, reply.text);
    await engine.server.untilRunning(0);
  });

  test("nothing of the player's words stands in the log", () => {
    assert.ok(gateway.log.length > 20);
    assert.ok(!JSON.stringify(gateway.log).includes('What do you know'));
  });

  test('afterwards every figure of what runs is zero, and each fallback was counted', async () => {
    for (const name of [
      'greenroom_dialogues_active',
      'greenroom_engine_requests_running',
      'greenroom_engine_requests_waiting',
    ])
      assert.equal(await gateway.metric(name), 0, name);
    const { text } = await gateway.get('/metrics');
    for (const cause of ['backend_error', 'timeout', 'safety', 'repetition'])
      assert.match(text, new RegExp(`greenroom_fallbacks_total\\{[^}]*cause="${cause}"[^}]*\\} [1-9]`));
  });
});
