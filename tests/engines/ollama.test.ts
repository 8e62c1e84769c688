/**
 * The real Ollama behind our driver: the suite of every engine, and that who hangs up frees its runner. Its wire tells
 * nothing of its work, so the witness is the processor time of the runner: idle is a second in which it used none.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { BASE_MODEL } from '../../scripts/engines/base-model.ts';
import { openEngine } from '../../scripts/engines/frame.ts';
import { ollama } from '../../scripts/engines/ollama.ts';
import { DRIVERS } from '../../src/engines/index.ts';
import { adapterConformance } from '../../src/testing/adapter-conformance.ts';
import { openDriver } from '../../src/testing/driver-harness.ts';
import { engineConformance, lineRequest } from '../../src/testing/engine-conformance.ts';
import { stagedAdapters } from '../../src/testing/staged-adapters.ts';
import { hangUpUnary, LONG_PROMPT } from './hang-up.ts';
import { skipUnlessAsked } from './when-asked.ts';

/** About 300 tokens: Ollama 0.17.4 reads a prompt to its end also for nobody, so this is what a hang-up costs there. */
const PROMPT = LONG_PROMPT.slice(0, 1_500);
const LIFE_MS = 600_000;
const PATIENCE_MS = 120_000;
const LOOK_EVERY_MS = 50;
const QUIET_LOOKS = 20;
const skip = skipUnlessAsked(ollama, 2);

async function open() {
  const server = await openEngine(
    ollama,
    { flags: { parallel: '2' }, lifeMs: LIFE_MS },
    AbortSignal.timeout(120_000),
  );
  const driver = openDriver(DRIVERS.ollama, server.origin, {}, { model: BASE_MODEL, connections: 16 });
  const work = () => processorTicks(server.pid);
  return {
    ...driver,
    origin: server.origin,
    model: BASE_MODEL,
    work,
    untilIdle: () => untilQuiet(work),
    [Symbol.asyncDispose]: async () => {
      await driver[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

/** Of the server's children, which do its thinking, in hundredths of a second. */
function processorTicks(parent: number): number {
  let ticks = 0;
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const fields = statFields(name);
    // Fields 4, 14 and 15 of proc(5): parent, time of its own and in the kernel.
    if (Number(fields[1]) === parent) ticks += Number(fields[11]) + Number(fields[12]);
  }
  return ticks;
}

/** What stands behind the program's name, which may hold blanks; nothing for a process that has just ended. */
function statFields(pid: string): readonly string[] {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    return [];
  }
}

async function untilQuiet(work: () => number): Promise<void> {
  const patience = AbortSignal.timeout(PATIENCE_MS);
  let last = work();
  for (let quiet = 0; quiet < QUIET_LOOKS; ) {
    assert.ok(!patience.aborted, 'the runner never came to rest');
    await delay(LOOK_EVERY_MS);
    const now = work();
    quiet = now === last ? quiet + 1 : 0;
    last = now;
  }
}

async function untilBusy(work: () => number, from: number): Promise<void> {
  const patience = AbortSignal.timeout(PATIENCE_MS);
  while (work() <= from + 2) {
    assert.ok(!patience.aborted, 'the runner never began');
    await delay(LOOK_EVERY_MS);
  }
}

engineConformance(`Ollama ${ollama.version}`, open, { skip });

adapterConformance(
  `Ollama ${ollama.version}`,
  async () => {
    await using parts = new AsyncDisposableStack();
    const staged = parts.use(await stagedAdapters());
    const opened = parts.use(await open());
    assert.ok(opened.adapters !== undefined);
    const owned = parts.move();
    return {
      engine: opened.engine,
      adapters: opened.adapters,
      model: opened.model,
      good: [await staged.word('amber'), await staged.word('basalt'), await staged.seeded('ghoul', 3)],
      missing: staged.missing('nobody'),
      [Symbol.asyncDispose]: () => owned.disposeAsync(),
    };
  },
  { skip },
);

describe('Who hangs up on Ollama', { skip }, () => {
  let opened: Awaited<ReturnType<typeof open>>;
  before(async () => {
    opened = await open();
  });
  after(() => opened[Symbol.asyncDispose]());

  it('says which version it is', async () => {
    assert.equal(await opened.probe.version(AbortSignal.timeout(20_000)), ollama.version);
  });

  it('lets its runner rest after a hang-up while the prompt is read', async () => {
    const controller = new AbortController();
    const reason = new Error('hung up');
    const messages = [{ role: 'user', content: PROMPT }] as const;
    const from = opened.work();
    const heard = opened.engine
      .generate(lineRequest({ model: BASE_MODEL, messages }), controller.signal)
      [Symbol.asyncIterator]()
      .next();
    heard.catch(() => {});
    await untilBusy(opened.work, from);
    controller.abort(reason);
    await assert.rejects(heard, (error) => error === reason);
    await opened.untilIdle();
  });

  for (const [phase, prompt] of [
    // Begins with other words, so that nothing of it was read before.
    ['reading the prompt', `At midnight: ${PROMPT}`],
    ['speaking', 'Tell me an endless story.'],
  ] as const)
    it(`lets its runner rest after a hang-up on a whole answer while ${phase}`, async () => {
      const from = opened.work();
      await hangUpUnary(
        `${opened.origin}/api/chat`,
        {
          model: BASE_MODEL,
          stream: false,
          keep_alive: '30m',
          options: { num_ctx: 4_096, num_predict: 3_000 },
          messages: [{ role: 'user', content: prompt }],
        },
        () => untilBusy(opened.work, from),
      );
      await opened.untilIdle();
    });
});
