/**
 * What becomes of the engine's work when the player walks away: clients leave in the middle of a stream, and the mock
 * says of how many streams its own socket was closed in time. A gateway that reads on to the end pays for every token.
 */
import { type Ask, LoadClient, type Target } from './client.ts';

export interface HangUps {
  /** Clients that hung up in the midst of their stream. */
  readonly left: number;
  /** Streams that the mock stopped within a second of the client's leaving. */
  readonly stopped: number;
}

/** Two seconds of tokens: a stream that is not stopped still runs when we look. */
const LONG: Ask = { isStream: true, tokens: 100, delayMs: 0, paceMs: 20 };
const AFTER_TOKENS = 5;
const LOOK_FOR_MS = 1_000;

export async function hangUp(target: Target, mockOrigin: string, count: number): Promise<HangUps> {
  using client = new LoadClient(target);
  const before = await abandoned(mockOrigin);
  // A gateway that gives too few tokens to leave in time has fewer clients that left, and no figure for the others.
  const leaving = await Promise.allSettled(
    Array.from({ length: count }, () => client.leave(LONG, AFTER_TOKENS)),
  );
  const left = leaving.filter(({ status }) => status === 'fulfilled').length;
  const leftMs = performance.now();
  let stopped = 0;
  while (stopped < left && performance.now() - leftMs < LOOK_FOR_MS) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    stopped = (await abandoned(mockOrigin)) - before;
  }
  // What was not stopped runs out, so that it burdens nobody who is measured next.
  if (stopped < left) await new Promise((resolve) => setTimeout(resolve, LONG.tokens * LONG.paceMs));
  return { left, stopped: Math.min(stopped, left) };
}

async function abandoned(mockOrigin: string): Promise<number> {
  const reply = await fetch(`${mockOrigin}/counts`, { signal: AbortSignal.timeout(5_000) });
  return ((await reply.json()) as { abandoned: number }).abandoned;
}
