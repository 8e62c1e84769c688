/** Each fault of the relay, on a real server: what a client hears, and that all is well once it is over. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, get, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { type Relay, startRelay } from './relay.ts';

const WORDS = 'x'.repeat(20_000);

describe('a relay', () => {
  const server = createServer((_request, response) => response.end(WORDS));
  let relay: Relay;
  before(async () => {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    relay = await startRelay({ host: '127.0.0.1', port: (server.address() as AddressInfo).port });
  });
  after(async () => {
    await relay[Symbol.asyncDispose]();
    server.close();
  });
  // A connection each: one that is kept may be closed by the relay in the moment in which it is used again.
  const ask = async () => {
    const request = get(relay.origin, { agent: false, timeout: 30_000 });
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    let text = '';
    for await (const chunk of response.setEncoding('utf8')) text += String(chunk);
    return text;
  };

  test('passes bytes as they are', async () => assert.equal(await ask(), WORDS));

  test('passes the same bytes when it is slow, later', async () => {
    relay.spoil({ kind: 'slow', delayMs: 1, bytesPerSecond: 1_000_000 });
    assert.equal(await ask(), WORDS);
    relay.spoil({ kind: 'none' });
  });

  for (const fault of [
    { kind: 'garbage' },
    { kind: 'reset', afterBytes: 1_000 },
    { kind: 'refuse' },
  ] as const)
    test(`breaks the answer: ${fault.kind}`, async () => {
      relay.spoil(fault);
      await assert.rejects(ask());
      assert.ok(relay.struck > 0);
      relay.spoil({ kind: 'none' });
      assert.equal(await ask(), WORDS);
    });

  test('answers with a page of HTML and 200', async () => {
    relay.spoil({ kind: 'html' });
    assert.match(await ask(), /<h1>Sign in/);
    relay.spoil({ kind: 'none' });
    assert.equal(await ask(), WORDS);
  });

  test('swallows what it is asked, until it is over', async () => {
    relay.spoil({ kind: 'swallow' });
    const asked = ask();
    asked.catch(() => {});
    while (relay.struck === 0) await new Promise(setImmediate);
    relay.spoil({ kind: 'none' });
    await assert.rejects(asked);
    assert.equal(await ask(), WORDS);
  });
});
