/**
 * Loaded into a rival before its own code (`--import`): a server that names no address listens on loopback only, and
 * the process ends with the bench that started it. Nothing else of the rival is changed.
 */
import { Server } from 'node:net';

const listen = Server.prototype.listen as (...given: unknown[]) => Server;
Server.prototype.listen = function (this: Server, ...given: unknown[]): Server {
  const [port, host, ...rest] = given;
  return typeof port === 'number' && host === undefined
    ? listen.call(this, port, '127.0.0.1', ...rest)
    : listen.apply(this, given);
} as typeof Server.prototype.listen;

process.stdin.on('end', () => process.exit(0)).resume();
