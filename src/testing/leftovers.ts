/**
 * What a test has started and made, ended in the opposite order: a server before the folder that it writes into.
 * The runner's own `after` hooks run in the order of their registration, and the first that fails keeps the others
 * from running: a folder that could not go left its server running, and the file's process never ended.
 */
import type { TestContext } from 'node:test';

/** A stack that is disposed when the test ends, also by its time limit. */
export function leftovers(context: TestContext): AsyncDisposableStack {
  const stack = new AsyncDisposableStack();
  context.after(() => stack.disposeAsync());
  return stack;
}
