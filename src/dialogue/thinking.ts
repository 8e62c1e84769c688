/**
 * Takes a model's thinking out of its stream, before sentences are cut: `<think>…</think>` and its kin span sentences and
 * chunks. Invariants: the output depends on the text alone, not on its chunks; at most one partial tag is held back; what
 * an opening tag began and nothing closed is never given out.
 */

const BLOCKS: readonly (readonly [opening: string, closing: string])[] = [
  ['<think>', '</think>'],
  ['<thinking>', '</thinking>'],
  ['<thought>', '</thought>'],
  ['<reasoning>', '</reasoning>'],
  ['<reflection>', '</reflection>'],
  ['<analysis>', '</analysis>'],
  ['<scratchpad>', '</scratchpad>'],
  ['[think]', '[/think]'],
  ['◁think▷', '◁/think▷'],
  ['<|channel|>analysis', '<|end|>'],
  ['<|begin_of_thought|>', '<|end_of_thought|>'],
  ['<seed:think>', '</seed:think>'],
];
/** Tags that may stand alone: the template opened the block inside the prompt, or a channel changes. */
const LONE_TAGS = [
  ...BLOCKS.map(([, closing]) => closing),
  '<|channel|>final<|message|>',
  '<|start|>assistant',
  '<|message|>',
];
const BEGINNINGS = /[<[◁]/;

export class ThinkingFilter {
  #pending = '';
  /** The closing tag that ends the thinking under way, or null. */
  #closing: string | null = null;

  /** Takes the next text; gives what is meant to be heard. */
  push(text: string): string {
    this.#pending += text;
    let heard = '';
    for (;;) {
      // Only A to Z: other letters may change their length, and the tags hold none.
      const lower = this.#pending.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
      if (this.#closing !== null) {
        const end = lower.indexOf(this.#closing);
        if (end === -1) {
          // What could still become the closing tag is kept, the thought itself is not.
          this.#pending = this.#pending.slice(-(this.#closing.length - 1));
          return heard;
        }
        this.#pending = this.#pending.slice(end + this.#closing.length);
        this.#closing = null;
        continue;
      }
      const start = this.#pending.search(BEGINNINGS);
      if (start === -1) {
        heard += this.#pending;
        this.#pending = '';
        return heard;
      }
      heard += this.#pending.slice(0, start);
      this.#pending = this.#pending.slice(start);
      const tag = lower.slice(start);
      const block = BLOCKS.find(([opening]) => tag.startsWith(opening));
      const lone = LONE_TAGS.find((each) => tag.startsWith(each));
      if (block !== undefined) {
        this.#closing = block[1];
        this.#pending = this.#pending.slice(block[0].length);
      } else if (lone !== undefined) {
        this.#pending = this.#pending.slice(lone.length);
      } else if (mayBecomeTag(tag)) {
        return heard;
      } else {
        heard += this.#pending.charAt(0);
        this.#pending = this.#pending.slice(1);
      }
    }
  }

  /** Gives what was held back, unless it is thinking; begins anew. */
  flush(): string {
    const rest = this.#closing === null ? this.#pending : '';
    this.#pending = '';
    this.#closing = null;
    return rest;
  }
}

function mayBecomeTag(start: string): boolean {
  return (
    BLOCKS.some(([opening]) => opening.startsWith(start)) || LONE_TAGS.some((tag) => tag.startsWith(start))
  );
}
