/** What goes wrong around the engine: it dies, its parent dies, its model is broken. Nothing else falls. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  copyFileSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { SupervisorState } from '../src/embedded/supervisor.ts';
import { EngineSupervisor } from '../src/embedded/supervisor.ts';
import { realRuntime } from '../src/runtime.ts';
import { silentLogger } from '../src/telemetry/log.ts';
import { MODEL_NAME, MODEL_PATH, modelMissing, startEngine } from './engine-harness.ts';

const SMALL = { sequences: 1, prefixSequences: 0, contextTokens: 256, threads: 1 };

function supervise(modelPath: string): EngineSupervisor {
  return new EngineSupervisor(
    { engine: { ...SMALL, modelPath, modelName: MODEL_NAME }, environment: process.env, backoffMinMs: 20 },
    { clock: realRuntime.clock, random: realRuntime.random, log: silentLogger },
  );
}

/** Resolves with the first state for which `wanted` holds. */
async function untilState(
  supervisor: EngineSupervisor,
  wanted: (state: SupervisorState) => boolean,
): Promise<SupervisorState> {
  const { promise, resolve, reject } = Promise.withResolvers<SupervisorState>();
  const timer = setTimeout(() => reject(new Error(`state is ${JSON.stringify(supervisor.state)}`)), 60_000);
  using _listener = supervisor.onChange((state) => {
    if (wanted(state)) resolve(state);
  });
  if (wanted(supervisor.state)) resolve(supervisor.state);
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

describe('an engine that dies', { skip: modelMissing }, () => {
  it('is started again after kill -9 and answers as before', async () => {
    await using engine = await startEngine(SMALL);
    const { supervisor } = engine;
    const stages: string[] = [];
    using _listener = supervisor.onChange((state) => stages.push(state.stage));
    const firstPid = supervisor.state.pid;
    assert.ok(firstPid !== null);
    const request = fetch(`${engine.baseUrl}/v1/completions`, {
      method: 'POST',
      body: JSON.stringify({ prompt: 'The', max_tokens: 200, ignore_eos: true }),
    });
    await engine.untilMetric('vllm:num_requests_running', 1);
    process.kill(firstPid, 'SIGKILL');
    await assert.rejects(request.then((reply) => reply.text()));
    const restarting = await untilState(supervisor, (state) => state.stage === 'restarting');
    assert.match(restarting.reason ?? '', /SIGKILL/);
    assert.equal(restarting.baseUrl, null);
    const baseUrl = await supervisor.whenReady(AbortSignal.timeout(60_000));
    assert.notEqual(supervisor.state.pid, firstPid);
    assert.equal(supervisor.state.restarts, 1);
    const reply = await fetch(`${baseUrl}/v1/completions`, {
      method: 'POST',
      body: JSON.stringify({ prompt: 'The', max_tokens: 2 }),
    });
    assert.equal(reply.status, 200);
    assert.deepEqual(stages.slice(0, 2), ['restarting', 'starting']);
    assert.equal(stages.at(-1), 'ready');
  });

  it('leaves no process behind when the supervisor is disposed', async () => {
    const engine = await startEngine(SMALL);
    const { pid } = engine.supervisor.state;
    assert.ok(pid !== null && isAlive(pid));
    await engine[Symbol.asyncDispose]();
    assert.equal(isAlive(pid), false);
    assert.equal(engine.supervisor.state.stage, 'stopped');
    await assert.rejects(fetch(`${engine.baseUrl}/health`));
  });

  it('ends by itself when its parent is killed', async () => {
    const parent = spawn(
      process.execPath,
      [
        '--input-type=module',
        '--eval',
        `import { startEngine } from ${JSON.stringify(fileURLToPath(new URL('./engine-harness.ts', import.meta.url)))};
         const engine = await startEngine(${JSON.stringify(SMALL)});
         console.log(engine.supervisor.state.pid);
         setInterval(() => {}, 1000);`,
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    const [said] = (await once(parent.stdout, 'data')) as [Buffer];
    const child = Number(said.toString());
    assert.ok(isAlive(child));
    parent.kill('SIGKILL');
    await once(parent, 'exit');
    const endMs = performance.now() + 20_000;
    while (isAlive(child)) {
      assert.ok(performance.now() < endMs, `the engine ${child} outlived its parent`);
      await new Promise((resolve) => setImmediate(resolve));
    }
  });
});

describe('a model file that is broken', { skip: modelMissing }, () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'greenroom-engine-'));
  });
  after(() => rmSync(folder, { recursive: true }));

  const cases: [string, (path: string) => void, RegExp][] = [
    ['is missing', () => {}, /missing\.gguf/],
    [
      'is truncated',
      (path) => truncated(path),
      /truncated\.gguf.*(not within|bounds|corrupt|incomplete|tensor)/is,
    ],
    ['is cut in its header', (path) => writeFileSync(path, Buffer.from('GGUF\u0003\0\0\0')), /header\.gguf/],
    ['is another format', (path) => writeFileSync(path, 'PK this is a zip '.repeat(400)), /foreign\.gguf/],
    ['is empty', (path) => writeFileSync(path, ''), /empty\.gguf/],
  ];
  const names = ['missing', 'truncated', 'header', 'foreign', 'empty'];
  for (const [index, [what, make, reason]] of cases.entries()) {
    it(`that ${what} is named with its reason, and tried again with a growing wait`, async () => {
      const path = join(folder, `${names[index]}.gguf`);
      make(path);
      await using supervisor = supervise(path);
      supervisor.start();
      const state = await untilState(supervisor, (current) => current.stage === 'failed');
      assert.match(state.reason ?? '', reason);
      assert.match(state.reason ?? '', /cannot be loaded/);
      const again = await untilState(
        supervisor,
        (current) => current.restarts >= 1 && current.stage === 'failed',
      );
      assert.ok(again.restarts >= 1);
    });
  }

  it('is tried again after waits that double', async () => {
    const waits: number[] = [];
    const log = {
      ...silentLogger,
      warn: (event: string, fields?: Readonly<Record<string, unknown>>) => {
        if (event === 'engine.exited') waits.push(Number(fields?.['waitMs']));
      },
    };
    await using supervisor = new EngineSupervisor(
      {
        engine: { ...SMALL, modelPath: join(folder, 'nowhere.gguf') },
        environment: process.env,
        backoffMinMs: 4,
        backoffMaxMs: 100,
      },
      { clock: realRuntime.clock, random: { ...realRuntime.random, next: () => 1 }, log },
    );
    supervisor.start();
    await untilState(supervisor, () => waits.length >= 4);
    assert.deepEqual(waits.slice(0, 4), [32, 64, 100, 100]);
  });

  it('is healed by a whole file at the same place', async () => {
    const path = join(folder, 'healed.gguf');
    writeFileSync(path, 'not yet');
    await using supervisor = supervise(path);
    supervisor.start();
    await untilState(supervisor, (current) => current.stage === 'failed');
    copyFileSync(MODEL_PATH, path);
    const baseUrl = await supervisor.whenReady(AbortSignal.timeout(60_000));
    assert.equal((await fetch(`${baseUrl}/health`)).status, 200);
  });

  function truncated(path: string): void {
    copyFileSync(MODEL_PATH, path);
    const file = openSync(path, 'r+');
    ftruncateSync(file, 20_000_000);
    closeSync(file);
  }
});

