/** What the tests of real engines need to hang up in a known moment and to hear the engine's own word afterwards. */
import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';

/** About 1,400 tokens, which keep a small model on one core reading for more than a second. */
export const LONG_PROMPT = 'The harbour bell rang and nobody in the quarter dared to look outside. '.repeat(
  100,
);

const PATIENCE_MS = 60_000;
/**
 * Seldom on purpose: llama-server b11434 looks for hang-ups only after a second in which no request of anybody had a
 * result, so that whoever asks for its metrics more often, or streams beside, keeps it from noticing.
 */
const ASK_EVERY_MS = 1_500;

/** Asks again and again; fails, saying what was never so, when it stays false. */
export async function untilTrue(what: string, ask: () => Promise<boolean>): Promise<void> {
  const patience = AbortSignal.timeout(PATIENCE_MS);
  while (!(await ask())) {
    assert.ok(!patience.aborted, `never: ${what}`);
    await delay(ASK_EVERY_MS);
  }
}

/** Posts for an answer that is not streamed, and closes the connection once the moment has come. */
export async function hangUpUnary(url: string, body: unknown, moment: () => Promise<void>): Promise<void> {
  const controller = new AbortController();
  const reason = new Error('hung up');
  const answer = fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
    signal: controller.signal,
  });
  answer.catch(() => {});
  await moment();
  controller.abort(reason);
  await assert.rejects(answer, (error) => error === reason);
}
