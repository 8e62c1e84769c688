/**
 * How the client dials. Its own connector listens for one error of a socket, but a TLS socket can tell a second one (the
 * refused certificate, then the server's alert; redis/ioredis #961), and an error that nobody hears ends the process.
 */
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { AbstractConnector } from 'ioredis';
import type { SharedAddress } from './address.ts';

/** A socket that was asked to end is cut after this long. */
const DISCONNECT_TIMEOUT_MS = 500;

/** A connector for the client's options. */
export function dialling({ at, tls }: Pick<SharedAddress, 'at' | 'tls'>) {
  return class extends AbstractConnector {
    constructor() {
      super(DISCONNECT_TIMEOUT_MS);
    }

    async connect(): Promise<Socket> {
      this.connecting = true;
      // A client that is closed in the same turn as it was made never dials.
      await Promise.resolve();
      if (!this.connecting) throw new Error('closed before it was dialled');
      const stream =
        tls === null ? connect(at) : connectTls({ ...at, ...(tls.ca === null ? {} : { ca: tls.ca }) });
      stream.on('error', (error) => {
        this.firstError ??= error;
      });
      this.stream = stream;
      return stream;
    }
  };
}
