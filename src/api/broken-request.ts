/** Answers what never became a request: headers over the limit, a body that does not come, bytes that are not HTTP. */
import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { type ErrorCode, ServiceError } from '../core/errors.ts';
import { problemOf } from './problem.ts';

const CODES: Readonly<Record<string, ErrorCode>> = {
  ERR_HTTP_REQUEST_TIMEOUT: 'request_timeout',
  HPE_HEADER_OVERFLOW: 'headers_too_large',
};

const MESSAGES: Partial<Record<ErrorCode, string>> = {
  request_timeout: 'the request did not arrive whole in time (limits.requestTimeoutMs)',
  headers_too_large: 'the headers are over the limit (limits.headerBytesMax)',
};

/** Says what was wrong, if the client can still hear it, and closes the connection. */
export function refuseBrokenRequest(cause: Error & { readonly code?: string }, socket: Socket): void {
  if (cause.code === 'ECONNRESET' || socket.destroyed) return;
  const code = CODES[cause.code ?? ''] ?? 'bad_request';
  const error = new ServiceError(code, MESSAGES[code] ?? 'the bytes that came are not HTTP/1.1');
  const body = JSON.stringify(problemOf(error, ''));
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  socket.end(
    `HTTP/1.1 ${error.status} ${STATUS_CODES[error.status]}\r\ncontent-type: application/problem+json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
    () => socket.destroy(),
  );
}
