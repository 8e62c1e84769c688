/**
 * A chat as one text, for servers that take a prompt and no messages. Invariant: nothing that anybody says can form a
 * control token of the template; such marks in a text are broken by a space.
 */
import type { ChatMessage } from '../core/engine.ts';

interface Template {
  readonly start: string;
  readonly turn: (role: ChatMessage['role'], text: string) => string;
  /** Opens the assistant's turn. */
  readonly open: string;
  /** What a model of this template says when it has ended: never part of a line. */
  readonly ends: readonly string[];
}

/** Sources: the chat templates in the tokenizer files of Qwen2.5, Llama 3.1, Mistral 7B v0.3, Gemma 2, as of 2026-11. */
const TEMPLATES = {
  chatml: {
    start: '',
    turn: (role, text) => `<|im_start|>${role}\n${text}<|im_end|>\n`,
    open: '<|im_start|>assistant\n',
    ends: ['<|im_end|>', '<|im_start|>', '<|endoftext|>'],
  },
  llama3: {
    start: '<|begin_of_text|>',
    turn: (role, text) => `<|start_header_id|>${role}<|end_header_id|>\n\n${text}<|eot_id|>`,
    open: '<|start_header_id|>assistant<|end_header_id|>\n\n',
    ends: ['<|eot_id|>', '<|end_of_text|>', '<|start_header_id|>'],
  },
  gemma: {
    start: '<bos>',
    // It knows no system role: what the service says is the user's.
    turn: (role, text) => `<start_of_turn>${role === 'assistant' ? 'model' : 'user'}\n${text}<end_of_turn>\n`,
    open: '<start_of_turn>model\n',
    ends: ['<end_of_turn>', '<start_of_turn>', '<eos>'],
  },
  plain: {
    start: '',
    turn: (role, text) => `${PLAIN_NAMES[role]}${text}\n\n`,
    open: 'Assistant:',
    ends: ['\nUser:', '\nAssistant:'],
  },
} as const satisfies Record<string, Template>;

const PLAIN_NAMES = { system: '', user: 'User: ', assistant: 'Assistant: ' } as const;

export const TEMPLATE_NAMES = [
  'chatml',
  'llama3',
  'gemma',
  'plain',
] as const satisfies readonly (keyof typeof TEMPLATES)[];
export type TemplateName = (typeof TEMPLATE_NAMES)[number];

/** The prompt, open for the assistant, who goes on behind `assistantPrefix`. */
export function promptText(
  name: TemplateName,
  messages: readonly ChatMessage[],
  assistantPrefix: string,
): string {
  const template: Template = TEMPLATES[name];
  const turns = messages.map(({ role, content }) => template.turn(role, harmless(content)));
  const gap = name === 'plain' && assistantPrefix !== '' ? ' ' : '';
  return `${template.start}${turns.join('')}${template.open}${gap}${harmless(assistantPrefix)}`;
}

export function templateEnds(name: TemplateName): readonly string[] {
  return TEMPLATES[name].ends;
}

/** `<|…`, `…|>`, `<start_of_turn>` and their likes, and a label at a line's beginning. */
function harmless(text: string): string {
  return text
    .replace(/<(?=\||\/?s>|bos>|eos>|pad>|unk>|\/?(?:start|end)_of_turn>)/gi, '< ')
    .replace(/\|(?=>)/g, '| ')
    .replace(/^([ \t]*(?:User|Assistant|System))(?=:)/gim, '$1 ');
}
