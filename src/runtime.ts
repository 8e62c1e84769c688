/**
 * The real world: clock, randomness, environment. The only file in `src/` that touches Date.now, performance.now,
 * timers, Math.random, crypto and process.env; a test keeps it so. The simulator supplies another Runtime.
 */
import { randomBytes } from 'node:crypto';
import type { Clock, Random, Runtime } from './core/runtime.ts';

const realClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  sleep: (durationMs, signal) =>
    new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason as Error);
      const onAbort = () => {
        clearTimeout(timer);
        reject(signal.reason as Error);
      };
      const timer = setTimeout(() => {
        signal.removeEventListener('abort', onAbort);
        resolve();
      }, durationMs);
      signal.addEventListener('abort', onAbort, { once: true });
    }),
  timer: (durationMs, callback) => {
    const timer = setTimeout(callback, durationMs);
    timer.unref();
    return { [Symbol.dispose]: () => clearTimeout(timer) };
  },
};

/** Crockford base 32: no I, L, O, U, so ids can be read aloud. */
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

/** A ULID-like id: 48 bits of milliseconds, then 80 random bits (https://github.com/ulid/spec). */
function sortableId(prefix: string, nowMs: number, entropy: Uint8Array): string {
  let time = nowMs;
  let head = '';
  for (let i = 0; i < 10; i++) {
    head = ALPHABET.charAt(time % 32) + head;
    time = Math.floor(time / 32);
  }
  let tail = '';
  for (const byte of entropy) tail += ALPHABET.charAt(byte & 31);
  return `${prefix}_${head}${tail}`;
}

/** Ids draw from a pool: a call of the system's generator costs more than the rest of an id (3 % of a pass-through). */
const ENTROPY_POOL_BYTES = 4_096;
const ID_ENTROPY_BYTES = 16;
let entropyPool = new Uint8Array(0);

function idEntropy(): Uint8Array {
  if (entropyPool.length < ID_ENTROPY_BYTES) entropyPool = randomBytes(ENTROPY_POOL_BYTES);
  const taken = entropyPool.subarray(0, ID_ENTROPY_BYTES);
  entropyPool = entropyPool.subarray(ID_ENTROPY_BYTES);
  return taken;
}

const realRandom: Random = {
  next: () => Math.random(),
  id: (prefix) => sortableId(prefix, Date.now(), idEntropy()),
  bytes: (length) => randomBytes(length),
};

export const realRuntime: Runtime = { clock: realClock, random: realRandom, environment: process.env };
