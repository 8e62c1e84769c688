/** Events and many ears in the walk: who speaks, what the others are told, and who has heard a line. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { listenerKey } from '../cast/heard-lines.ts';
import type { DialogueRequest } from '../core/dialogue.ts';
import { hear, never, request, say, world } from '../testing/dialogue-world.ts';
import { answer } from './answer.ts';

const CONTEXT = { timelineId: 'main', facts: [], history: [], allowedActions: [] };

function bark(changes: Partial<DialogueRequest> = {}): Partial<DialogueRequest> {
  return {
    prompt: '',
    trigger: 'spot',
    priority: 'ambient',
    event: { id: 'door.opened', area: 'salon', depth: 0 },
    context: { ...CONTEXT, playerId: 'p1' },
    ...changes,
  };
}

test('of equal events one line is spoken; the other says at once that it is not, and who speaks', async () => {
  const made = await world(() => say('Never asked.'));
  const first = await hear(made, bark({ id: 'dlg_first' }));
  assert.deepEqual(first.outcome.sentences, ['There you are at last.']);
  assert.equal(first.outcome.unspoken, undefined);

  const second = await hear(made, bark({ id: 'dlg_second', conversationId: 'talk' }));
  assert.deepEqual(
    second.events.map(({ type }) => type),
    ['accepted', 'done'],
  );
  assert.deepEqual(second.outcome, {
    id: 'dlg_second',
    npcId: 'vey',
    finishReason: 'unspoken',
    unspoken: { reason: 'coalesced', voice: { npcId: 'vey', id: 'dlg_first' } },
    tier: 3,
    source: { kind: 'none', engine: 'none', model: null, modelVersion: null, adapter: null, rung: 0 },
    usage: { promptTokens: 0, cachedTokens: 0, completionTokens: 0, costMicroUsd: 0 },
    timing: { queueMs: 0, ttftMs: null, ttfsMs: null, totalMs: second.outcome.timing.totalMs },
    sentences: [],
  });
  assert.equal(made.engine.requests.length, 0);
  assert.deepEqual(made.stored, [], 'what was not said is no turn of a conversation');
  assert.deepEqual(
    made.turns.map(({ outcome, error }) => [outcome?.finishReason, error]),
    [
      ['written', null],
      ['unspoken', null],
    ],
  );
});

test('a line without an event knows nothing of all this', async () => {
  const made = await world(() => say('Never asked.'));
  const plain = { prompt: '', trigger: 'spot' } as const;
  await hear(made, bark());
  assert.deepEqual((await hear(made, plain)).outcome.sentences.length, 1);
  assert.deepEqual((await hear(made, plain)).outcome.sentences.length, 1);
  assert.equal(made.parts.voices.areaCount, 1);
});

test('a player who speaks to the NPC is answered in the middle of the barks, and is not talked over', async () => {
  const made = await world(() => say('You again.'));
  await hear(made, bark());
  const spoken = await hear(
    made,
    bark({ prompt: 'Who came in?', priority: 'interactive', context: { ...CONTEXT, playerId: 'p1' } }),
  );
  assert.deepEqual(spoken.outcome.sentences, ['You again.']);
  const other = bark({ event: { id: 'glass.broke', area: 'salon', depth: 0 } });
  assert.equal((await hear(made, other)).outcome.unspoken?.reason, 'area_busy');
});

test('chatter that NPCs hold among themselves ends at the depth that is allowed', async () => {
  const made = await world(() => say('Quite so.'), {
    voices: { tokensPerArea: 9, cooldownMs: 0, depthMax: 1 },
  });
  const chat = (depth: number) =>
    bark({
      prompt: 'I saw her too.',
      priority: 'interactive',
      event: { id: `chat.${depth}`, area: 'salon', depth },
    });
  assert.deepEqual((await hear(made, chat(1))).outcome.sentences, ['Quite so.']);
  assert.equal((await hear(made, chat(2))).outcome.unspoken?.reason, 'depth');
  assert.equal(made.engine.requests.length, 1);
});

test('a line that is cut off before a word leaves the event to the next', async () => {
  const made = await world(() => [{ wait: new Promise(() => {}) }]);
  const controller = new AbortController();
  const walk = answer(request(bark({ prompt: 'I saw her too.' })), made.parts, controller.signal);
  assert.equal((await walk.next()).value?.type, 'accepted');
  const next = walk.next();
  const outcomes: (string | undefined)[] = [];
  for await (const event of answer(request(bark()), made.parts, never))
    if (event.type === 'done') outcomes.push(event.outcome.unspoken?.reason);
  assert.deepEqual(outcomes, ['coalesced']);
  controller.abort(new Error('gone'));
  await assert.rejects(next);
  assert.equal((await hear(made, bark())).outcome.finishReason, 'written');
});

test('one line for many ears: each has heard it, in words and in lines, and none of them hears it again', async () => {
  const made = await world((call) =>
    say(call === 0 ? 'The bells are late tonight.' : 'Gloves suit you well.'),
  );
  const { heard, voices } = made.parts;
  const crowd = { ...CONTEXT, playerId: 'p1', listeners: ['p2', 'p3', 'p1'] };
  await hear(made, { context: crowd });
  for (const player of ['p1', 'p2', 'p3']) {
    assert.deepEqual(heard.recentTexts(listenerKey(player, 'vey'), 'vey'), ['The bells are late tonight.']);
    assert.equal(voices.words.inLastMinute(player), 5);
  }
  assert.equal(made.engine.requests.length, 1, 'one generation, however many hear it');

  const repeating = await world(() => say('The bells are late tonight.'));
  repeating.parts.heard.record(listenerKey('p9', 'vey'), 'vey', 'The bells are late tonight.', null);
  const alone = await hear(repeating, { context: { ...CONTEXT, playerId: 'p1' } });
  assert.deepEqual(alone.outcome.sentences, ['The bells are late tonight.']);
  const together = await hear(repeating, { context: { ...CONTEXT, playerId: 'p4', listeners: ['p9'] } });
  assert.equal(together.outcome.source.cause, 'repetition', 'one of the listeners knows it already');
});

test('a written line counts as heard by each listener too', async () => {
  const made = await world(() => say('Never asked.'));
  await hear(made, bark({ context: { ...CONTEXT, listeners: ['p2', 'p3'] } }));
  for (const player of ['p2', 'p3'])
    assert.notEqual(made.parts.heard.lastHeardMs(listenerKey(player, 'vey'), 'v.spot1'), null);
  assert.equal(made.parts.heard.playerCount, 2);
});

test('listeners who have heard enough in a minute are spared further barks', async () => {
  const made = await world(() => say('Never asked.'), { voices: { wordsPerMinute: 20 } });
  made.parts.voices.words.note('p2', 20);
  const many = bark({ context: { ...CONTEXT, playerId: 'p1', listeners: ['p2'] } });
  assert.equal((await hear(made, many)).outcome.unspoken?.reason, 'words_per_minute');
  assert.equal((await hear(made, bark())).outcome.finishReason, 'written');
});

test('an unknown NPC is refused as ever, event or not, and holds no area', async () => {
  const made = await world(() => say('Never asked.'));
  const walk = answer(request(bark({ npcId: 'nobody' })), made.parts, never);
  await assert.rejects(walk.next(), /no NPC is called "nobody"/);
  assert.equal(made.parts.voices.areaCount, 0);
});
