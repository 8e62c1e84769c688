import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DialogueOutcome } from '../core/dialogue.ts';
import { dialogueSchema, eventDataOf, replyOf, replySchema, requestOf } from './wire.ts';

const ARRIVAL = { id: 'dlg_2', mayRaiseTier: false, source: 'local', receivedMonoMs: 0 };

const UNSPOKEN: DialogueOutcome = {
  id: 'dlg_2',
  npcId: 'zombie',
  finishReason: 'unspoken',
  unspoken: { reason: 'coalesced', voice: { npcId: 'ghoul', id: 'dlg_1' } },
  tier: 1,
  source: { kind: 'none', engine: 'none', model: null, modelVersion: null, adapter: null, rung: 0 },
  usage: { promptTokens: 0, cachedTokens: 0, completionTokens: 0, costMicroUsd: 0 },
  timing: { queueMs: 0, ttftMs: null, ttfsMs: null, totalMs: 0.1 },
  sentences: [],
};

test('an event and listeners reach the walk under its own names; left out, they are not there', () => {
  const bark = { npc_id: 'zombie', prompt: '', trigger: 'spot' };
  const body = dialogueSchema.parse({
    ...bark,
    event: { id: 'door', area: 'crypt' },
    context: { listeners: ['p1'] },
  });
  const request = requestOf(body, ARRIVAL);
  assert.deepEqual(request.event, { id: 'door', area: 'crypt', depth: 0 });
  assert.deepEqual(request.context.listeners, ['p1']);
  const plain = requestOf(dialogueSchema.parse(bark), ARRIVAL);
  assert.ok(!('event' in plain) && !('listeners' in plain.context));
});

test('a line that is not spoken is a whole reply: no text, why, and who speaks', () => {
  const reply = replyOf(UNSPOKEN);
  assert.deepEqual(replySchema.parse(reply), reply);
  assert.equal(reply.text, '');
  assert.equal(reply.finish_reason, 'unspoken');
  assert.deepEqual(reply.unspoken, { reason: 'coalesced', voice: { npc_id: 'ghoul', id: 'dlg_1' } });
  const { text: _text, ...done } = reply;
  assert.deepEqual(eventDataOf({ type: 'done', outcome: UNSPOKEN }), done);
  const nobody = replyOf({ ...UNSPOKEN, unspoken: { reason: 'depth', voice: null } });
  assert.deepEqual(nobody.unspoken, { reason: 'depth', voice: null });
});
