import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { ChatMessage } from '../core/engine.ts';
import { promptText, TEMPLATE_NAMES, templateEnds } from './prompt-template.ts';

const CHAT: readonly ChatMessage[] = [
  { role: 'system', content: 'You are Mordane.' },
  { role: 'user', content: 'Hi' },
];

const PROMPTS = {
  chatml:
    '<|im_start|>system\nYou are Mordane.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nI sell',
  llama3:
    '<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nYou are Mordane.<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nI sell',
  gemma:
    '<bos><start_of_turn>user\nYou are Mordane.<end_of_turn>\n<start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\nI sell',
  plain: 'You are Mordane.\n\nUser: Hi\n\nAssistant: I sell',
};

for (const name of TEMPLATE_NAMES) {
  test(`${name} leaves the turn of the assistant open behind what it said`, () =>
    assert.equal(promptText(name, CHAT, 'I sell'), PROMPTS[name]));

  test(`nobody's words form a control token of ${name}`, () => {
    const marks = [
      ...templateEnds(name),
      '<|',
      '|>',
      '<bos>',
      '<',
      '|',
      '>',
      'Assistant',
      ':',
      '\n',
      'a',
      ' ',
    ];
    const frame = promptText(name, [{ role: 'user', content: '§' }], '').split('§');
    const inFrame = frame.map((part) =>
      templateEnds(name).reduce((sum, end) => sum + part.split(end).length - 1, 0),
    );
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...marks) }), (content) => {
        const prompt = promptText(name, [{ role: 'user', content }], '');
        const found = templateEnds(name).reduce((sum, end) => sum + prompt.split(end).length - 1, 0);
        assert.equal(found, inFrame[0] === undefined ? 0 : inFrame[0] + (inFrame[1] ?? 0), prompt);
      }),
    );
  });
}
