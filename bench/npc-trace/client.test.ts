/** The client of the NPC trace against small real servers: what it sends, what it counts as good, what as failed. */
import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { after, test } from 'node:test';
import { ChatReader } from './chat-door.ts';
import { type DriveOptions, type DriveTarget, drive, windowOf } from './client.ts';
import { DialogueReader } from './dialogue-door.ts';
import { type SayEntry, type SayOutcome, TRACE_SCHEMA, type Trace, type TraceEntry } from './trace.ts';

const OPTIONS: DriveOptions = { speed: 1, fromMs: 0, forMs: 1_000, includeBarks: true, useEvents: false };
const never = new AbortController().signal;
const closing: (() => void)[] = [];
after(() => {
  for (const close of closing) close();
});

type Handler = (request: IncomingMessage, body: Record<string, unknown>, reply: ServerResponse) => void;

async function serve(handle: Handler): Promise<string> {
  const server = createServer((request, reply) => {
    let text = '';
    request.setEncoding('utf8').on('data', (part: string) => {
      text += part;
    });
    request.on('end', () => handle(request, JSON.parse(text) as Record<string, unknown>, reply));
  });
  const listening = Promise.withResolvers<void>();
  server.listen(0, '127.0.0.1', listening.resolve);
  await listening.promise;
  closing.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** A server that says these bytes and closes, whatever it is asked. */
async function serveBytes(bytes: string): Promise<string> {
  const server = createTcpServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => socket.end(bytes));
  });
  const listening = Promise.withResolvers<void>();
  server.listen(0, '127.0.0.1', listening.resolve);
  await listening.promise;
  closing.push(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function say(changes: Partial<SayEntry> = {}): SayEntry {
  return {
    kind: 'say',
    id: 's1',
    atMs: 0,
    playerId: 'p1',
    npcId: 'veyra',
    tier: 2,
    prompt: 'Who are you?',
    context: { location: 'ossuary', facts: [], history: [{ speaker: 'npc', text: 'Halt.' }] },
    priority: 'interactive',
    prefix: 'veyra/2/1',
    messages: [{ role: 'user', content: 'Who are you?' }],
    maxTokens: 40,
    ...changes,
  };
}

function traceOf(...entries: readonly TraceEntry[]): Trace {
  return {
    header: {
      schema: TRACE_SCHEMA,
      seed: 1,
      durationMs: 1_000,
      players: 1,
      firstSentenceMs: { 1: 1_000, 2: 1_500, 3: 2_000, 4: 3_000 },
      shape: {},
      prefixes: [
        {
          id: 'veyra/2/1',
          npcId: 'veyra',
          tier: 2,
          messages: [{ role: 'system', content: 'You are Veyra.' }],
        },
      ],
    },
    entries,
  };
}

const USAGE = { prompt_tokens: 50, completion_tokens: 7, prompt_tokens_details: { cached_tokens: 30 } };
const event = (name: string, data: unknown) => `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
const chunk = (content: string | null, finish: string | null = null) =>
  `data: ${JSON.stringify({ choices: [{ delta: content === null ? {} : { content }, finish_reason: finish }] })}\n\n`;
const done = (changes: Record<string, unknown> = {}) =>
  event('done', {
    finish_reason: 'stop',
    source: { kind: 'engine' },
    usage: { prompt_tokens: 90, cached_tokens: 60, completion_tokens: 9, cost_usd: 0.25 },
    ...changes,
  });

async function one(target: DriveTarget, entry = say(), options = OPTIONS): Promise<SayOutcome> {
  const [outcome, ...more] = await drive(traceOf(entry), target, options, never);
  assert.equal(more.length, 0);
  assert.ok(outcome !== undefined);
  return outcome;
}

async function dialogue(stream: string, entry = say()): Promise<SayOutcome> {
  const url = await serve((_request, _body, reply) => {
    reply.writeHead(200, { 'content-type': 'text/event-stream' }).end(stream);
  });
  return await one({ kind: 'greenroom', url }, entry);
}

async function chat(stream: string): Promise<SayOutcome> {
  const url = await serve((_request, _body, reply) => {
    reply.writeHead(200, { 'content-type': 'text/event-stream' }).end(stream);
  });
  return await one({ kind: 'openai', url, model: 'm' });
}

test('our own door is asked as a game asks, and its sentences and figures are kept', async () => {
  let asked: unknown;
  const url = await serve((request, body, reply) => {
    asked = { path: request.url, body };
    reply
      .writeHead(200)
      .end(
        event('accepted', {}) +
          event('filler', { text: 'Hm.' }) +
          event('sentence', { index: 0, text: 'Late, by nine hundred years.' }) +
          event('sentence', { index: 1, text: 'Sit down.' }) +
          done(),
      );
  });
  const entry = say({ trigger: 'greet', event: { id: 'e1', area: 'ossuary' } });
  const outcome = await one({ kind: 'greenroom', url }, entry, { ...OPTIONS, useEvents: true });
  assert.deepEqual(asked, {
    path: '/v1/dialogue',
    body: {
      npc_id: 'veyra',
      prompt: 'Who are you?',
      trigger: 'greet',
      context: { ...entry.context, player_id: 'p1' },
      priority: 'interactive',
      tier: 2,
      max_tokens: 40,
      stream: true,
      units: 'sentence',
      event: { id: 'e1', area: 'ossuary' },
    },
  });
  assert.equal(outcome.end, 'done');
  assert.equal(outcome.text, 'Late, by nine hundred years. Sit down.');
  assert.equal(outcome.source, 'engine');
  assert.equal(outcome.cause, null);
  assert.deepEqual(
    [outcome.promptTokens, outcome.cachedTokens, outcome.completionTokens, outcome.costUsd],
    [90, 60, 9, 0.25],
  );
  assert.ok(outcome.ttftMs !== null && outcome.ttfsMs !== null && outcome.totalMs >= outcome.ttfsMs);
});

test('where a cached, a joined or a written line came from is told, and only a written one has a cause', async () => {
  const sentence = event('sentence', { text: 'Late as ever.' });
  for (const [source, kind, cause] of [
    [{ kind: 'cache' }, 'cache', null],
    [{ kind: 'joined' }, 'cache', null],
    [{ kind: 'written', cause: 'timeout' }, 'written', 'timeout'],
    [{ kind: 'written' }, 'written', null],
    [{ kind: 'engine', cause: 'overload' }, 'engine', null],
    [{ kind: 'mystery' }, 'unknown', null],
  ] as const) {
    const outcome = await dialogue(sentence + done({ source }));
    assert.deepEqual([outcome.end, outcome.source, outcome.cause], ['done', kind, cause]);
  }
});

test('an answer of our door that is an error, has no end, no words or no JSON has failed', async () => {
  const sentence = event('sentence', { text: 'Late as ever.' });
  for (const [stream, fault] of [
    [sentence + event('error', { code: 'engine_error', message: 'gone' }), /error event: engine_error: gone/],
    [sentence, /without saying that it was finished/],
    [done(), /an empty answer/],
    [event('filler', { text: 'Hm.' }) + done(), /an empty answer/],
    ['event: sentence\ndata: {nonsense\n\n', /no JSON/],
    [`event: sentence\ndata: []\n\n${sentence}`, /without saying/],
  ] as const) {
    const outcome = await dialogue(stream);
    assert.equal(outcome.end, 'failed');
    assert.match(outcome.failure ?? '', fault);
  }
});

test('a line that need not be spoken is neither a line nor a failure', async () => {
  assert.equal((await dialogue(done({ finish_reason: 'unspoken' }))).end, 'unspoken');
  const url = await serve((_request, _body, reply) => void reply.writeHead(204).end());
  assert.equal((await one({ kind: 'greenroom', url })).end, 'unspoken');
});

test('a chat server is sent the prefix and the words, and its first whole sentence is found', async () => {
  let asked: unknown;
  const url = await serve((request, body, reply) => {
    asked = { path: request.url, body };
    reply
      .writeHead(200)
      .end(
        chunk('') +
          chunk('Nine hundred ') +
          chunk('years late. S') +
          chunk('it down.') +
          chunk(null, 'stop') +
          `data: ${JSON.stringify({ choices: [], usage: USAGE })}\n\ndata: [DONE]\n\n`,
      );
  });
  const outcome = await one({ kind: 'openai', url: `${url}/v1`, model: 'm', headers: { 'x-key': 'k' } });
  assert.deepEqual(asked, {
    path: '/v1/chat/completions',
    body: {
      model: 'm',
      messages: [
        { role: 'system', content: 'You are Veyra.' },
        { role: 'user', content: 'Who are you?' },
      ],
      max_tokens: 40,
      temperature: 0.4,
      stream: true,
      stream_options: { include_usage: true },
      stop: ['\n'],
    },
  });
  assert.equal(outcome.end, 'done');
  assert.equal(outcome.text, 'Nine hundred years late. Sit down.');
  assert.deepEqual([outcome.promptTokens, outcome.cachedTokens, outcome.completionTokens], [50, 30, 7]);
});

test('both wires are read the same at every cut of their bytes, and stamped when the words were whole', () => {
  const chatBytes = Buffer.from(
    chunk('Späte ') +
      chunk('Jahre, alas. S') +
      chunk('it down.') +
      chunk(null, 'stop') +
      `data: ${JSON.stringify({ choices: [], usage: USAGE, timings: { cache_n: 31 } })}\n\ndata: [DONE]\n\n`,
  );
  const doorBytes = Buffer.from(
    event('token', { text: 'Späte' }) + event('sentence', { text: 'Späte Jahre, alas.' }) + done(),
  );
  for (const [bytes, make, text] of [
    [chatBytes, () => new ChatReader(), 'Späte Jahre, alas. Sit down.'],
    [doorBytes, () => new DialogueReader(), 'Späte Jahre, alas.'],
  ] as const) {
    for (let cut = 0; cut <= bytes.length; cut += 1) {
      const reader = make();
      reader.onHead(200);
      reader.onBody(bytes.subarray(0, cut), 1);
      const { firstTextAtMs, firstSentenceAtMs } = reader.heard();
      reader.onBody(bytes.subarray(cut), 2);
      assert.equal(reader.failure(), null);
      const heard = reader.heard();
      assert.equal(heard.text, text);
      assert.equal(heard.firstTextAtMs, firstTextAtMs ?? 2);
      assert.equal(heard.firstSentenceAtMs, firstSentenceAtMs ?? 2);
      assert.ok(heard.cachedTokens === 31 || heard.cachedTokens === 60);
    }
  }
  const reader = new ChatReader();
  reader.onHead(200);
  for (const [index, part] of [chunk('Nine hundred '), chunk('years late. S'), chunk(null, 'stop')].entries())
    reader.onBody(Buffer.from(part), index);
  assert.deepEqual([reader.heard().firstTextAtMs, reader.heard().firstSentenceAtMs], [0, 1]);
});

test('one sentence that ends with the answer counts, and so does what a token limit left of one', async () => {
  assert.notEqual((await chat(chunk('Late as ever.') + chunk(null, 'stop'))).ttfsMs, null);
  assert.notEqual((await chat(chunk('Late as ever and then') + chunk(null, 'length'))).ttfsMs, null);
});

test('an answer of a chat server that breaks off, is empty or tells an error has failed', async () => {
  for (const [stream, fault] of [
    [chunk('Late as'), /without saying that it was finished/],
    [chunk('') + chunk(null, 'stop'), /an empty answer/],
    [`${chunk('Late')}data: {"error":{"message":"out of memory"}}\n\n`, /out of memory/],
    [`${chunk('Late')}data: oops\n\n`, /no JSON: oops/],
  ] as const) {
    const outcome = await chat(stream);
    assert.equal(outcome.end, 'failed');
    assert.match(outcome.failure ?? '', fault);
  }
});

test('an error status is told with what the server said, and a refused connection with its reason', async () => {
  const url = await serve((_request, _body, reply) => void reply.writeHead(503).end('{"error":"busy"}'));
  const busy = await one({ kind: 'openai', url, model: 'm' });
  assert.match(busy.failure ?? '', /status 503: \{"error":"busy"\}/);
  const nobody = await serveBytes('');
  closing.pop()?.();
  assert.match((await one({ kind: 'openai', url: nobody, model: 'm' })).failure ?? '', /ECONNREFUSED/);
});

test('a connection that closes inside the answer is a failure at every byte, and never a good line', async () => {
  const body = event('sentence', { text: 'Late — as ever.' }) + done();
  const bytes = Buffer.from(
    `HTTP/1.1 200 OK\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  ).toString('latin1');
  let cut = 0;
  const server = createTcpServer((socket) => {
    socket.on('error', () => {});
    const part = bytes.slice(0, cut);
    socket.once('data', () => socket.end(Buffer.from(part, 'latin1')));
  });
  const listening = Promise.withResolvers<void>();
  server.listen(0, '127.0.0.1', listening.resolve);
  await listening.promise;
  closing.push(() => server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  for (cut = 0; cut < bytes.length; cut += 7)
    assert.equal((await one({ kind: 'greenroom', url })).end, 'failed', `cut at ${cut}`);
  cut = bytes.length;
  const whole = await one({ kind: 'greenroom', url });
  assert.deepEqual([whole.end, whole.text], ['done', 'Late — as ever.']);
});

