/** The course of a run, on servers that answer at once: what is measured, what is left out, that nothing stays behind. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { readTrace, type Trace } from '../npc-trace/trace.ts';
import { type Course, runCourse } from './plan.ts';
import { barsOf, rowsOf } from './report.ts';
import type { RunningSide, Side, SideKey } from './side.ts';

const PUBLISHED = readTrace(path.join(import.meta.dirname, '..', 'npc-trace', 'published.jsonl'));
/** Its first minute: the search for a capacity that these servers do not have ends where the whole of it is asked at once. */
const TRACE: Trace = {
  header: { ...PUBLISHED.header, durationMs: 60_000 },
  entries: PUBLISHED.entries.filter(({ atMs }) => atMs < 60_000),
};

const CHAT = [
  { choices: [{ delta: { content: 'Nobody you know. ' } }] },
  { choices: [{ delta: {}, finish_reason: 'stop' }] },
  { choices: [], usage: { prompt_tokens: 400, completion_tokens: 4 } },
]
  .map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`)
  .join('');
const USAGE = { prompt_tokens: 400, cached_tokens: 300, completion_tokens: 4, cost_usd: 0 };
const DIALOGUE = [
  { event: 'sentence', data: { index: 0, text: 'Nobody you know.', source: 'cache' } },
  { event: 'done', data: { finish_reason: 'stop', source: { kind: 'cache' }, usage: USAGE } },
]
  .map(({ event, data }) => `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`)
  .join('');

/** Running servers of each side. */
const running = new Map<SideKey, number>();
const most = new Map<SideKey, number>();

async function serve(key: SideKey): Promise<RunningSide> {
  const server = createServer((request, response) => {
    request.resume().once('end', () => {
      const isHint = request.url === '/v1/prepare';
      response.writeHead(isHint ? 202 : 200, { 'content-type': 'text/event-stream' });
      response.end(isHint ? '' : request.url === '/v1/dialogue' ? DIALOGUE : CHAT);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  running.set(key, (running.get(key) ?? 0) + 1);
  most.set(key, Math.max(most.get(key) ?? 0, running.get(key) ?? 0));
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    headers: {},
    model: 'bench',
    async [Symbol.asyncDispose]() {
      running.set(key, (running.get(key) ?? 0) - 1);
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

function side(key: SideKey, start: () => Promise<RunningSide> = () => serve(key)): Side {
  const isOurs = key === 'd' || key === 'e';
  const door = isOurs ? 'dialogue' : 'chat';
  return { key, name: `side ${key}`, door, useEvents: key === 'e', settings: '', versions: {}, start };
}

function course(more: Partial<Course>): { readonly course: Course; readonly said: string[] } {
  const said: string[] = [];
  const sides = [side('a'), side('b', () => Promise.reject(new Error('no such program'))), side('e')];
  const walls = {
    greetEveryMs: 2,
    warmUpMs: 60,
    searchMs: 120,
    roundMs: [100, 80, 60],
    repeatsMs: 80,
    quickMs: 80,
  };
  return {
    said,
    course: {
      sides,
      absent: [],
      trace: TRACE,
      traceOf: () => Promise.resolve(TRACE),
      rounds: 2,
      speeds: null,
      isQuick: false,
      limitMs: 600_000,
      walls,
      folder: '',
      say: (line) => said.push(line),
      keep: () => undefined,
      ...more,
    },
  };
}

test('a whole run searches, goes its rounds and asks the other traces; each side runs once at a time and none is left', async () => {
  const { course: whole, said } = course({});
  const material = await runCourse(whole, AbortSignal.timeout(120_000));
  const { windows, absent, repeats } = material;
  for (const key of ['a', 'e'] as const) {
    assert.ok(windows.some(({ side: each, part }) => each === key && part === 'search'));
    assert.deepEqual(
      new Set(
        windows.filter((each) => each.side === key && each.part === 'rounds').map(({ round }) => round),
      ),
      new Set([0, 1]),
    );
  }
  assert.deepEqual([...most.values()], [1, 1]);
  assert.ok([...running.values()].every((count) => count === 0));
  assert.deepEqual(
    absent.map(({ key }) => key),
    ['b'],
  );
  assert.equal(said.filter((line) => line.includes('no such program')).length, 1);
  assert.equal(repeats.length, 6);
  assert.equal(barsOf(material)[2]?.value, 0);
  assert.ok(rowsOf(material).length > 0);
});

test('all sides of a round are asked the same lines', async () => {
  const { course: few } = course({ sides: [side('a'), side('e')], speeds: [2, 5], rounds: 1 });
  const { windows } = await runCourse(few, AbortSignal.timeout(60_000));
  const idsOf = (key: SideKey) =>
    windows.filter((window) => window.side === key).map(({ lines }) => lines.map(({ say }) => say.id));
  assert.equal(idsOf('a').length, 2);
  assert.deepEqual(idsOf('a'), idsOf('e'));
});

test('a quick run asks each side once, ours first, and leaves out what no longer fits', async () => {
  const { course: quick, said } = course({ sides: [side('a'), side('e')], isQuick: true });
  const { windows } = await runCourse(quick, AbortSignal.timeout(60_000));
  assert.deepEqual(
    windows.map((window) => window.side),
    ['e', 'a'],
  );
  const { course: late, said: heard } = course({ sides: [side('a')], isQuick: true, limitMs: 10 });
  assert.deepEqual((await runCourse(late, AbortSignal.timeout(60_000))).windows, []);
  assert.equal(heard.length, 1);
  assert.equal(said.length, 2);
});

test('an aborted run rejects with its reason and stops what it started', async () => {
  const over = new AbortController();
  const { course: long } = course({ keep: () => over.abort(new Error('enough')) });
  await assert.rejects(runCourse(long, over.signal), /enough/);
  assert.ok([...running.values()].every((count) => count === 0));
});
