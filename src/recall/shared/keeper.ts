/** Lines on their way to the server: a bounded line of its own, so that keeping never delays a question. */
import type { Variant } from '../variant.ts';
import { encodeVariants } from '../variant.ts';
import type { Connection } from './connection.ts';
import { KEEP } from './scripts.ts';

/** Sent and not confirmed; the rest waits here, where it can be dropped. */
const SENT_MAX = 16;
const WAITING_CHARACTERS_MAX = 4 * 2 ** 20;

interface Waiting {
  readonly key: string;
  readonly entryKey: string;
  readonly id: string;
  readonly encoded: string;
  readonly variantsMax: number;
  readonly ttlMs: number;
}

export interface KeeperParts {
  readonly connection: Connection;
  readonly queuedMax: number;
  readonly entryBytesMax: number;
  /** Whether the server should be left alone now. */
  readonly isResting: () => boolean;
  /** The words of the server when it refused or mended something, '' when all was well. */
  readonly onKept: (words: string) => void;
  readonly onError: (error: unknown) => void;
  readonly onDropped: () => void;
}

export class Keeper {
  readonly #parts: KeeperParts;
  #waiting: Waiting[] = [];
  #characters = 0;
  #sent = 0;

  constructor(parts: KeeperParts) {
    this.#parts = parts;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  keep(
    key: string,
    entryKey: string,
    variant: Variant,
    limits: { readonly variantsMax: number; readonly ttlMs: number },
  ): void {
    const encoded = encodeVariants([variant]);
    this.#waiting.push({ key, entryKey, id: variant.id, encoded, ...limits });
    this.#characters += encoded.length;
    while (this.#waiting.length > this.#parts.queuedMax || this.#characters > WAITING_CHARACTERS_MAX) {
      this.#take();
      this.#parts.onDropped();
    }
    this.send();
  }

  /** Sends what may be sent now; called again when the server is back. */
  send(): void {
    const { connection, isResting } = this.#parts;
    while (this.#sent < SENT_MAX && connection.isReady && !isResting()) {
      const next = this.#take();
      if (next === undefined) return;
      this.#sent += 1;
      this.#run(next);
    }
  }

  /** What has not left yet, of an NPC or of all, is not kept. */
  forget(isTheirs: (key: string) => boolean): void {
    this.#waiting = this.#waiting.filter(({ key }) => !isTheirs(key));
    this.#characters = this.#waiting.reduce((sum, { encoded }) => sum + encoded.length, 0);
  }

  #take(): Waiting | undefined {
    const first = this.#waiting.shift();
    this.#characters -= first?.encoded.length ?? 0;
    return first;
  }

  #run({ entryKey, id, encoded, ttlMs, variantsMax }: Waiting): void {
    const { connection, entryBytesMax, onKept, onError } = this.#parts;
    const args = [id, encoded, Math.max(1, Math.round(ttlMs)), variantsMax, entryBytesMax];
    const done = () => {
      this.#sent -= 1;
      this.send();
    };
    connection
      .runBounded(KEEP, [entryKey], args)
      .then((words) => onKept(String(words)), onError)
      .then(done, done);
  }
}
