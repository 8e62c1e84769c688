/**
 * What an engine keeps of the prompts it has read: blocks of 16 tokens, each named by everything up to its end, the least
 * recently used dropped first. It is how vLLM shares prefixes (https://docs.vllm.ai/en/latest/design/prefix_caching/), and
 * near enough to the sequences that llama.cpp keeps. Held to real prompt text, so a prefix that differs is not shared.
 */

export const BLOCK_TOKENS = 16;
/** English on the models that NPCs run on: about four characters a token (engines' own counters round up from three). */
export const CHARACTERS_PER_TOKEN = 4;
const BLOCK_CHARACTERS = BLOCK_TOKENS * CHARACTERS_PER_TOKEN;

/** Tokens that a text is taken for, at least 1. */
export function tokensOf(text: string): number {
  return Math.max(1, Math.ceil(text.length / CHARACTERS_PER_TOKEN));
}

/** The whole blocks of a prompt, each hash covering all before it. 52 bits: two of a million collide by 1 in 10,000. */
export function blocksOf(prompt: string): readonly number[] {
  const blocks: number[] = [];
  // Two 32-bit FNV-1a lanes with different primes.
  let low = 0x811c9dc5;
  let high = 0x9747b28c;
  const whole = prompt.length - (prompt.length % BLOCK_CHARACTERS);
  for (let at = 0; at < whole; at++) {
    const code = prompt.charCodeAt(at);
    low = Math.imul(low ^ code, 0x01000193);
    high = Math.imul(high ^ code, 0x5bd1e995);
    if ((at + 1) % BLOCK_CHARACTERS === 0) blocks.push((high & 0xfffff) * 0x1_0000_0000 + (low >>> 0));
  }
  return blocks;
}

export class PrefixBlocks {
  readonly #blocksMax: number;
  /** In the order of their last use. */
  readonly #held = new Set<number>();

  /** `tokensMax`: what the engine's cache has room for; 0 keeps nothing. */
  constructor(tokensMax: number) {
    this.#blocksMax = Math.floor(tokensMax / BLOCK_TOKENS);
  }

  get tokens(): number {
    return this.#held.size * BLOCK_TOKENS;
  }

  /** Tokens at the beginning of a prompt that need not be read again; at least one token is always read. */
  cachedTokens(blocks: readonly number[], promptTokens: number): number {
    let found = 0;
    while (found < blocks.length && this.#held.has(blocks[found] as number)) found += 1;
    return Math.min(found * BLOCK_TOKENS, Math.max(0, promptTokens - 1));
  }

  /** The prompt has been read: its blocks are the latest used, the first of them last to go. */
  keep(blocks: readonly number[]): void {
    for (let at = blocks.length - 1; at >= 0; at--) {
      const block = blocks[at] as number;
      this.#held.delete(block);
      this.#held.add(block);
    }
    for (const oldest of this.#held) {
      if (this.#held.size <= this.#blocksMax) break;
      this.#held.delete(oldest);
    }
  }
}