test('an answer without a length that ends with its connection is whole when it says so itself', async () => {
  const sentence = event('sentence', { text: 'Late as ever.', source: 'cache' });
  const whole = await serveBytes(`HTTP/1.0 200 OK\r\n\r\n${sentence}${done({ source: { kind: 'cache' } })}`);
  assert.equal((await one({ kind: 'greenroom', url: whole })).end, 'done');
  const cut = await one({
    kind: 'greenroom',
    url: await serveBytes(`HTTP/1.0 200 OK\r\n\r\n${sentence}`),
  });
  assert.match(cut.failure ?? '', /without saying that it was finished/);
  // Where a line came from is known from its first sentence on.
  assert.equal(cut.source, 'cache');
});

test('a player who hangs up closes the socket, and what was heard by then is told', async () => {
  const gone = Promise.withResolvers<void>();
  const url = await serve((_request, _body, reply) => {
    reply.on('close', gone.resolve);
    reply.writeHead(200).write(event('sentence', { text: 'Late as ever.' }));
  });
  const outcome = await one({ kind: 'greenroom', url }, say({ hangUpAfterMs: 120 }));
  await gone.promise;
  assert.equal(outcome.end, 'hung_up');
  assert.equal(outcome.text, 'Late as ever.');
});

test('a lost connection hangs up what runs for that player and for nobody else', async () => {
  const url = await serve((_request, body, reply) => {
    reply.writeHead(200).write(event('sentence', { text: 'Late as ever.' }));
    const { player_id: playerId } = body['context'] as { player_id: string };
    // p2 is answered once the reconnect of p1 is over.
    if (playerId === 'p2') setTimeout(() => reply.end(done()), 150);
  });
  const trace = traceOf(say({ id: 'a', playerId: 'p1' }), say({ id: 'b', playerId: 'p2' }), {
    kind: 'reconnect',
    atMs: 60,
    playerId: 'p1',
  });
  const outcomes = await drive(trace, { kind: 'greenroom', url }, OPTIONS, never);
  assert.deepEqual(
    outcomes.map(({ id, end }) => [id, end]),
    [
      ['a', 'hung_up'],
      ['b', 'done'],
    ],
  );
});

