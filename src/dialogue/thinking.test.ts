import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ThinkingFilter } from './thinking.ts';

function filter(text: string, sizes: readonly number[] = []): string {
  const thinking = new ThinkingFilter();
  let heard = '';
  let at = 0;
  for (const size of sizes) {
    heard += thinking.push(text.slice(at, at + size));
    at += size;
  }
  return heard + thinking.push(text.slice(at)) + thinking.flush();
}

const table: readonly (readonly [text: string, heard: string])[] = [
  ['<think>The player lies. I must be rude.</think>Leave.', 'Leave.'],
  ['<THINK>a</Think>Leave.', 'Leave.'],
  ['Hm. <thinking>one. two.\n\nthree</thinking> Leave.', 'Hm.  Leave.'],
  ['<think>never closed. Secret is bell.', ''],
  ['the prompt opened it</think>Leave.', 'the prompt opened itLeave.'],
  ['[THINK]hm[/THINK]Leave.', 'Leave.'],
  ['◁think▷hm◁/think▷Leave.', 'Leave.'],
  [
    '<|channel|>analysis<|message|>They lie.<|end|><|start|>assistant<|channel|>final<|message|>Leave.',
    'Leave.',
  ],
  ['<think>a<think>b</think>Leave.', 'Leave.'],
  ['a < b and <thin ice> [thi', 'a < b and <thin ice> [thi'],
  ['<think></think>Leave.<', 'Leave.<'],
];

test('thinking is not heard, everything else is', () => {
  for (const [text, heard] of table) assert.equal(filter(text), heard, text);
});

test('the chunks never change what is heard', () => {
  const part = fc.oneof(
    fc.constantFrom(
      '<think>',
      '</think>',
      '[think]',
      '[/THINK]',
      '<',
      '<thi',
      'nk>',
      '<|channel|>',
      'analysis',
      '<|end|>',
      ' words. ',
      '◁think▷',
      '[',
    ),
    fc.constantFrom(...table.map(([text]) => text)),
  );
  fc.assert(
    fc.property(fc.array(part, { maxLength: 8 }), fc.array(fc.nat(7), { maxLength: 30 }), (parts, sizes) => {
      const text = parts.join('');
      assert.equal(filter(text, sizes), filter(text));
      assert.equal(filter(text, Array<number>(text.length).fill(1)), filter(text));
    }),
  );
});
