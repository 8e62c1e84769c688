/**
 * A wire that can be spoiled: a TCP relay on loopback between the gateway and one engine. It passes bytes as they are
 * until it is told otherwise; then it delays and narrows them, replaces them, answers with a web page, resets, refuses or
 * swallows them. Needs no rights. Invariant: it holds at most a few hundred kB of one connection.
 */
import { randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

export type WireFault =
  | { readonly kind: 'none' }
  /** Each packet comes later, and no faster than so many bytes a second. */
  | { readonly kind: 'slow'; readonly delayMs: number; readonly bytesPerSecond: number }
  /** What the engine says is replaced by as many random bytes. */
  | { readonly kind: 'garbage' }
  /** Every request is answered with a login page and status 200. */
  | { readonly kind: 'html' }
  /** The connection is reset behind so many bytes of an answer. */
  | { readonly kind: 'reset'; readonly afterBytes: number }
  | { readonly kind: 'refuse' }
  /** Connections are taken, and nothing is ever said. */
  | { readonly kind: 'swallow' };

export interface Relay extends AsyncDisposable {
  readonly origin: string;
  /** Holds for connections that are open already too. */
  spoil(fault: WireFault): void;
  /** How often the fault that is set now has struck. */
  readonly struck: number;
}

const PAGE = '<!doctype html><html><head><title>Sign in</title></head><body><h1>Sign in</h1></body></html>';
const HTML = `HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\ncontent-length: ${PAGE.length}\r\n\r\n${PAGE}`;
const REQUEST = /^(?:GET|POST|DELETE) \//;
const HELD_BYTES_MAX = 256_000;

export async function startRelay(target: { readonly host: string; readonly port: number }): Promise<Relay> {
  let fault: WireFault = { kind: 'none' };
  let struck = 0;
  const sockets = new Set<Socket>();
  const keep = (socket: Socket) => {
    sockets.add(socket);
    socket.setNoDelay(true);
    socket.on('error', () => socket.destroy());
    socket.once('close', () => sockets.delete(socket));
  };

  const server = createServer((client) => {
    keep(client);
    if (fault.kind === 'refuse') {
      struck += 1;
      client.resetAndDestroy();
      return;
    }
    const engine = connect(target.port, target.host);
    keep(engine);
    let answerBytes = 0;
    const up = passage(client, engine, () => fault);
    const down = passage(engine, client, () => fault);
    // Who hangs up is gone for the engine too; who has said all is heard to the end, however slow the wire is.
    client.once('close', () => engine.destroy());
    engine.once('close', (isBroken) => (isBroken ? client.destroy() : down.end()));
    client.on('data', (bytes: Buffer) => {
      if (REQUEST.test(bytes.subarray(0, 8).toString('latin1'))) answerBytes = 0;
      if (fault.kind === 'swallow') struck += 1;
      else if (fault.kind === 'refuse') {
        struck += 1;
        client.resetAndDestroy();
      } else if (fault.kind === 'html') {
        struck += 1;
        client.end(HTML);
      } else up.push(bytes);
    });
    engine.on('data', (bytes: Buffer) => {
      answerBytes += bytes.length;
      if (fault.kind === 'swallow') return;
      if (fault.kind === 'garbage') {
        struck += 1;
        down.push(randomFillSync(Buffer.alloc(bytes.length)));
      } else if (fault.kind === 'reset' && answerBytes > fault.afterBytes) {
        struck += 1;
        client.resetAndDestroy();
      } else down.push(bytes);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spoil: (next) => {
      // Connections that were spoiled are of no use afterwards, as after any repair of a network.
      if (next.kind === 'none' && fault.kind !== 'slow') for (const socket of sockets) socket.destroy();
      fault = next;
      struck = 0;
    },
    get struck() {
      return struck;
    },
    [Symbol.asyncDispose]: async () => {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

interface Passage {
  push(bytes: Buffer): void;
  /** Ends the other side behind the last byte. */
  end(): void;
}

/** Writes bytes on in their order, later and slower while the wire is slow; a full passage pauses its source. */
function passage(from: Socket, to: Socket, fault: () => WireFault): Passage {
  let last = Promise.resolve();
  let held = 0;
  let freeAtMs = 0;
  const push = (bytes: Buffer) => {
    const now = fault();
    held += bytes.length;
    if (held > HELD_BYTES_MAX) from.pause();
    let waitMs = 0;
    if (now.kind === 'slow') {
      const nowMs = performance.now();
      freeAtMs = Math.max(freeAtMs, nowMs) + (bytes.length / now.bytesPerSecond) * 1_000;
      waitMs = freeAtMs - nowMs + now.delayMs;
    }
    const before = last;
    last = (async () => {
      // Bytes wait side by side: a delay is not added up, only the width of the wire is.
      if (waitMs > 0) await delay(waitMs, undefined, { ref: false });
      await before;
      held -= bytes.length;
      if (to.destroyed) return;
      to.write(bytes);
      if (held <= HELD_BYTES_MAX && from.isPaused()) from.resume();
    })();
  };
  return { push, end: () => void last.then(() => to.end()) };
}