test('lines begin by the trace and not by the answers before them', async () => {
  const waiting: ServerResponse[] = [];
  const url = await serve((_request, _body, reply) => {
    waiting.push(reply);
    // The first two are answered only when the third is there.
    if (waiting.length === 3)
      for (const each of waiting)
        each.writeHead(200).end(event('sentence', { text: 'Late as ever.' }) + done());
  });
  const trace = traceOf(say({ id: 'a' }), say({ id: 'b', atMs: 40 }), say({ id: 'c', atMs: 400 }));
  const heard: string[] = [];
  const outcomes = await drive(
    trace,
    { kind: 'greenroom', url },
    { ...OPTIONS, speed: 10, onOutcome: ({ id }) => heard.push(id) },
    never,
  );
  assert.deepEqual(
    outcomes.map(({ id, end }) => `${id} ${end}`),
    ['a done', 'b done', 'c done'],
  );
  assert.deepEqual(heard.toSorted(), ['a', 'b', 'c']);
  assert.ok(outcomes.every(({ startLateMs }) => startLateMs >= 0));
});

test('hints go to our own door, and one that is refused is told but fails no line', async () => {
  const hinted: unknown[] = [];
  const url = await serve((request, body, reply) => {
    hinted.push(`${request.url} ${JSON.stringify(body)}`);
    reply.writeHead(hinted.length === 1 ? 202 : 400).end('{}');
  });
  const faults: string[] = [];
  const hint = { kind: 'hint', atMs: 0, playerId: 'p1', npcIds: ['veyra'] } as const;
  const options = { ...OPTIONS, onFault: (fault: string) => faults.push(fault) };
  const target: DriveTarget = { kind: 'greenroom', url };
  assert.deepEqual(await drive(traceOf(hint, { ...hint, atMs: 1 }), target, options, never), []);
  assert.deepEqual(hinted, Array(2).fill('/v1/prepare {"npc_ids":["veyra"]}'));
  assert.deepEqual(faults, ['hint for veyra: status 400']);
  // A server without such a door is not asked.
  await drive(traceOf(hint), { kind: 'openai', url, model: 'm' }, options, never);
  assert.equal(hinted.length, 2);
});

