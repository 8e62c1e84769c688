/**
 * Counts who listens to which abort signal. A listener that stays on a signal of the whole process is a leak that no other
 * figure shows (nodejs/node #54614), and a test of an hour would only see memory grow.
 */

export interface ListenerCount extends Disposable {
  /** Signals that are not aborted and have more listeners than when counting began, by at least `excess`. */
  over(excess: number): readonly { readonly listeners: number; readonly addedBy: string }[];
}

type Listener = Parameters<AbortSignal['addEventListener']>[1];
type Options = Parameters<AbortSignal['addEventListener']>[2];

interface Counted {
  readonly live: Set<Listener>;
  addedBy: string;
}

/** Until disposed, every `addEventListener` on an AbortSignal of this process passes here. */
export function countListeners(): ListenerCount {
  const { prototype } = AbortSignal;
  const { addEventListener: add, removeEventListener: remove } = prototype;
  const signals = new Map<AbortSignal, Counted>();
  prototype.addEventListener = function (
    this: AbortSignal,
    type: string,
    listener: Listener,
    options?: Options,
  ) {
    if (type === 'abort' && !this.aborted) {
      const counted = signals.get(this) ?? { live: new Set(), addedBy: '' };
      signals.set(this, counted);
      counted.live.add(listener);
      if (counted.live.size === SUSPICIOUS) counted.addedBy = new Error('added').stack ?? '';
    }
    add.call(this, type, listener, options);
  };
  prototype.removeEventListener = function (
    this: AbortSignal,
    type: string,
    listener: Listener,
    options?: Options,
  ) {
    const counted = signals.get(this);
    if (counted?.live.delete(listener) === true && counted.live.size === 0) signals.delete(this);
    remove.call(this, type, listener, options);
  };
  return {
    over: (excess) =>
      [...signals]
        .filter(([signal, { live }]) => !signal.aborted && live.size >= excess)
        .map(([, { live, addedBy }]) => ({ listeners: live.size, addedBy: framesOf(addedBy) })),
    [Symbol.dispose]: () => {
      prototype.addEventListener = add;
      prototype.removeEventListener = remove;
    },
  };
}

/** From so many on, the next one's stack is kept: it is probably one of those that stay. */
const SUSPICIOUS = 4;

function framesOf(stack: string): string {
  return [...stack.matchAll(/(src\/[\w./-]+\.ts:\d+):\d+/g)]
    .map((match) => match[1] ?? '')
    .filter((frame) => !frame.includes('simulation/listeners'))
    .slice(0, 3)
    .join(' ← ');
}
