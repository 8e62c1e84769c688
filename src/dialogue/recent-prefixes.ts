/**
 * Which stable prefixes were asked for most, so that an engine that comes back reads them in before players meet it.
 * Counts fade, so that yesterday's crowd does not warm today's engine.
 */
import type { ChatMessage } from '../core/engine.ts';

interface Used {
  readonly messages: readonly ChatMessage[];
  count: number;
}

const KEPT_MAX = 256;
const WARMED_MAX = 4;
/** After so many uses every count is halved. */
const FADE_EVERY = 1_000;

export class RecentPrefixes {
  readonly #used = new Map<string, Used>();
  #uses = 0;

  /** `messages` are the stable ones; an engine reads them in once whoever asks. */
  note(key: string, messages: readonly ChatMessage[]): void {
    if (messages.length === 0) return;
    const known = this.#used.get(key);
    this.#used.delete(key);
    this.#used.set(key, { messages, count: (known?.count ?? 0) + 1 });
    if (this.#used.size > KEPT_MAX) {
      const [oldest] = this.#used.keys();
      if (oldest !== undefined) this.#used.delete(oldest);
    }
    this.#uses += 1;
    if (this.#uses % FADE_EVERY === 0) for (const used of this.#used.values()) used.count /= 2;
  }

  /** The few that were used most, most used first. */
  mostUsed(): readonly (readonly ChatMessage[])[] {
    return [...this.#used.values()]
      .toSorted((one, other) => other.count - one.count)
      .slice(0, WARMED_MAX)
      .map(({ messages }) => messages);
  }
}
