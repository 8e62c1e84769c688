import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { PassLine } from './next-pass.ts';
import {
  countOvertaken,
  decodingNow,
  OVERTAKES_MAX,
  promptOrder,
  TAIL_TOKENS_PER_SECOND,
  tailRestMs,
  wakeful,
} from './next-pass.ts';

interface TestLine extends PassLine {
  readonly name: string;
  remaining: number;
}

function line(name: string, of: Partial<TestLine> = {}): TestLine {
  return {
    name,
    request: { priority: 0 },
    next: null,
    hasSaidSentence: false,
    lastTokenMs: 0,
    hasEnded: false,
    overtaken: 0,
    remaining: 100,
    ...of,
  };
}
const speaking = (name: string, of: Partial<TestLine> = {}) => line(name, { next: 7, ...of });
const tail = (name: string, of: Partial<TestLine> = {}) => speaking(name, { hasSaidSentence: true, ...of });
const names = (lines: readonly TestLine[]) => lines.map(({ name }) => name).join(' ');
const order = (lines: readonly TestLine[]) => names(promptOrder(lines, ({ remaining }) => remaining));

describe('who is in the next pass', () => {
  it('lets tails go on as ever while nobody waits for a first sentence', () => {
    const lines = [tail('a', { lastTokenMs: 99 }), tail('b', { lastTokenMs: 99 })];
    assert.equal(wakeful(lines, 100, 50), lines);
    const withGone = [...lines, line('gone', { hasEnded: true })];
    assert.equal(wakeful(withGone, 100, 50), withGone);
  });

  it('lets tails rest while another prompt or first sentence is about, and wakes them in time', () => {
    const lines = [tail('resting', { lastTokenMs: 60 }), tail('due', { lastTokenMs: 50 }), speaking('first')];
    assert.equal(names(wakeful(lines, 100, 50)), 'due first');
    assert.equal(names(wakeful([lines[0] ?? line(''), line('prompt')], 100, 50)), 'prompt');
  });

  it('takes all tails into the pass of the first that is due, and none before', () => {
    const resting = tail('resting', { lastTokenMs: 90 });
    const first = speaking('first');
    const prompt = line('prompt');
    const due = tail('due');
    assert.equal(names(decodingNow([first, prompt], [resting, first, prompt])), 'first');
    assert.equal(
      names(decodingNow([due, first, prompt], [resting, due, first, prompt])),
      'resting due first',
    );
    assert.equal(names(decodingNow([prompt], [resting, prompt])), '');
  });

  it('serves prompts by priority, then the shortest, and by age where they differ by little', () => {
    const prompts = [
      line('ambient', { request: { priority: 10 }, remaining: 10 }),
      line('long', { remaining: 400 }),
      line('short', { remaining: 60 }),
      line('as short', { remaining: 40 }),
    ];
    assert.equal(order(prompts), 'short as short long ambient');
  });

  it('serves a prompt that was passed over often enough before all others', () => {
    const patient = line('patient', { request: { priority: 10 }, remaining: 2_000 });
    const eager = line('eager', { remaining: 8 });
    for (let pass = 0; pass < OVERTAKES_MAX; pass++) {
      assert.equal(order([patient, eager]), 'eager patient');
      countOvertaken(
        [patient, eager],
        (each) => each === eager,
        () => false,
      );
    }
    assert.equal(order([patient, eager]), 'patient eager');
  });

  it('counts no pass against whoever came earlier, nor for one who waits for what is shared', () => {
    const lines = [line('old'), line('young')];
    countOvertaken(
      lines,
      ({ name }) => name === 'old',
      () => false,
    );
    countOvertaken(
      lines,
      ({ name }) => name === 'young',
      () => true,
    );
    assert.deepEqual(
      lines.map(({ overtaken }) => overtaken),
      [0, 0],
    );
  });

  it('lets no prompt starve and no tail fall below its pace, whatever comes', () => {
    const PASS_MS = 40;
    const restMs = tailRestMs(PASS_MS);
    const newcomer = fc.record({
      prefill: fc.integer({ min: 1, max: 2_000 }),
      priority: fc.constantFrom(0, 10),
      words: fc.integer({ min: 1, max: 12 }),
    });
    fc.assert(
      fc.property(fc.array(newcomer, { minLength: 1, maxLength: 40 }), (newcomers) => {
        const due = [...newcomers];
        let nowMs = 0;
        const patient = line('patient', { request: { priority: 10 }, remaining: 9_999 });
        const voice = tail('voice');
        const running: (TestLine & { words?: number })[] = [patient, voice];
        let sinceServed = 0;
        for (let pass = 0; pass < 120; pass++) {
          const next = due.shift();
          if (next !== undefined && running.length < 8)
            running.push(
              Object.assign(
                line(`guest ${pass}`, {
                  remaining: next.prefill,
                  request: { priority: next.priority },
                }),
                { words: next.words },
              ),
            );
          const awake = wakeful(running, nowMs, restMs);
          const decoding = decodingNow(awake, running);
          nowMs += PASS_MS;
          // By turns, as the loop does.
          if (decoding.length > 0 && (pass % 2 === 0 || awake.every((each) => each.next !== null))) {
            for (const each of decoding) {
              (each as { lastTokenMs: number }).lastTokenMs = nowMs;
              const speaker = each as TestLine & { words?: number };
              if (speaker.words !== undefined && --speaker.words === 0)
                running.splice(running.indexOf(each), 1);
            }
          } else {
            const prompts = awake.filter((each) => each.next === null);
            const [served] = promptOrder(prompts, ({ remaining }) => remaining);
            assert.ok(served !== undefined);
            countOvertaken(
              prompts,
              (each) => each === served,
              () => false,
            );
            served.remaining -= 64;
            if (served.remaining <= 0) (served as { next: number | null }).next = 1;
            sinceServed = served === patient ? 0 : sinceServed + 1;
          }
          assert.ok(sinceServed <= OVERTAKES_MAX + 1, `${sinceServed} passes of prefill without the oldest`);
          const gapMs = nowMs - voice.lastTokenMs;
          assert.ok(gapMs <= 1_000 / TAIL_TOKENS_PER_SECOND + PASS_MS, `a gap of ${gapMs} ms`);
        }
      }),
    );
  });
});
