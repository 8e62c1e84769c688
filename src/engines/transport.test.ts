import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import net, { type AddressInfo } from 'node:net';
import { test } from 'node:test';
import { ServiceError } from '../core/errors.ts';
import { readBody } from '../core/transport.ts';
import { createTransport } from './transport.ts';

const never = new AbortController().signal;
const get = (path = '/') => ({ method: 'GET', path, headers: {} }) as const;

async function serve(handle: http.RequestListener) {
  const server = http.createServer(handle);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    server,
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: async () => {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

const open = (origin: string) =>
  createTransport({ baseUrl: origin, connections: 2, connectTimeoutMs: 5_000 });

test('what is sent arrives, and what comes back is streamed', async () => {
  await using served = await serve((request, response) => {
    response.writeHead(201, {
      'x-seen': `${request.method} ${request.url} ${String(request.headers['x-one'])}`,
    });
    request.pipe(response);
  });
  await using transport = open(served.origin);
  const reply = await transport.exchange(
    { method: 'POST', path: '/a?b=c', headers: { 'x-one': '1' }, body: 'grüß' },
    never,
  );
  assert.equal(reply.status, 201);
  assert.equal(reply.headers['x-seen'], 'POST /a?b=c 1');
  assert.equal((await readBody(reply.body, 100)).toString('utf8'), 'grüß');
});

test('a path of the base stands before every path, with or without a slash at its end', async () => {
  await using served = await serve((request, response) => response.end(request.url));
  for (const [base, seen] of [
    ['', '/v1/models?a=b'],
    ['/', '/v1/models?a=b'],
    ['/openai', '/openai/v1/models?a=b'],
    ['/a/b//', '/a/b/v1/models?a=b'],
  ] as const) {
    await using transport = open(served.origin + base);
    const reply = await transport.exchange(get('/v1/models?a=b'), never);
    assert.equal((await readBody(reply.body, 100)).toString(), seen);
  }
});

test('a refused connection is engine_unavailable, with the address and the reason', async () => {
  const closed = net.createServer().listen(0, '127.0.0.1');
  await once(closed, 'listening');
  const { port } = closed.address() as AddressInfo;
  closed.close();
  await once(closed, 'close');
  await using transport = open(`http://127.0.0.1:${port}`);
  await assert.rejects(transport.exchange(get(), never), (error) => {
    assert.ok(error instanceof ServiceError);
    assert.equal(error.code, 'engine_unavailable');
    assert.equal(error.message, `no reply from http://127.0.0.1:${port}: ECONNREFUSED`);
    return true;
  });
});

test('a peer that hangs up before a reply, or speaks no HTTP, is engine_unavailable', async () => {
  for (const answer of ['', 'SSH-2.0-OpenSSH_9.9\r\n\r\n']) {
    const server = net.createServer((socket) => socket.once('data', () => socket.end(answer)));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const transport = open(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    await assert.rejects(
      transport.exchange(get(), never),
      (error) => error instanceof ServiceError && error.code === 'engine_unavailable',
    );
    await transport[Symbol.asyncDispose]();
    server.close();
    await once(server, 'close');
  }
});

test('aborting while waiting for the reply closes the socket at the server, and rejects with the reason', async () => {
  const arrived = Promise.withResolvers<http.IncomingMessage>();
  await using served = await serve((request) => arrived.resolve(request));
  await using transport = open(served.origin);
  const controller = new AbortController();
  const reason = new Error('deadline');
  const reply = transport.exchange(get(), controller.signal);
  const { socket } = await arrived.promise;
  const closed = once(socket, 'close');
  controller.abort(reason);
  await assert.rejects(reply, (error) => error === reason);
  await closed;
});

for (const [how, leave] of [
  ['aborting in the midst of the body', (controller: AbortController) => controller.abort(new Error('gone'))],
  ['leaving the loop', null],
] as const) {
  test(`${how} closes the socket at the server`, async () => {
    const closed = Promise.withResolvers<void>();
    await using served = await serve((_request, response) => {
      response.on('close', () => closed.resolve());
      response.write('first');
    });
    await using transport = open(served.origin);
    const controller = new AbortController();
    const reply = await transport.exchange(get(), controller.signal);
    const reading = (async () => {
      for await (const chunk of reply.body) {
        assert.equal(Buffer.from(chunk).toString(), 'first');
        if (leave === null) return;
        leave(controller);
      }
    })();
    if (leave === null) await reading;
    else await assert.rejects(reading);
    await closed.promise;
  });
}

test('an exchange that was aborted before it began never reaches the server', async () => {
  let asked = 0;
  await using served = await serve((_request, response) => {
    asked += 1;
    response.end();
  });
  await using transport = open(served.origin);
  const reason = new Error('gone before');
  await assert.rejects(transport.exchange(get(), AbortSignal.abort(reason)), (error) => error === reason);
  assert.equal(asked, 0);
});

test('an exchange aborted while it waits for a connection rejects at once, and never reaches the server', async () => {
  const asked: string[] = [];
  const first = Promise.withResolvers<http.ServerResponse>();
  await using served = await serve((request, response) => {
    asked.push(request.url ?? '');
    if (request.url === '/first') first.resolve(response);
    else response.end();
  });
  await using transport = createTransport({
    baseUrl: served.origin,
    connections: 1,
    connectTimeoutMs: 5_000,
  });
  const head = transport.exchange(get('/first'), never);
  const holding = await first.promise;
  const controller = new AbortController();
  const waiting = transport.exchange(get('/second'), controller.signal);
  const reason = new Error('no longer');
  controller.abort(reason);
  await assert.rejects(waiting, (error) => error === reason);
  holding.end('whole');
  await readBody((await head).body, 10);
  await readBody((await transport.exchange(get('/third'), never)).body, 10);
  assert.deepEqual(asked, ['/first', '/third']);
});

test('a connection whose body was read to its end is used again', async () => {
  const ports = new Set<number | undefined>();
  await using served = await serve((request, response) => {
    ports.add(request.socket.remotePort);
    response.write('in ');
    response.end('two pieces');
  });
  await using transport = createTransport({
    baseUrl: served.origin,
    connections: 1,
    connectTimeoutMs: 5_000,
  });
  for (let turn = 0; turn < 5; turn += 1) {
    const reply = await transport.exchange(get(), never);
    assert.equal((await readBody(reply.body, 100)).toString(), 'in two pieces');
  }
  assert.equal(ports.size, 1);
});

test('what comes while nobody reads is given in one piece, and leaving after the end keeps the connection', async () => {
  const ports = new Set<number | undefined>();
  await using served = await serve((request, response) => {
    ports.add(request.socket.remotePort);
    response.writeHead(200, { connection: 'keep-alive' });
    for (const part of ['a', 'b', 'c']) response.write(part);
    response.end();
  });
  await using transport = open(served.origin);
  const reply = await transport.exchange(get(), never);
  // Round trips on another connection: by now the body is there.
  for (let turn = 0; turn < 5; turn += 1)
    await readBody((await transport.exchange(get('/other'), never)).body, 10);
  for await (const chunk of reply.body) {
    assert.equal(Buffer.from(chunk).toString(), 'abc');
    break;
  }
  ports.clear();
  await readBody((await transport.exchange(get(), never)).body, 10);
  assert.equal(ports.size, 1);
});

test('a redirect is a reply, and is not followed', async () => {
  let followed = 0;
  await using other = await serve((_request, response) => {
    followed += 1;
    response.end();
  });
  await using served = await serve((_request, response) =>
    response.writeHead(307, { location: other.origin }).end(),
  );
  await using transport = open(served.origin);
  const reply = await transport.exchange(get(), never);
  assert.equal(reply.status, 307);
  assert.equal(reply.headers['location'], other.origin);
  assert.equal((await readBody(reply.body, 10)).length, 0);
  assert.equal(followed, 0);
});

test('a name that does not resolve is engine_unavailable, with the host and the resolver’s code', async () => {
  // A label of 64 letters is refused by the resolver itself, so that no test asks the network.
  const origin = `http://${'a'.repeat(64)}.invalid:8000`;
  await using transport = open(origin);
  await assert.rejects(transport.exchange(get(), never), (error) => {
    assert.ok(error instanceof ServiceError);
    assert.equal(error.code, 'engine_unavailable');
    assert.match(error.message, /^no reply from http:\/\/a{64}\.invalid:8000: E[A-Z_]+$/);
    return true;
  });
});

test('TLS that fails is engine_unavailable, with the host and the code of TLS', async () => {
  await using served = await serve((_request, response) => response.end());
  const origin = served.origin.replace('http:', 'https:');
  await using transport = open(origin);
  await assert.rejects(transport.exchange(get(), never), (error) => {
    assert.ok(error instanceof ServiceError);
    assert.equal(error.code, 'engine_unavailable');
    assert.match(error.message, /^no reply from https:\/\/127\.0\.0\.1:\d+: (?:ERR_SSL|EPROTO)/);
    return true;
  });
});

for (const [what, answer, message] of [
  ['a length longer than the body', 'content-length: 20\r\n\r\nshort', /broke off: UND_ERR/],
  [
    'a longer length, on a connection that closes',
    'connection: close\r\ncontent-length: 20\r\n\r\nshort',
    /broke off: UND_ERR_RES_CONTENT_LENGTH_MISMATCH/,
  ],
  ['a chunk that breaks off', 'transfer-encoding: chunked\r\n\r\n14\r\nshort', /broke off/],
  ['a chunk without a size', 'transfer-encoding: chunked\r\n\r\nshort', /broke off: .*chunk size/],
  ['two lengths', 'content-length: 5\r\ncontent-length: 6\r\n\r\nshort', /not sound: .*CONTENT_LENGTH/],
  ['a length that is no number', 'content-length: five\r\n\r\nshort', /not sound: .*Content-Length/],
] as const) {
  test(`${what} is an engine_error`, async () => {
    const server = net.createServer((socket) =>
      socket.once('data', () => socket.end(`HTTP/1.1 200 OK\r\n${answer}`)),
    );
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    await using _server = { [Symbol.asyncDispose]: async () => void (await once(server.close(), 'close')) };
    await using transport = open(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    await assert.rejects(
      async () => await readBody((await transport.exchange(get(), never)).body, 100),
      (error) => {
        assert.ok(error instanceof ServiceError);
        assert.equal(error.code, 'engine_error');
        assert.match(error.message, message);
        assert.match(error.message, /http:\/\/127\.0\.0\.1:\d+/);
        return true;
      },
    );
  });
}

test('a slow reader slows the sender: no more is taken in than the buffers hold', async () => {
  const total = 256 * 1024 * 1024;
  let sent = 0;
  await using served = await serve((request, response) => {
    if (request.url === '/ping') return void response.end();
    const block = Buffer.alloc(64 * 1024);
    const more = () => {
      while (sent < total) {
        sent += block.length;
        if (!response.write(block)) return void response.once('drain', more);
      }
    };
    more();
  });
  await using transport = open(served.origin);
  const reply = await transport.exchange(get(), never);
  // Turns of both ends' event loops in which a sender that is not held back would go on.
  for (let turn = 0; turn < 50; turn += 1)
    await readBody((await transport.exchange(get('/ping'), never)).body, 10);
  assert.ok(sent < total / 4, `${sent} bytes were sent to a reader that took none`);
  for await (const _ of reply.body) break;
});

test('disposing ends what is under way', async () => {
  await using served = await serve((_request, response) => void response.write('first'));
  const transport = open(served.origin);
  const reply = await transport.exchange(get(), never);
  const reading = readBody(reply.body, 1_000);
  const failed = assert.rejects(reading);
  await transport[Symbol.asyncDispose]();
  await failed;
  await assert.rejects(
    transport.exchange(get(), never),
    (error) => error instanceof ServiceError && error.code === 'engine_unavailable',
  );
});
