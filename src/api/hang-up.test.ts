/** Hanging up and reading slowly, at the level of one connection. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import test from 'node:test';
import type { ServiceError } from '../core/errors.ts';
import { untilHangUp, writeAll } from './hang-up.ts';

/** A server whose one reply is written by `write`; `ask` opens a connection that reads nothing by itself. */
async function serving(write: (raw: ServerResponse) => Promise<void>) {
  const outcome = Promise.withResolvers<unknown>();
  const server = createServer((_request, raw) => {
    write(raw).then(outcome.resolve, outcome.resolve);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    outcome: outcome.promise,
    ask: () => {
      const socket = connect((server.address() as AddressInfo).port, '127.0.0.1').pause();
      socket.write('GET / HTTP/1.1\r\nhost: localhost\r\n\r\n');
      return socket;
    },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

test('a client that does not read holds the writer back, and its hang-up frees the writer', async () => {
  const full = Promise.withResolvers<void>();
  const chunk = Buffer.alloc(256 * 1024, 'x');
  await using up = await serving(async (raw) => {
    using life = untilHangUp(raw);
    for (;;) {
      const written = writeAll(raw, chunk, life.signal);
      // Whatever the kernel buffers, at some point the writer waits.
      assert.ok(raw.writableLength <= 2 * chunk.length, 'the writer ran ahead of the reader');
      if (raw.writableNeedDrain) full.resolve();
      await written;
    }
  });
  const socket = up.ask();
  await full.promise;
  socket.destroy();
  assert.equal(((await up.outcome) as ServiceError).code, 'client_closed');
});

test('a connection that closes after the reply is written aborts nothing', async () => {
  let signal: AbortSignal | undefined;
  await using up = await serving(async (raw) => {
    using life = untilHangUp(raw);
    signal = life.signal;
    await writeAll(raw, 'all', life.signal);
    raw.end();
    await once(raw, 'finish');
  });
  const socket = up.ask().resume();
  await up.outcome;
  socket.destroy();
  await once(socket, 'close');
  assert.equal(signal?.aborted, false);
});