describe('an engine that cannot have what it asks for', { skip: modelMissing }, () => {
  const limited = process.platform === 'linux' ? false : 'skipped: needs ulimit -v, run it on Linux';
  it('names the figures when the memory is not there', { skip: limited }, async () => {
    const main = fileURLToPath(new URL('../src/main.ts', import.meta.url));
    const wanted = ['--sequences', '60', '--context', '8192', '--threads', '1', '--port', '0'];
    const child = spawn(
      'sh',
      [
        '-c',
        'ulimit -v 9000000; exec "$@"',
        'sh',
        process.execPath,
        main,
        'engine',
        '--model',
        MODEL_PATH,
        ...wanted,
      ],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    );
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    const [code] = (await once(child, 'close')) as [number];
    assert.equal(code, 1, said);
    // The prefix store is outside the context, so no sequences are kept for prefixes.
    assert.match(said, /no memory for 60 sequences of 8192 tokens/);
    assert.match(said, /Lower sequences/);
  });

  it('says which option is wrong', async () => {
    await using supervisor = new EngineSupervisor(
      { engine: { modelPath: MODEL_PATH, sequences: 0 }, environment: process.env },
      { clock: realRuntime.clock, random: realRuntime.random, log: silentLogger },
    );
    supervisor.start();
    const state = await untilState(supervisor, (current) => current.reason !== null);
    assert.match(state.reason ?? '', /sequences/);
  });
});
