/**
 * One fetch of a file at a time, over all processes that share a cache: a lock file that its holder touches while it
 * lives. Node has no flock, so a holder that was killed is recognised by its process being gone (same host) or by its
 * lock resting untouched (another host). The lock saves work; that the bytes are right is the digest's task, so the
 * instant in which two waiters might both take over a dead lock can waste a download but not spoil a file.
 */
import { readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import type { Clock } from '../core/runtime.ts';
import { storageError } from './cache.ts';

const TOUCH_EVERY_MS = 2_000;
const DEAD_AFTER_MS = 15_000;
const LOOK_EVERY_MS = 200;

/** Tells apart the locks of one process, which share its pid. */
let taken = 0;

/**
 * Waits until the lock at `path` is ours. `isNeeded` is asked before each try: null comes back as soon as it says no,
 * which is how a waiter uses what the holder fetched. Dispose to release.
 */
export async function takeFetchLock(
  path: string,
  clock: Clock,
  isNeeded: () => Promise<boolean>,
  signal: AbortSignal,
): Promise<AsyncDisposable | null> {
  const token = `${process.pid}-${clock.nowMs()}-${++taken}`;
  let seen = '';
  let seenAtMs = clock.monotonicMs();
  for (;;) {
    if (signal.aborted) throw signal.reason;
    if (!(await isNeeded())) return null;
    if (await tryCreate(path, token)) return hold(path, token, clock);
    const holder = await look(path);
    const state = `${holder.text} ${holder.mtimeMs}`;
    const nowMs = clock.monotonicMs();
    if (state !== seen) {
      seen = state;
      seenAtMs = nowMs;
    }
    if (holder.text !== '' && (isGone(holder.text) || nowMs - seenAtMs > DEAD_AFTER_MS)) {
      await rm(path, { force: true });
      continue;
    }
    if (nowMs - seenAtMs > DEAD_AFTER_MS) await rm(path, { force: true });
    await clock.sleep(LOOK_EVERY_MS, signal);
  }
}

async function tryCreate(path: string, token: string): Promise<boolean> {
  try {
    await writeFile(path, `${JSON.stringify({ token, host: hostname(), pid: process.pid })}\n`, {
      flag: 'wx',
    });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw storageError(error, path);
  }
}

function hold(path: string, token: string, clock: Clock): AsyncDisposable {
  let timer: Disposable;
  const arm = () => {
    timer = clock.timer(TOUCH_EVERY_MS, () => {
      const now = clock.nowMs() / 1000;
      // The lock may have been taken away by hand; then there is nothing to touch.
      utimes(path, now, now).catch(() => {});
      arm();
    });
  };
  arm();
  return {
    [Symbol.asyncDispose]: async () => {
      timer[Symbol.dispose]();
      const { text } = await look(path);
      if (text.includes(token)) await rm(path, { force: true });
    },
  };
}

async function look(path: string): Promise<{ text: string; mtimeMs: number }> {
  try {
    const [text, { mtimeMs }] = await Promise.all([readFile(path, 'utf8'), stat(path)]);
    return { text, mtimeMs };
  } catch {
    return { text: '', mtimeMs: 0 };
  }
}

/** Whether the holder ran on this host and runs no more. */
function isGone(text: string): boolean {
  try {
    const holder = JSON.parse(text) as { host?: unknown; pid?: unknown };
    if (holder.host !== hostname() || typeof holder.pid !== 'number') return false;
    process.kill(holder.pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}
