/**
 * One socket to a server under load, stamped when bytes are read from it. It carries one exchange at a time and may be
 * kept for the next; who uses it decides how many there are.
 */
import { connect, type Socket } from 'node:net';
import { machineMs } from './clock.ts';
import { MessageReader } from './http-message.ts';

/** What one request is told of its answer; `atMs` is the machine's time at which the bytes were read. */
export interface Exchange {
  onHead(status: number): void;
  onBody(part: Buffer, atMs: number): void;
  onEnd(atMs: number): void;
  onFailure(error: Error): void;
}

/** One kept-alive socket with at most one exchange on it. */
export class Connection {
  readonly #socket: Socket;
  #exchange: Exchange | null = null;

  constructor(host: string, port: number, events: { onIdle(): void; onClose(): void }) {
    this.#socket = connect({ host, port, noDelay: true });
    let atMs = 0;
    let isLast = false;
    const reader = new MessageReader({
      onHead: ({ start, headers }) => {
        isLast = headers.get('connection')?.toLowerCase() === 'close';
        this.#exchange?.onHead(Number(start.split(' ')[1]));
      },
      onBody: (part) => this.#exchange?.onBody(part, atMs),
      onEnd: () => {
        const exchange = this.#exchange;
        this.#exchange = null;
        if (isLast) this.close();
        else events.onIdle();
        exchange?.onEnd(atMs);
      },
    });
    this.#socket.on('data', (bytes: Buffer) => {
      atMs = machineMs();
      try {
        reader.push(bytes);
      } catch (error) {
        this.#fail(error instanceof Error ? error : new Error(String(error)));
      }
    });
    this.#socket.on('error', (error) => this.#fail(error));
    this.#socket.on('close', () => {
      events.onClose();
      atMs = machineMs();
      isLast = true;
      reader.close();
      this.#fail(new Error('the connection closed before the answer ended'));
    });
  }

  send(request: string, exchange: Exchange): void {
    this.#exchange = exchange;
    this.#socket.write(request);
  }

  close(): void {
    this.#exchange = null;
    this.#socket.destroy();
  }

  #fail(error: Error): void {
    const exchange = this.#exchange;
    this.#exchange = null;
    this.#socket.destroy();
    exchange?.onFailure(error);
  }
}
