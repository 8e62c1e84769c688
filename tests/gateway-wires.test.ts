/**
 * The whole gateway over wires that lie, break off, flood, redirect and are not there. Whatever comes: one answer in time,
 * in whole sentences, with its cause; nothing of the garbage is heard; and afterwards nothing is left running or held.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import net, { type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { startChatServer } from '../src/testing/chat-server.ts';
import { selfSigned } from '../src/testing/self-signed.ts';
import { FIRST, LINE, REPLIES, SECOND, sayLine, UNICODE, type WireReply } from './broken-replies.ts';
import { type Gateway, remoteConfig, startGateway, temporaryFolder, until } from './gateway-process.ts';

const NPC = 'vampire_salon_keeper';
const TIER_4_NPC = 'vampire_tithe_lord';
const DEADLINE_MS = 20_000;
/** No test measures; here only that nobody waited for the deadline where the failure was plain. */
const WELL_BEFORE_MS = 15_000;

interface Expected {
  readonly cause?: string;
  /** Sentences of the engine that are heard before the written one. */
  readonly heard?: readonly string[];
  readonly deadlineMs?: number;
}

/** What each reply of broken-replies.ts is to come to. No cause: it is a good answer, and heard as it is. */
const OUTCOMES: Readonly<Record<keyof typeof REPLIES, Expected>> = {
  html: { cause: 'backend_error' },
  'html-stream': { cause: 'backend_error' },
  'event-of-10-mb': { cause: 'backend_error' },
  'event-of-10-mb-late': { cause: 'backend_error', heard: [FIRST] },
  'comments-for-ever': { cause: 'timeout', deadlineMs: 600 },
  'nothing-for-ever': { cause: 'timeout', deadlineMs: 600 },
  // One sentence without end is the guard's affair.
  'words-for-ever': { cause: 'safety' },
  'done-after-error': { cause: 'backend_error' },
  'done-after-late-error': { cause: 'backend_error', heard: [FIRST] },
  'no-finish': { cause: 'backend_error', heard: [FIRST] },
  'no-finish-but-done': { cause: 'backend_error', heard: [FIRST] },
  'everything-twice': { heard: [FIRST, SECOND] },
  'end-twice': { heard: [FIRST] },
  'byte-by-byte': { heard: UNICODE },
  'no-utf-8': { cause: 'backend_error' },
  'length-too-long': { cause: 'backend_error', heard: [FIRST] },
  'length-too-short': { cause: 'backend_error', heard: [FIRST] },
  'length-of-nothing': { cause: 'backend_error' },
  'lengths-two': { cause: 'backend_error' },
  'no-http': { cause: 'backend_error' },
  'redirect-elsewhere': { cause: 'backend_error' },
  'retry-before-now': { cause: 'overload' },
  'not-loaded': { cause: 'backend_error' },
  'no-usage': { heard: [FIRST] },
  'usage-of-nonsense': { heard: [FIRST] },
};

interface Listening extends AsyncDisposable {
  readonly origin: string;
  /** Connections since the start. */
  readonly connections: number;
}

