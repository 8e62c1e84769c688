/**
 * The cases of the gateway bench: each puts one kind of load on one side and gives the figures of that round. The same
 * code, seed and mock for every side; the direct one gives what the machine, mock and client cost by themselves.
 */
import { seeded } from '../engine/prompts.ts';
import { closedLoop, evenArrivals, type LoopResult, openLoop, poissonArrivals } from './arrivals.ts';
import { type Answer, type Ask, LoadClient, type Target } from './client.ts';
import { cpuTimeMs } from './cpu-time.ts';
import { quantile } from './statistics.ts';

export interface Sizes {
  /** Requests one after another. */
  readonly oneClientRequests: number;
  readonly openLoopPerSecond: number;
  readonly openLoopMs: number;
  readonly streams: number;
  readonly streamTokens: number;
  readonly streamPaceMs: number;
  /** How many streams are started in all; at any moment about `streams` of them run. */
  readonly streamStarts: number;
  readonly closedLoopWidth: number;
  readonly closedLoopMs: number;
}

export interface Figures {
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** From the mock's write of a token to the client's read. */
  readonly tokenP50Ms: number;
  readonly tokenP99Ms: number;
  readonly requestsPerSecond: number;
  readonly requests: number;
  readonly failed: number;
  readonly firstFailure: string | null;
  /** p99 of how late the client's own starts were; NaN where there is no schedule. */
  readonly latenessP99Ms: number;
  /** CPU time of the serving process for each request that was answered; NaN where there is no /proc. */
  readonly cpuMsPerRequest: number;
}

export interface Case {
  readonly name: string;
  readonly describe: (sizes: Sizes) => string;
  readonly run: (target: Target, sizes: Sizes, seed: number) => Promise<Figures>;
}

const CLOSED_LOOP_REQUESTS_MAX = 50_000;
const AT_ONCE: Ask = { isStream: false, tokens: 8, delayMs: 0, paceMs: 0 };
const OPEN_LOOP_DELAY_MS = 5;

const total = (answer: Answer) => answer.totalMs;
const firstToken = (answer: Answer) => answer.firstTokenMs;

export const CASES: readonly Case[] = [
  {
    name: 'one client, unary',
    describe: (sizes) => `${sizes.oneClientRequests} requests one after another, the mock answers at once`,
    run: async (target, sizes) => {
      using client = new LoadClient(target);
      await client.warm(1);
      const limits = { width: 1, durationMs: 10_000, countMax: sizes.oneClientRequests };
      const beforeMs = cpuTimeMs(target.pid);
      return figures(target, beforeMs, await closedLoop(limits, () => client.ask(AT_ONCE)), total);
    },
  },
  {
    name: 'open loop, unary',
    describe: (sizes) =>
      `${sizes.openLoopPerSecond} arrivals/s by chance for ${sizes.openLoopMs / 1_000} s, the mock takes ${OPEN_LOOP_DELAY_MS} ms`,
    run: async (target, sizes, seed) => {
      using client = new LoadClient(target);
      await client.warm(8);
      const arrivals = poissonArrivals(sizes.openLoopPerSecond, sizes.openLoopMs, seeded(seed));
      const beforeMs = cpuTimeMs(target.pid);
      const result = await openLoop(arrivals, () => client.ask({ ...AT_ONCE, delayMs: OPEN_LOOP_DELAY_MS }));
      return figures(target, beforeMs, result, total);
    },
  },
  {
    name: 'paced streams, TTFT',
    describe: (sizes) =>
      `${sizes.streams} streams at a time, ${sizes.streamTokens} tokens each, one every ${sizes.streamPaceMs} ms, ${sizes.streamStarts} started by schedule`,
    run: async (target, sizes, seed) => {
      using client = new LoadClient(target);
      await client.warm(sizes.streams);
      const lengthMs = (sizes.streamTokens - 1) * sizes.streamPaceMs;
      const arrivals = evenArrivals(lengthMs / sizes.streams, sizes.streamStarts, seeded(seed));
      const ask: Ask = {
        isStream: true,
        tokens: sizes.streamTokens,
        delayMs: 0,
        paceMs: sizes.streamPaceMs,
      };
      const beforeMs = cpuTimeMs(target.pid);
      return figures(target, beforeMs, await openLoop(arrivals, () => client.ask(ask)), firstToken);
    },
  },
  {
    name: 'most requests, unary',
    describe: (sizes) =>
      `${sizes.closedLoopWidth} clients, each asking again when answered, for ${sizes.closedLoopMs / 1_000} s`,
    run: async (target, sizes) => {
      using client = new LoadClient(target);
      await client.warm(sizes.closedLoopWidth);
      const limits = {
        width: sizes.closedLoopWidth,
        durationMs: sizes.closedLoopMs,
        countMax: CLOSED_LOOP_REQUESTS_MAX,
      };
      const beforeMs = cpuTimeMs(target.pid);
      return figures(target, beforeMs, await closedLoop(limits, () => client.ask(AT_ONCE)), total);
    },
  },
];

/** Lets a gateway's code get hot before anything is measured: some of each kind of load, none of it counted. */
export async function warmUp(target: Target, sizes: Sizes, durationMs: number): Promise<readonly string[]> {
  using client = new LoadClient(target);
  const stream: Ask = { isStream: true, tokens: 20, delayMs: 0, paceMs: 1 };
  const limits = { width: sizes.closedLoopWidth, durationMs: durationMs / 2, countMax: 20_000 };
  const streamed = await closedLoop(limits, () => client.ask(stream));
  const unary = await closedLoop(limits, () => client.ask(AT_ONCE));
  return [...streamed.failures, ...unary.failures];
}

function figures(
  target: Target,
  cpuBeforeMs: number,
  result: LoopResult<Answer>,
  time: (answer: Answer) => number,
): Figures {
  const cpuMs = cpuTimeMs(target.pid) - cpuBeforeMs;
  const times = result.answers.map(time);
  const transits = result.answers.flatMap((answer) => answer.transitsMs);
  return {
    p50Ms: quantile(times, 0.5),
    p99Ms: quantile(times, 0.99),
    tokenP50Ms: quantile(transits, 0.5),
    tokenP99Ms: quantile(transits, 0.99),
    requestsPerSecond: (result.answers.length / result.elapsedMs) * 1_000,
    requests: result.answers.length + result.failures.length,
    failed: result.failures.length,
    firstFailure: result.failures[0] ?? null,
    latenessP99Ms: quantile(result.latenessMs, 0.99),
    cpuMsPerRequest: cpuMs / result.answers.length,
  };
}
