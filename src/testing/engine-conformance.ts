/**
 * What every engine must do, whatever is behind it: exactly one finish, a true account, what its capabilities promise,
 * and no work left behind when the listener is gone. Run for doubles of every wire, for written lines, and for real
 * engines where they are there.
 */
import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { after, before, describe, it } from 'node:test';
import { setImmediate as turnOfLoop } from 'node:timers/promises';
import type {
  Engine,
  EngineLoad,
  EngineProbe,
  EngineUsage,
  GenerateEvent,
  GenerateRequest,
} from '../core/engine.ts';
import { ServiceError } from '../core/errors.ts';

/** Where a request is when its listener hangs up. */
export type RequestPhase = 'queued' | 'prefill' | 'decoding';

export interface OpenedEngine extends AsyncDisposable {
  readonly engine: Engine;
  readonly model: string;
  /** Resolves once the engine itself says that it works on nothing. */
  untilIdle(): Promise<void>;
  /** Its own probe: then its running count must rise with a line, and fall with its listener. */
  readonly probe?: EngineProbe;
  /** Serves one model whatever it is called, so that a wrong name is no error. */
  readonly ignoresModel?: boolean;
  /**
   * Keeps the next requests in a phase until disposed; resolves when that is so, to null where this phase cannot be
   * had (`occupy` gives `queued` on any engine that tells its load). Needs `probe`, or `load`.
   */
  readonly hold?: (phase: RequestPhase) => Promise<AsyncDisposable | null>;
  /** The engine's own counts, where its wire does not tell them. */
  readonly load?: () => EngineLoad;
}

/** A schema that any engine with structured output can follow, and that its answers can be checked by. */
const MOOD_SCHEMA = {
  type: 'object',
  properties: { mood: { type: 'string', enum: ['calm', 'angry'] } },
  required: ['mood'],
  additionalProperties: false,
} as const;

