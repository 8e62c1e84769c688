/** Conversation memory: the window, loaded saves, and what is never kept. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConversationStore, ConversationTurn } from '../core/conversation.ts';
import { ConversationMemory, extractiveSummary, isLater } from './memory.ts';
import { personaSchema } from './persona.ts';

const never = new AbortController().signal;
const policy = (changes: object) => personaSchema.shape.memory.parse(changes);

/** The contract of ConversationStore over a Map; the real stores have a suite of their own. */
class MapStore implements ConversationStore {
  readonly timelines = new Map<string, ConversationTurn[]>();
  latest: string | null = null;

  appendTurn(turn: ConversationTurn) {
    const turns = this.timelines.get(turn.timelineId) ?? [];
    if (turns.some((known) => known.turn === turn.turn)) return Promise.resolve(false);
    this.timelines.set(turn.timelineId, [...turns, turn]);
    this.latest = turn.timelineId;
    return Promise.resolve(true);
  }
  loadWindow(_conversationId: string, timelineId: string, turnsMax: number) {
    return Promise.resolve((this.timelines.get(timelineId) ?? []).slice(-turnsMax));
  }
  latestTimeline() {
    if (this.latest === null) return Promise.resolve(null);
    return Promise.resolve({ timelineId: this.latest, turns: this.timelines.get(this.latest)?.length ?? 0 });
  }
  branch(_conversationId: string, from: string, to: string, atTurn: number) {
    if (!this.timelines.has(to)) this.timelines.set(to, (this.timelines.get(from) ?? []).slice(0, atTurn));
    return Promise.resolve();
  }
}

async function talk(memory: ConversationMemory, timelineId: string, turn: number, gameTime: string | null) {
  return memory.remember({
    conversationId: 'c',
    timelineId,
    turn,
    playerText: `Question ${turn}`,
    heard: [`Answer ${turn}.`],
    interrupted: turn === 1,
    gameTime,
    atMs: turn,
  });
}

test('the window holds the last turns, and an answer that was cut off says so', async () => {
  const memory = new ConversationMemory(new MapStore());
  for (const turn of [0, 1, 2]) await talk(memory, 'main', turn, null);
  const recalled = await memory.recall(
    { conversationId: 'c', timelineId: 'main', gameTime: null },
    policy({ max_turns: 2 }),
    never,
  );
  assert.deepEqual(
    recalled.history.map((turn) => turn.text),
    ['Question 1', 'Answer 1. —', 'Question 2', 'Answer 2.'],
  );
  assert.equal(recalled.nextTurn, 3);
  assert.equal(await talk(memory, 'main', 2, null), false, 'a turn number is taken once');
});

test('a loaded save begins with what was said before it, and the parent stays as it was', async () => {
  const store = new MapStore();
  const memory = new ConversationMemory(store);
  for (const turn of [0, 1, 2]) await talk(memory, 'main', turn, String((turn + 1) * 10));
  const saved = { conversationId: 'c', timelineId: 'save-2', gameTime: '20' };
  const recalled = await memory.recall(saved, policy({}), never);
  assert.deepEqual(
    recalled.history.map((turn) => turn.text),
    ['Question 0', 'Answer 0.', 'Question 1', 'Answer 1. —'],
  );
  assert.equal(recalled.nextTurn, 2);
  await talk(memory, 'save-2', 2, '21');
  assert.equal(store.timelines.get('main')?.length, 3);
  const earliest = await memory.recall({ ...saved, timelineId: 'save-0', gameTime: '5' }, policy({}), never);
  assert.deepEqual(earliest.history, [], 'nobody remembers the future');
});

test('a persona without memory gets none, but its turns are still numbered', async () => {
  const memory = new ConversationMemory(new MapStore());
  await talk(memory, 'main', 0, null);
  const recalled = await memory.recall(
    { conversationId: 'c', timelineId: 'main', gameTime: null },
    policy({ policy: 'none' }),
    never,
  );
  assert.deepEqual(recalled, { history: [], summary: null, nextTurn: 1 });
});

test('a summary holds what the player said before the window, never what the NPC said', async () => {
  const memory = new ConversationMemory(new MapStore(), extractiveSummary);
  for (const turn of [0, 1, 2]) await talk(memory, 'main', turn, null);
  const { summary } = await memory.recall(
    { conversationId: 'c', timelineId: 'main', gameTime: null },
    policy({ max_turns: 1, summary_tokens: 60 }),
    never,
  );
  assert.equal(summary, 'Earlier the visitor said: "Question 0" "Question 1"');
});

test('game times compare as numbers when they are, and unknown ones are never later', () => {
  assert.equal(isLater('100', '99'), true);
  assert.equal(isLater('day 2', 'day 1'), true);
  assert.equal(isLater(null, '1'), false);
  assert.equal(isLater('1', null), false);
});

test('a store that takes its time is waited for only as long as the signal lets it', async () => {
  const store = new MapStore();
  const asked = Promise.withResolvers<ConversationTurn[]>();
  store.loadWindow = () => asked.promise;
  const deadline = new AbortController();
  const recalled = new ConversationMemory(store).recall(
    { conversationId: 'c', timelineId: 'main', gameTime: null },
    policy({}),
    deadline.signal,
  );
  deadline.abort(new Error('no time is left'));
  await assert.rejects(recalled, /no time is left/);
  asked.resolve([]);
});