/** Any server on loopback, that counts who comes. */
async function listening(server: net.Server, scheme = 'http'): Promise<Listening> {
  let connections = 0;
  const open = new Set<net.Socket>();
  server.on('connection', (socket: net.Socket) => {
    connections += 1;
    open.add(socket);
    socket.on('close', () => open.delete(socket)).on('error', () => {});
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    origin: `${scheme}://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get connections() {
      return connections;
    },
    [Symbol.asyncDispose]: async () => {
      const closed = once(server, 'close');
      server.close();
      for (const socket of open) socket.destroy();
      await closed;
    },
  };
}

/** Each player hears this one for the first time, so that nobody's repetition is another's. */
const about = (word: string, more: Readonly<Record<string, unknown>> = {}) => ({
  npc_id: NPC,
  prompt: `What do you know of ${word}?`,
  context: { player_id: `player-${word}` },
  deadline_ms: DEADLINE_MS,
  ...more,
});

/** Whole sentences, and nothing that a wire left in them. */
function assertSpoken(text: string, sentences: readonly string[]): void {
  assert.ok(sentences.length > 0);
  for (const sentence of sentences) {
    assert.match(sentence, /[.!?…"'’”]$/u, sentence);
    assert.doesNotMatch(sentence, /[<>{}�\u0000]|html|data:|xxxx|error/i, sentence);
  }
  assert.ok(text.length < 600, `${text.length} characters`);
}

async function assertNothingLeft(gateway: Gateway): Promise<void> {
  for (const name of [
    'greenroom_dialogues_active',
    'greenroom_engine_requests_running',
    'greenroom_engine_requests_waiting',
  ])
    await until(`${name} is 0`, async () => (await gateway.metric(name)) === 0);
  const spending = async () =>
    (await gateway.get('/admin/v1/spending')).body as { calls_in_flight: number; day: { held_usd: number } };
  await until('no money is held', async () => {
    const { calls_in_flight, day } = await spending();
    return calls_in_flight === 0 && day.held_usd === 0;
  });
}

describe('a gateway before an engine whose wire is broken', () => {
  let elsewhere: Listening;
  let engine: Awaited<ReturnType<typeof startChatServer>>;
  let gateway: Gateway;
  before(async () => {
    elsewhere = await listening(http.createServer((_request, response) => void sayLine(response)));
    engine = await startChatServer(async (body, response, closed) => {
      if (!('messages' in body)) {
        response.writeHead(200, { 'content-type': 'application/json' });
        // The model is listed, whatever its lines come to; a paid engine is ready by its list.
        response.end(JSON.stringify({ object: 'list', data: [{ id: 'scripted' }], count: 40 }));
        return;
      }
      // All that was said: who is asked to go on hears the player's words further up.
      const said = JSON.stringify(body['messages']);
      const word = Object.keys(REPLIES).find((each) => said.includes(`of ${each}?`));
      const reply: WireReply =
        word === undefined ? sayLine : (REPLIES[word as keyof typeof REPLIES] ?? sayLine);
      await reply(response, closed, elsewhere.origin);
    });
    gateway = await startGateway({
      config: remoteConfig(engine.origin, {
        engines: {
          cloud: { kind: 'openai-compatible', baseUrl: engine.origin, model: 'scripted', isPaid: true },
        },
        tiers: Object.fromEntries(
          ['1', '2', '3', '4'].map((tier) => [
            tier,
            { rungs: ['cloud'], fillerAfterMs: 0, deadlineMs: DEADLINE_MS },
          ]),
        ),
        spending: {
          dailyUsd: 5,
          prices: [{ model: 'scripted', effectiveFrom: '2026-01-01', inputUsd: 2, outputUsd: 10 }],
        },
      }),
    });
    await gateway.untilReady();
  });
  after(async () => {
    await gateway?.[Symbol.asyncDispose]();
    await engine?.[Symbol.asyncDispose]();
    await elsewhere?.[Symbol.asyncDispose]();
  });

  for (const [word, { cause, heard = [], deadlineMs }] of Object.entries(OUTCOMES)) {
    test(`${word}: ${cause === undefined ? 'is a good answer' : `a person's line, cause ${cause}`}`, async () => {
      const reply = await gateway.say(
        about(word, deadlineMs === undefined ? {} : { deadline_ms: deadlineMs }),
      );
      assertSpoken(reply.text, reply.sentences);
      assert.equal(reply.source.cause, cause, JSON.stringify(reply));
      assert.equal(reply.source.kind, cause === undefined ? 'engine' : 'written');
      assert.deepEqual(
        cause === undefined ? reply.sentences : reply.sentences.slice(0, heard.length),
        heard,
        JSON.stringify(reply),
      );
      assert.equal(reply.sentences.length, heard.length + (cause === undefined ? 0 : 1));
      assert.ok(reply.timing.total_ms < WELL_BEFORE_MS, `${reply.timing.total_ms} ms`);
      await engine.untilRunning(0);
      const { cost_usd } = reply.usage as unknown as { cost_usd: number };
      // A paid engine that was asked and spoke is never free, whatever it says or leaves out about it.
      if (heard.length > 0) assert.ok(cost_usd > 0, 'what was heard cost something');
    });
  }

  test('nobody went where the redirect led', () => {
    assert.equal(elsewhere.connections, 0);
  });

  test('after all of it the next line is a good one', async () => {
    const reply = await gateway.say(about('the weather'));
    assert.equal(reply.text, LINE);
    assert.equal(reply.source.kind, 'engine');
  });

  test('afterwards nothing runs, nothing waits and no money is held', () => assertNothingLeft(gateway));
});

describe('a gateway whose engines cannot be reached', () => {
  const folder = temporaryFolder();
  const trusted = selfSigned(Date.now());
  const closing: AsyncDisposable[] = [];
  let twins: Awaited<ReturnType<typeof startChatServer>>;
  let elsewhere: Listening;
  let sealed: https.Server;
  let isFrozen = false;
  let gateway: Gateway;
  const answering = (_request: http.IncomingMessage, response: http.ServerResponse) => void sayLine(response);

  before(async () => {
    const keep = <T extends AsyncDisposable>(part: T): T => {
      closing.push(part);
      return part;
    };
    const root = join(folder, 'root.pem');
    writeFileSync(root, trusted.cert);
    elsewhere = keep(await listening(http.createServer(answering)));
    const moved = keep(
      await listening(
        http.createServer((request, response) => {
          request.resume();
          response.writeHead(308, { location: `${elsewhere.origin}${request.url}` }).end();
        }),
      ),
    );
    const unsigned = keep(await listening(https.createServer(selfSigned(Date.now()), answering), 'https'));
    const frozen = keep(
      await listening(
        http.createServer((request, response) => {
          if (isFrozen) request.resume();
          else answering(request, response);
        }),
      ),
    );
    sealed = https.createServer(trusted, answering);
    const sealing = keep(await listening(sealed, 'https'));
    twins = await startChatServer(async (_body, response) => sayLine(response));
    const engine = (version: string, baseUrl: string) => ({
      kind: 'vllm',
      baseUrl,
      model: 'scripted',
      version,
    });
    const tier = (...rungs: readonly string[]) => ({ rungs, fillerAfterMs: 0, deadlineMs: DEADLINE_MS });
    gateway = await startGateway({
      // Trusts one of the two certificates, as an operator with a house authority would.
      environment: { NODE_EXTRA_CA_CERTS: root },
      config: remoteConfig('', {
        engines: {
          sealed: engine('sealed', sealing.origin),
          unsigned: engine('unsigned', unsigned.origin),
          // A label of 64 letters is refused by the resolver itself, so that no test asks the network.
          nowhere: engine('nowhere', `http://${'a'.repeat(64)}.invalid:8000`),
          moved: engine('moved', moved.origin),
          frozen: engine('frozen', frozen.origin),
          'twin-a': engine('twin-a', twins.origin),
          'twin-b': engine('twin-b', twins.origin),
        },
        tiers: {
          '1': tier('twin-a', 'twin-b'),
          '2': tier('sealed'),
          '3': tier('nowhere', 'unsigned', 'moved', 'written'),
          '4': tier('frozen', 'sealed'),
        },
      }),
    });
    await gateway.untilReady();
  });
  after(async () => {
    await gateway?.[Symbol.asyncDispose]();
    for (const part of closing) await part[Symbol.asyncDispose]();
    await twins?.[Symbol.asyncDispose]();
  });

  for (const [name, reason] of [
    ['unsigned', /DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED/],
    ['nowhere', /no reply from http:\/\/a+\.invalid:8000: E[A-Z_]+/],
    ['moved', /308 with a redirect to http.*not followed; set baseUrl/],
  ] as const)
    test(`an engine that is never reached says why (${name})`, async () => {
      const said = await gateway.untilLog('engine.retry', (line) => line['engine'] === name);
      assert.match(String(said['reason']), reason);
      const { text } = await gateway.get('/admin/v1/status');
      assert.match(text, reason);
    });

  test('a player whose engines are all out of reach hears a person’s line, cause offline', async () => {
    const reply = await gateway.say(about('the nowhere', { tier: 3 }));
    assertSpoken(reply.text, reply.sentences);
    assert.equal(reply.source.kind, 'written');
    assert.equal(reply.source.cause, 'offline');
  });

  test('an engine that stands still at every question, tokens to count among them, leaves time for the rung below', async () => {
    for (const name of ['frozen', 'sealed'])
      await gateway.untilLog('engine.warm', (line) => line['engine'] === name);
    isFrozen = true;
    const reply = await gateway.say(about('the ice', { npc_id: TIER_4_NPC, deadline_ms: 6_000 }));
    assert.equal(reply.text, LINE, JSON.stringify(reply));
    assert.equal(reply.source.rung, 1);
    assert.equal(reply.source.cause, 'timeout');
  });

  test('a certificate that is replaced by one of nobody’s is an engine that fails, and no word goes there', async () => {
    await gateway.untilLog('engine.warm', (line) => line['engine'] === 'sealed');
    const good = await gateway.say(about('the seal', { tier: 2 }));
    assert.equal(good.text, LINE);
    sealed.setSecureContext(selfSigned(Date.now()));
    sealed.closeAllConnections();
    const reply = await gateway.say(about('the broken seal', { tier: 2 }));
    assertSpoken(reply.text, reply.sentences);
    assert.equal(reply.source.cause, 'backend_error');
  });

  test('two rungs at one dead host are tried once', async () => {
    const attempts = async (name: string) => {
      const { text } = await gateway.get('/metrics');
      const counts = text
        .split('\n')
        .filter((line) => line.startsWith('greenroom_attempts_total{') && line.includes(name))
        .map((line) => Number(line.split(' ').at(-1)));
      return counts.reduce((sum, count) => sum + count, 0);
    };
    await gateway.untilLog('engine.warm', (line) => line['engine'] === 'twin-b');
    assert.equal((await gateway.say(about('the twins', { tier: 1 }))).text, LINE);
    const { port } = new URL(twins.origin);
    await twins[Symbol.asyncDispose]();
    const refused = await gateway.say(about('the dead twins', { tier: 1 }));
    assertSpoken(refused.text, refused.sentences);
    assert.equal(refused.source.cause, 'backend_error');
    assert.deepEqual({ a: await attempts('twin-a'), b: await attempts('twin-b') }, { a: 2, b: 0 });

    // A port that takes connections and drops them, as a balancer without a server behind it: one drop may be a
    // connection that was kept too long, so the same rung may ask once more, and nobody below.
    const dropping = net.createServer((socket) => socket.resetAndDestroy());
    dropping.listen(Number(port), '127.0.0.1');
    await once(dropping, 'listening');
    closing.push({ [Symbol.asyncDispose]: async () => void (await once(dropping.close(), 'close')) });
    const dropped = await gateway.say(about('the dropped twins', { tier: 1 }));
    assertSpoken(dropped.text, dropped.sentences);
    assert.equal(dropped.source.cause, 'backend_error');
    assert.deepEqual({ a: await attempts('twin-a'), b: await attempts('twin-b') }, { a: 4, b: 0 });
  });

  test('nobody went where the redirect led', () => {
    assert.equal(elsewhere.connections, 0);
  });

  test('afterwards nothing runs, nothing waits and no money is held', () => assertNothingLeft(gateway));
});
