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
 * The player's words as a user message. The message is the delimiter: a small model that is shown `The player says:
 * "…"` answers in the same form. Brackets are ours alone (they mark what the game says), so they go from the words.
 */
export function spoken(words: string): string {
  return plainLine(words.replace(/[()[\]{}<>]/g, ' '));
}

/** What holds now, told by the game and not by the player. */
export function aside(sentences: readonly string[]): string {
  return sentences.length === 0 ? '' : `(${sentences.join(' ').replace(/[()]/g, '')})`;
}
