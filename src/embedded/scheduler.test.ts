import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { Clock } from '../core/runtime.ts';
import type { LineRequest, LineResult } from './line.ts';
import type { DecodeContext } from './llama/decode-context.ts';
import type { SequenceCopy } from './llama/sequence-copies.ts';
import { Scheduler, type SchedulerOptions } from './scheduler.ts';

/**
 * As measured with SmolLM2-135M on two cores: a pass reads all weights once, then each token costs; of a prompt less
 * where the matrix kernels have enough of them.
 */
const PASS_MS = 6;
const DECODED_TOKEN_MS = 6;
const promptTokenMs = (tokens: number) => (tokens < 64 ? 3.2 : 2);

/**
 * A double of the context whose passes take no real time: they move the clock. It holds what a real one would, and fails
 * when a pass goes on from anything else.
 */
class ContextDouble implements DecodeContext {
  readonly contextTokens = 4_096;
  nowMs = 0;
  readonly #held = new Map<number, number[]>();

  held(sequence: number): number[] {
    const held = this.#held.get(sequence) ?? [];
    this.#held.set(sequence, held);
    return held;
  }

  decode(items: Parameters<DecodeContext['decode']>[0]): Promise<number[]> {
    this.nowMs += PASS_MS;
    const logits = items.map(({ sequence, position, tokens, wantsLogits }, index) => {
      const held = this.held(sequence);
      assert.equal(held.length, position);
      for (const token of tokens) held.push(token);
      this.nowMs += tokens.length * (tokens.length > 1 ? promptTokenMs(tokens.length) : DECODED_TOKEN_MS);
      return wantsLogits ? index : -1;
    });
    return Promise.resolve(logits);
  }

  useLora(): void {}

  setThreads(): void {}

  sample(): Promise<number> {
    return Promise.resolve(7);
  }

  createSampler(): ReturnType<DecodeContext['createSampler']> {
    return { [Symbol.dispose]: () => {} } as ReturnType<DecodeContext['createSampler']>;
  }

  copyPrefix(source: number, target: number, length: number): Promise<boolean> {
    this.#held.set(target, this.held(source).slice(0, length));
    return Promise.resolve(true);
  }

  saveSequence(sequence: number): Promise<SequenceCopy & { tokens: readonly number[] }> {
    const tokens = [...this.held(sequence)];
    return Promise.resolve({ bytes: tokens.length * 1_000, tokens, [Symbol.dispose]: () => {} });
  }

  restoreSequence(copy: SequenceCopy, sequence: number, length: number): Promise<boolean> {
    const { tokens } = copy as SequenceCopy & { tokens: readonly number[] };
    this.#held.set(sequence, tokens.slice(0, length));
    return Promise.resolve(tokens.length >= length);
  }

  truncate(sequence: number, length: number): boolean {
    this.#held.set(sequence, this.held(sequence).slice(0, length));
    return true;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }
}

interface Guest {
  readonly arrivesMs: number;
  readonly persona: number;
  /** Tokens of its own behind the persona's. */
  readonly ownTokens: number;
  readonly sentenceTokens: number;
  readonly tokens: number;
  readonly priority?: number;
}

interface Heard {
  readonly result: LineResult;
  /** From arrival. */
  readonly firstSentenceMs: number;
  readonly worstTailGapMs: number;
}

const PERSONA_TOKENS = 100;

/** Lets a whole story pass, each guest arriving at its time on the clock of the passes. */
async function play(guests: readonly Guest[], options: Partial<SchedulerOptions> = {}) {
  const context = new ContextDouble();
  const clock = { nowMs: () => context.nowMs, monotonicMs: () => context.nowMs } as Clock;
  let arrive: () => void = () => {};
  const observer = {
    admitted: () => {},
    reused: () => {},
    firstToken: () => {},
    nextToken: () => {},
    stepped: () => arrive(),
    switched: () => {},
  };
  await using scheduler = new Scheduler(
    context,
    {
      sequences: 8,
      prefixSequences: 0,
      prefixStoreBytesMax: 2_000_000,
      prefixReuse: true,
      firstSentenceFirst: true,
      queueMax: 200,
      prefillTokensPerStep: 256,
      stepTargetMs: 90,
      threads: 1,
      ...options,
    },
    clock,
    observer,
  );
  const due = guests.toSorted((a, b) => a.arrivesMs - b.arrivesMs);
  const heard: Promise<Heard>[] = [];
  let seed = 0;
  const speak = async (guest: Guest): Promise<Heard> => {
    seed += 1;
    const bornMs = context.nowMs;
    const own = Array.from({ length: guest.ownTokens }, (_none, index) => seed * 1_000 + index);
    const persona = Array.from(
      { length: PERSONA_TOKENS },
      (_none, index) => -(guest.persona * 1_000 + index + 1),
    );
    let said = 0;
    let firstSentenceMs = 0;
    let lastMs = 0;
    let worstTailGapMs = 0;
    const request: LineRequest = {
      adapter: null,
      prompt: [...persona, ...own],
      prefixTokens: PERSONA_TOKENS,
      maxTokens: guest.tokens,
      sampling: {} as LineRequest['sampling'],
      grammar: null,
      priority: guest.priority ?? 0,
      isEnd: () => false,
      hasSaidSentence: () => said >= guest.sentenceTokens,
      onToken: () => {
        said += 1;
        if (said === guest.sentenceTokens) firstSentenceMs = context.nowMs - bornMs;
        if (said > guest.sentenceTokens) worstTailGapMs = Math.max(worstTailGapMs, context.nowMs - lastMs);
        lastMs = context.nowMs;
        return true;
      },
    };
    const result = await scheduler.generate(request, new AbortController().signal);
    return { result, firstSentenceMs, worstTailGapMs };
  };
  arrive = () => {
    for (let next = due[0]; next !== undefined && next.arrivesMs <= context.nowMs; next = due[0]) {
      due.shift();
      heard.push(speak(next));
    }
  };
  while (due.length > 0 || heard.length > 0) {
    // Nobody is there: the clock goes on to the next who comes.
    context.nowMs = Math.max(context.nowMs, due[0]?.arrivesMs ?? 0);
    arrive();
    for (let index = 0; index < heard.length; index++) await heard[index];
    if (due.length === 0) break;
  }
  return { heard: await Promise.all(heard), endMs: context.nowMs, store: scheduler.prefixStore };
}

