/** Who waits for something to be so: asked after every turn, settled once. */
import { ServiceError } from '../core/errors.ts';

interface Watcher {
  readonly isSo: () => boolean;
  readonly settle: (error: unknown) => void;
}

const ENDED = 'the keeper of adapters has ended';

export class Watchers {
  readonly #watchers = new Set<Watcher>();
  #hasEnded = false;

  /** Resolves when `isSo` says true at a look; rejects with what it throws, with the signal's reason, or `draining` at the end. */
  until(isSo: () => boolean, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason as Error);
      if (this.#hasEnded) return reject(new ServiceError('draining', ENDED));
      const onAbort = () => watcher.settle(signal.reason);
      const watcher: Watcher = {
        isSo,
        settle: (error) => {
          this.#watchers.delete(watcher);
          signal.removeEventListener('abort', onAbort);
          if (error === null) resolve();
          else reject(error as Error);
        },
      };
      signal.addEventListener('abort', onAbort, { once: true });
      this.#watchers.add(watcher);
    });
  }

  look(): void {
    for (const watcher of [...this.#watchers])
      try {
        if (watcher.isSo()) watcher.settle(null);
      } catch (error) {
        watcher.settle(error);
      }
  }

  end(): void {
    this.#hasEnded = true;
    for (const watcher of [...this.#watchers]) watcher.settle(new ServiceError('draining', ENDED));
  }
}