const PATIENCE_MS = 30_000;

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
    const answer = (changes: Partial<GenerateRequest> = {}) =>
      all(opened.engine.generate(request(changes), new AbortController().signal));

    promises(() => opened, request, answer);
    cancelling(() => opened, request);

    it('ends with exactly one finish, after text, with an account', async () => {
      const events = await all(
        opened.engine.generate(request({ maxTokens: 12 }), new AbortController().signal),
      );
      assert.ok(events.some((event) => event.type === 'text' && event.text !== ''));
      const finish = soleFinish(events);
      assert.ok(finish.reason === 'stop' || finish.reason === 'length');
      assert.ok(finish.usage.completionTokens <= 12);
      for (const event of events) if (event.type !== 'text') assertAccount(event.usage);
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

/** Takes all places of an engine with long lines, until disposed: what comes next is queued. */
export async function occupy(
  { engine, probe, model }: { readonly engine: Engine; readonly probe: EngineProbe; readonly model: string },
  places: number,
): Promise<AsyncDisposable> {
  const leave = new AbortController();
  const lines = Array.from({ length: places }, (_, place) =>
    all(
      engine.generate(
        lineRequest({ model, messages: [{ role: 'user', content: `Guest ${place}: count to a thousand.` }] }),
        leave.signal,
      ),
    ).catch((error: unknown) => {
      if (!leave.signal.aborted) throw error;
    }),
  );
  const release = {
    [Symbol.asyncDispose]: async () => {
      leave.abort(new Error('the place is given back'));
      await Promise.all(lines);
    },
  };
  const patience = AbortSignal.timeout(PATIENCE_MS);
  while (((await probe.load(patience))?.running ?? 0) < places) await Promise.race([turnOfLoop(), ...lines]);
  return release;
}

type Ask = (changes?: Partial<GenerateRequest>) => Promise<GenerateEvent[]>;
type MakeRequest = (changes?: Partial<GenerateRequest>) => GenerateRequest;

/** What its capabilities say, and what every engine with a model must do with a request. */
function promises(opened: () => OpenedEngine, request: MakeRequest, answer: Ask): void {
  it('says who it is, what it serves, and that it can take work, where it can be asked', async (context) => {
    const { probe } = opened();
    if (probe === undefined) return context.skip('no questions');
    const { signal } = new AbortController();
    assert.notEqual(await probe.version(signal), '');
    const models = await probe.models(signal);
    assert.ok(models.length > 0 && models.every(({ id }) => id !== ''), JSON.stringify(models));
    await probe.live(signal);
    await probe.ready(signal);
    const reason = new Error('gone before');
    await assert.rejects(probe.ready(AbortSignal.abort(reason)), (error) => error === reason);
  });

  it('tells what is spent before what is heard, so that a line left early is accounted', async (context) => {
    const { engine } = opened();
    if (engine.isWritten) return context.skip('a written line costs nothing');
    let spent: EngineUsage | null = null;
    for await (const event of engine.generate(request(), new AbortController().signal)) {
      if (event.type === 'usage') spent = event.usage;
      if (event.type === 'text') break;
    }
    assert.ok(spent !== null, 'text came before any usage');
    assertAccount(spent);
    assert.ok(spent.promptTokens > 0 && spent.completionTokens > 0, JSON.stringify(spent));
    await opened().untilIdle();
  });

  it('stops at a stop string, which is not heard', async (context) => {
    if (opened().engine.isWritten) return context.skip('a written line is said whole');
    const whole = textOf(await answer({ maxTokens: 24 }));
    const words = whole.trim().split(/\s+/);
    const stop = words[Math.floor(words.length / 2)];
    assert.ok(stop !== undefined && words.length > 2, `too few words to stop at: ${whole}`);
    const events = await answer({ maxTokens: 24, stop: ['\u0001never', stop] });
    const text = textOf(events);
    assert.ok(!text.includes(stop), `${stop} is heard in: ${text}`);
    // A real engine may choose other words the second time; the same ones must stop.
    if (whole.startsWith(text)) assert.equal(soleFinish(events).reason, 'stop');
    await opened().untilIdle();
  });

  it('takes more stop strings than any engine does', async (context) => {
    if (opened().engine.isWritten) return context.skip('a written line is said whole');
    const stop = Array.from({ length: 12 }, (_, index) => `\u0001stop${index}`);
    soleFinish(await answer({ maxTokens: 4, stop }));
  });

  it('takes every number that shapes the sampling', async () => {
    const numbers = { temperature: 0.8, topP: 0.9, minP: 0.05, repetitionPenalty: 1.1, seed: 7 };
    soleFinish(await answer({ maxTokens: 4, ...numbers }));
    soleFinish(await answer({ maxTokens: 4, priority: 'ambient' }));
  });

  it('answers by a schema as far as it says', async (context) => {
    const { structuredOutput } = opened().engine.capabilities;
    if (structuredOutput === 'none') return context.skip('no structured output');
    const events = await answer({ maxTokens: 100, responseSchema: MOOD_SCHEMA });
    assert.equal(soleFinish(events).reason, 'stop');
    const value: unknown = JSON.parse(textOf(events));
    assert.ok(typeof value === 'object' && value !== null);
    if (structuredOutput === 'schema')
      assert.ok(['calm', 'angry'].includes((value as { mood: string }).mood), textOf(events));
  });

  it('goes on from what was said, where it says that it can', async (context) => {
    if (!opened().engine.capabilities.continuesAssistant) return context.skip('goes on by instruction');
    const said = 'wörd0 wörd1 wörd2 ';
    const events = await answer({ maxTokens: 8, assistantPrefix: said });
    soleFinish(events);
    assert.ok(!textOf(events).startsWith(said.slice(0, 11)), `said again: ${textOf(events)}`);
  });

  it('is asked to go on in words, where it cannot', async (context) => {
    const { engine } = opened();
    if (engine.capabilities.continuesAssistant || engine.isWritten) return context.skip('goes on by itself');
    soleFinish(await answer({ maxTokens: 4, assistantPrefix: 'Well met, ' }));
  });

  it('knows no model of another name', async (context) => {
    if (opened().engine.isWritten || opened().ignoresModel)
      return context.skip('one model, whatever its name');
    await assert.rejects(
      all(opened().engine.generate(request({ model: 'no-such-model' }), new AbortController().signal)),
      (error) => error instanceof ServiceError && error.code === 'unknown_model',
    );
  });
}

/** The engine's own count of what it works on falls when its listener leaves, in whatever phase. */
function cancelling(opened: () => OpenedEngine, request: MakeRequest): void {
  const told = async () => (await opened().probe?.load(new AbortController().signal)) ?? null;
  /** The engine's own count where the test can see it: a wire may tell less. */
  const load = async (): Promise<EngineLoad | null> => opened().load?.() ?? (await told());
  const until = async (what: string, holds: (load: EngineLoad) => boolean, look = load) => {
    const patience = AbortSignal.timeout(PATIENCE_MS);
    for (;;) {
      const now = await look();
      assert.ok(now !== null, 'the engine told its load before, and does not any more');
      if (holds(now)) return;
      assert.ok(!patience.aborted, `never ${what}: ${JSON.stringify(now)}`);
      await turnOfLoop();
    }
  };

  it('frees the engine when the listener hangs up, by its own count', async (context) => {
    const look = (await told()) === null ? load : told;
    if ((await look()) === null) return context.skip('its wire does not tell what runs');
    const controller = new AbortController();
    const reason = new Error('hung up');
    const lines = opened().engine.generate(request(), controller.signal)[Symbol.asyncIterator]();
    try {
      await firstText(lines);
      await until('running', ({ running }) => running > 0, look);
    } finally {
      // Else a real engine speaks on for a minute after a failure, and every test behind this one fails for it.
      controller.abort(reason);
    }
    await assert.rejects(lines.next(), (error) => error === reason);
    await until('idle', ({ running, waiting }) => running === 0 && waiting === 0, look);
  });

  for (const phase of ['queued', 'prefill', 'decoding'] as const)
    it(`frees the engine when the listener hangs up while the line is ${phase}`, async (context) => {
      const { engine, hold } = opened();
      if (hold === undefined || (await load()) === null) return context.skip('cannot be held there');
      await using held = await hold(phase);
      if (held === null) return context.skip('cannot be held there');
      const before = await load();
      const controller = new AbortController();
      const heard = all(engine.generate(request(), controller.signal));
      // Looked at only once it is awaited.
      heard.catch(() => {});
      const busy = phase === 'queued' ? 'waiting' : 'running';
      const reason = new Error(`hung up while ${phase}`);
      try {
        await until(busy, (now) => now[busy] > (before?.[busy] ?? 0));
      } finally {
        controller.abort(reason);
      }
      await assert.rejects(heard, (error) => error === reason);
      await until(`without it`, (now) => now[busy] <= (before?.[busy] ?? 0));
    });
}

function textOf(events: readonly GenerateEvent[]): string {
  return events.map((event) => (event.type === 'text' ? event.text : '')).join('');
}

function assertAccount(usage: EngineUsage): void {
  const { promptTokens, cachedTokens, cacheWriteTokens = 0, completionTokens, reasoningTokens = 0 } = usage;
  for (const count of [promptTokens, cachedTokens, cacheWriteTokens, completionTokens, reasoningTokens])
    assert.ok(Number.isSafeInteger(count) && count >= 0, JSON.stringify(usage));
  assert.ok(cachedTokens <= promptTokens && cacheWriteTokens <= promptTokens, JSON.stringify(usage));
  assert.ok(reasoningTokens <= completionTokens, JSON.stringify(usage));
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
