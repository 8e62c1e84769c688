/**
 * What every engine must do, whatever is behind it: exactly one finish, a true account, and no work left behind when
 * the listener is gone. Run for a small server, for written lines, and for the real embedded engine.
 */
import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { after, before, describe, it } from 'node:test';
import type { Engine, GenerateEvent, GenerateRequest } from '../core/engine.ts';

export interface OpenedEngine extends AsyncDisposable {
  readonly engine: Engine;
  readonly model: string;
  /** Resolves once the engine itself says that it works on nothing. */
  untilIdle(): Promise<void>;
}

/** A request as the dialogue makes it; long enough that it does not end by itself while a test hangs up. */
export function lineRequest(changes: Partial<GenerateRequest> = {}): GenerateRequest {
  return {
    requestId: 'dlg_test',
    model: 'm',
    messages: [
      { role: 'system', content: 'You are Mordane Vesk, an old vampire who tells endless stories.' },
      { role: 'user', content: 'Tell me everything that happened in the harbour, from the first day on.' },
    ],
    assistantPrefix: '',
    maxTokens: 1_000,
    temperature: 0,
    stop: [],
    priority: 'interactive',
    scene: {
      npcId: 'mordane',
      tier: 2,
      playerId: null,
      trigger: null,
      cause: null,
      mood: null,
      facts: [],
      committed: [],
    },
    ...changes,
  };
}

/** Registers the suite; `open` is called once for it. */
export function engineConformance(
  title: string,
  open: () => Promise<OpenedEngine>,
  options: { readonly skip?: boolean | string } = {},
): void {
  describe(`${title} is an engine`, options, () => {
    let opened: OpenedEngine;
    before(async () => {
      opened = await open();
    });
    after(() => opened[Symbol.asyncDispose]());
    const request = (changes: Partial<GenerateRequest> = {}) =>
      lineRequest({ model: opened.model, ...changes });

    it('ends with exactly one finish, after text, with an account', async () => {
      const events = await all(
        opened.engine.generate(request({ maxTokens: 12 }), new AbortController().signal),
      );
      assert.ok(events.some((event) => event.type === 'text' && event.text !== ''));
      const finish = soleFinish(events);
      assert.ok(finish.reason === 'stop' || finish.reason === 'length');
      for (const count of [
        finish.usage.promptTokens,
        finish.usage.cachedTokens,
        finish.usage.completionTokens,
      ])
        assert.ok(Number.isSafeInteger(count) && count >= 0);
      assert.ok(finish.usage.cachedTokens <= finish.usage.promptTokens);
      assert.ok(finish.usage.completionTokens <= 12);
    });

    it('stops at the most tokens, and says so', async () => {
      const events = await all(
        opened.engine.generate(request({ maxTokens: 3 }), new AbortController().signal),
      );
      const finish = soleFinish(events);
      if (opened.engine.isWritten) return;
      assert.equal(finish.reason, 'length');
      assert.equal(finish.usage.completionTokens, 3);
      assert.ok(finish.usage.promptTokens > 0);
    });

    it('does not begin for who has gone already; a written line is said all the same', async () => {
      const reason = new Error('gone before');
      const generated = all(opened.engine.generate(request(), AbortSignal.abort(reason)));
      if (opened.engine.isWritten) soleFinish(await generated);
      else await assert.rejects(generated, (error) => error === reason);
      await opened.untilIdle();
    });

    it('stops with the reason of who hangs up half-way, says nothing more, and leaves no work', async () => {
      const controller = new AbortController();
      const reason = new Error('hung up');
      const lines = opened.engine.generate(request(), controller.signal)[Symbol.asyncIterator]();
      await firstText(lines);
      controller.abort(reason);
      if (opened.engine.isWritten) await lines.return?.();
      else {
        await assert.rejects(lines.next(), (error) => error === reason);
        assert.equal((await lines.next()).done, true);
      }
      await opened.untilIdle();
    });

    it('leaves no work when the loop is left', async () => {
      for await (const event of opened.engine.generate(request(), new AbortController().signal))
        if (event.type === 'text') break;
      await opened.untilIdle();
    });

    it('gives each of many at once its own end', async () => {
      const answers = await Promise.all(
        [...Array(6)].map((_, index) =>
          all(
            opened.engine.generate(
              request({
                maxTokens: 4,
                messages: [{ role: 'user', content: `Guest ${index}: who are you?` }],
              }),
              new AbortController().signal,
            ),
          ),
        ),
      );
      for (const events of answers) soleFinish(events);
      await opened.untilIdle();
    });

    it('lets go of the signal at the end', async () => {
      const controller = new AbortController();
      await all(opened.engine.generate(request({ maxTokens: 2 }), controller.signal));
      await opened.untilIdle();
      assert.deepEqual(getEventListeners(controller.signal, 'abort'), []);
    });
  });
}

async function all(lines: AsyncIterable<GenerateEvent>): Promise<GenerateEvent[]> {
  const events: GenerateEvent[] = [];
  for await (const event of lines) events.push(event);
  return events;
}

function soleFinish(events: readonly GenerateEvent[]): GenerateEvent & { type: 'finish' } {
  const finishes = events.filter((event) => event.type === 'finish');
  assert.equal(finishes.length, 1);
  const last = events.at(-1);
  assert.ok(last?.type === 'finish', 'the finish comes last');
  return last;
}

async function firstText(lines: AsyncIterator<GenerateEvent>): Promise<void> {
  for (;;) {
    const { value, done } = await lines.next();
    assert.equal(done, false, 'an end before the first text');
    if ((value as GenerateEvent).type === 'text') return;
  }
}