test('nobody waits longer than they said, and aborting closes what runs', async () => {
  const opened: ServerResponse[] = [];
  const closed: Promise<unknown>[] = [];
  const url = await serve((_request, _body, reply) => {
    opened.push(reply);
    closed.push(new Promise((resolve) => reply.on('close', resolve)));
    reply.writeHead(200).flushHeaders();
    if (opened.length === 2) stop.abort(new Error('enough'));
  });
  const stop = new AbortController();
  const late = await one({ kind: 'greenroom', url }, say(), { ...OPTIONS, giveUpMs: 30 });
  assert.match(late.failure ?? '', /no whole answer in 30 ms/);
  const running = drive(
    traceOf(say(), say({ id: 's2', atMs: 900 })),
    { kind: 'greenroom', url },
    OPTIONS,
    stop.signal,
  );
  await assert.rejects(running, /enough/);
  await Promise.all(closed);
  assert.equal(opened.length, 2);
});

test('a window is cut out of the trace at its own clock, with or without barks', () => {
  const entries = [
    say({ id: 'a' }),
    say({ id: 'b', atMs: 500, prompt: '', trigger: 'hit' }),
    say({ id: 'c', atMs: 900 }),
  ];
  const window = { speed: 2, fromMs: 400, forMs: 600, includeBarks: true };
  assert.deepEqual(
    windowOf(entries, window).map(({ dueMs }) => dueMs),
    [50, 250],
  );
  assert.equal(windowOf(entries, { ...window, includeBarks: false }).length, 1);
  assert.equal(windowOf(entries, { ...window, forMs: 500 }).length, 1);
});

test('a speed of nothing and an address that is not http are refused', async () => {
  const target: DriveTarget = { kind: 'openai', url: 'http://127.0.0.1:1', model: 'm' };
  await assert.rejects(drive(traceOf(), target, { ...OPTIONS, speed: 0 }, never), /speed is 0/);
  await assert.rejects(
    drive(traceOf(), { ...target, url: 'https://127.0.0.1' }, OPTIONS, never),
    /only http/,
  );
});
