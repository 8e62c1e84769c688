/**
 * A wire between a client and any server on loopback that can be cut: it hands bytes on untouched, so that signatures and
 * certificates stay good, and once told ends a connection after so many bytes of the server's.
 */
import net, { type AddressInfo } from 'node:net';

export interface CuttingRelay extends AsyncDisposable {
  readonly port: number;
  /** The next connection that brings so many bytes from the server is cut there; one cut a call. */
  cutAfter(bytes: number): void;
}

export async function startCuttingRelay(targetPort: number): Promise<CuttingRelay> {
  const cuts: number[] = [];
  const open = new Set<net.Socket>();
  const relay = net.createServer((client) => {
    const server = net.connect(targetPort, '127.0.0.1');
    for (const socket of [client, server]) {
      open.add(socket);
      socket.once('close', () => open.delete(socket));
      // What breaks on one side ends the other, below; there is nothing else to do about it.
      socket.on('error', () => {});
    }
    client.once('close', () => server.destroy());
    server.once('close', () => client.destroySoon());
    client.pipe(server);
    let passed = 0;
    server.on('data', (chunk: Buffer) => {
      const limit = cuts[0] ?? Number.POSITIVE_INFINITY;
      if (passed + chunk.length < limit) {
        passed += chunk.length;
        if (!client.write(chunk)) {
          server.pause();
          client.once('drain', () => server.resume());
        }
        return;
      }
      cuts.shift();
      client.end(chunk.subarray(0, limit - passed));
      server.destroy();
    });
  });
  await new Promise<void>((resolve) => relay.listen(0, '127.0.0.1', resolve));
  return {
    port: (relay.address() as AddressInfo).port,
    cutAfter: (bytes) => cuts.push(bytes),
    [Symbol.asyncDispose]: () => {
      for (const socket of open) socket.destroy();
      return new Promise((resolve) => relay.close(() => resolve()));
    },
  };
}
