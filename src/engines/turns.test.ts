import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { ChatMessage } from '../core/engine.ts';
import { asTurns } from './turns.ts';

const chat = fc.array(
  fc.record({
    role: fc.constantFrom<ChatMessage['role']>('system', 'user', 'assistant'),
    content: fc.constantFrom('', ' ', 'a', 'b', 'c'),
  }),
);

test('whatever was said, the user begins, sides take turns, nobody is silent, and nothing is lost', () => {
  fc.assert(
    fc.property(chat, (messages) => {
      const { system, turns } = asTurns(messages);
      assert.equal(turns[0]?.role, 'user');
      for (const [index, turn] of turns.entries()) {
        assert.equal(turn.role, index % 2 === 0 ? 'user' : 'assistant');
        assert.notEqual(turn.text.trim(), '');
      }
      const said = messages.map(({ content }) => content.trim()).join('');
      const kept = [...system, ...turns.map(({ text }) => text)].join('').replace(/[\s…]/g, '');
      assert.equal(kept, said);
    }),
  );
});

test('what the service says first stands apart; what it says later comes with the words of the user', () => {
  assert.deepEqual(
    asTurns([
      { role: 'system', content: 'rules' },
      { role: 'system', content: 'persona' },
      { role: 'user', content: 'Hi' },
      { role: 'assistant', content: 'Yes?' },
      { role: 'system', content: 'It rains.' },
      { role: 'user', content: 'Well' },
    ]),
    {
      system: ['rules', 'persona'],
      turns: [
        { role: 'user', text: 'Hi' },
        { role: 'assistant', text: 'Yes?' },
        { role: 'user', text: 'It rains.\n\nWell' },
      ],
    },
  );
});
