/**
 * The small forms that text takes inside a prompt. Whatever came from a card, a game or a player becomes one plain line
 * that can form neither a control token of a chat template nor a role label.
 */

/** Control and format characters, but for the ones that `plainLine` turns into spaces. */
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}]+/gu;
/** `<|im_start|>`, `<start_of_turn>`, `[INST]`, `<<SYS>>`, `</s>`, `<s>`: the shapes of template tokens. */
const CONTROL_SHAPES =
  /<\|+|\|+>|<<\/?SYS>>|\[\/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS)\]|<\/?(?:s|bos|eos|pad|unk|start_of_turn|end_of_turn|think)>/gi;
const ROLE_LABEL = /(^|\s)(system|assistant|user|developer)\s*:/gi;

/** One line of plain text: breaks become spaces, invisible characters, template tokens and role labels go. */
export function plainLine(text: string): string {
  let result = text.replace(/[\s\u2028\u2029]+/g, ' ').replace(INVISIBLE, '');
  // Taking a token out may join the halves of another, so until nothing changes; each round shortens the text.
  for (let before = ''; before !== result; ) {
    before = result;
    result = result.replace(CONTROL_SHAPES, '');
  }
  return result.replace(ROLE_LABEL, '$1$2,').replace(/ {2,}/g, ' ').trim();
}

/**
 * The player's words: one line without brackets. In a user message they are the last line, and nothing in them can
 * begin another. No label stands before them: a small model that is shown `The player says: "…"` answers in that form.
 */
export function spoken(words: string): string {
  return plainLine(words.replace(/[()[\]{}<>]/g, ' '));
}

/** A user message: what the game tells on the first line, if anything, and what was said on the last. */
export function toldAndSaid(told: readonly string[], said: string): string {
  return [told.join(' '), said].filter((line) => line !== '').join('\n');
}