/** The mean time to a first sentence (ms). */
function meanFirst({ heard }: Awaited<ReturnType<typeof play>>): number {
  return heard.reduce((sum, { firstSentenceMs }) => sum + firstSentenceMs, 0) / heard.length;
}

/** Lines at three personas, one about every so often. The engine can serve one in some 400 ms. */
const crowd = (everyMs: number) =>
  Array.from(
    { length: 60 },
    (_none, index): Guest => ({
      arrivesMs: Math.round((index + ((index * 7_919) % 13) / 4) * everyMs),
      persona: index % 3,
      ownTokens: index % 4 === 0 ? 120 : 30,
      sentenceTokens: 10,
      tokens: 40,
    }),
  );

describe('Scheduler', () => {
  it('lets first sentences come sooner for tails that are still faster than speech, in the same time in all', async () => {
    const ears = await play(crowd(450));
    const byArrival = await play(crowd(450), { firstSentenceFirst: false });
    assert.ok(
      meanFirst(ears) < meanFirst(byArrival) * 0.9,
      `${Math.round(meanFirst(ears))} ms against ${Math.round(meanFirst(byArrival))}`,
    );
    assert.ok(ears.endMs < byArrival.endMs * 1.02, `${ears.endMs} ms against ${byArrival.endMs}`);
    const worstMs = Math.max(...ears.heard.map(({ worstTailGapMs }) => worstTailGapMs));
    assert.ok(worstMs <= 1_000 / 3.5, `a gap of ${worstMs} ms in a tail`);
  });

  it('costs nobody their turn when more come than it can serve, however few its sequences', async () => {
    for (const sequences of [2, 8]) {
      const ears = await play(crowd(260), { sequences });
      const byArrival = await play(crowd(260), { sequences, firstSentenceFirst: false });
      assert.ok(meanFirst(ears) < meanFirst(byArrival) * 1.02, `${sequences} sequences`);
      assert.ok(ears.endMs < byArrival.endMs * 1.05, `${ears.endMs} ms against ${byArrival.endMs}`);
    }
  });

  it('changes nothing when nobody else waits', async () => {
    const alone = { arrivesMs: 0, persona: 0, ownTokens: 20, sentenceTokens: 4, tokens: 30 };
    const later = { ...alone, arrivesMs: 5_000 };
    const stories = [await play([alone, later]), await play([alone, later], { firstSentenceFirst: false })];
    const [ears, byArrival] = stories.map(({ heard, endMs }) => ({
      endMs,
      gaps: heard.map(({ worstTailGapMs }) => worstTailGapMs),
    }));
    assert.deepEqual(ears, byArrival);
  });

  it('serves the player before the background, and the background in the end', async () => {
    const guest = { persona: 0, ownTokens: 60, sentenceTokens: 5, tokens: 20 };
    const { heard } = await play(
      [
        { ...guest, arrivesMs: 0 },
        ...[1, 2, 3].map((at) => ({ ...guest, arrivesMs: at, priority: 10 })),
        ...[4, 5, 6].map((at) => ({ ...guest, arrivesMs: at })),
      ],
      { sequences: 1 },
    );
    const waited = heard.map(({ result }) => result.queueMs);
    assert.ok(Math.max(...waited.slice(4)) < Math.min(...waited.slice(1, 4)), waited.join());
  });

  it('says every line whole and reuses what it may, whoever comes when, with any of its ways on or off', async () => {
    const guest = fc.record({
      arrivesMs: fc.nat(2_000),
      persona: fc.nat(5),
      ownTokens: fc.integer({ min: 1, max: 300 }),
      sentenceTokens: fc.integer({ min: 1, max: 12 }),
      tokens: fc.integer({ min: 1, max: 20 }),
      priority: fc.constantFrom(0, 10),
    });
    const options = fc.record({
      firstSentenceFirst: fc.boolean(),
      prefixReuse: fc.boolean(),
      prefixStoreBytesMax: fc.constantFrom(0, 150_000, 2_000_000),
      prefixSequences: fc.nat(2),
      sequences: fc.integer({ min: 1, max: 8 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(guest, { minLength: 1, maxLength: 30 }), options, async (guests, chosen) => {
        const { heard, store } = await play(guests, chosen);
        assert.equal(heard.length, guests.length);
        const byArrival = guests.toSorted((a, b) => a.arrivesMs - b.arrivesMs);
        for (const [index, { result }] of heard.entries()) {
          assert.equal(result.completionTokens, byArrival[index]?.tokens);
          assert.ok(result.cachedTokens < result.promptTokens);
          if (!chosen.prefixReuse) assert.equal(result.cachedTokens, 0);
        }
        assert.ok(store.bytes <= chosen.prefixStoreBytesMax);
        if (!chosen.prefixReuse) assert.equal(store.entries, 0);
      }),
      { numRuns: 60 },
    );
  });
});
