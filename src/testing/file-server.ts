/**
 * A web server of files on loopback, as nginx answers: strong ETags, ranges, If-Range, If-None-Match (RFC 9110 §13, §14).
 * What goes wrong is queued: each fault answers one request and the next request is answered well again.
 */
import { createHash } from 'node:crypto';
import http from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import type { SelfSigned } from './self-signed.ts';

export interface ServedFile {
  readonly bytes: Uint8Array;
  /** As it is sent; null sends none. By default the strong one of the bytes. */
  readonly etag?: string | null;
  /** False answers a Range with the whole file. */
  readonly takesRanges?: boolean;
}

export interface SeenRequest {
  readonly method: string;
  /** Path and query as they came. */
  readonly target: string;
  readonly headers: http.IncomingHttpHeaders;
}

export type Answer = (request: http.IncomingMessage, response: http.ServerResponse) => void;

export interface FileServer extends AsyncDisposable {
  /** `http://127.0.0.1:port`, no slash at the end. */
  readonly url: string;
  /** By path: `/lich/adapter_config.json`. */
  readonly files: Map<string, ServedFile>;
  readonly seen: SeenRequest[];
  /** Answers the next requests for a file that its pattern fits, one each. */
  readonly faults: { readonly path: RegExp; readonly answer: Answer }[];
}

export interface FileServerOptions {
  readonly tls?: SelfSigned;
  /** Answers what it knows and says true; the files answer the rest. */
  readonly first?: (
    request: http.IncomingMessage,
    response: http.ServerResponse,
    server: FileServer,
  ) => boolean;
}

/** Listens on a free port of loopback until it is disposed. */
export async function startFileServer(options: FileServerOptions = {}): Promise<FileServer> {
  const listener: Answer = (request, response) => {
    const target = request.url ?? '/';
    server.seen.push({ method: request.method ?? '', target, headers: request.headers });
    const path = decodeURIComponent(target.replace(/\?.*/, ''));
    const fault = server.faults.findIndex((each) => each.path.test(path));
    if (fault >= 0) {
      const [taken] = server.faults.splice(fault, 1);
      taken?.answer(request, response);
      return;
    }
    if (options.first?.(request, response, server) === true) return;
    const file = server.files.get(path);
    if (file === undefined) response.writeHead(404).end('no such file');
    else sendFile(request, response, file);
  };
  const listening =
    options.tls === undefined ? http.createServer(listener) : https.createServer(options.tls, listener);
  await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve));
  const scheme = options.tls === undefined ? 'http' : 'https';
  const server: FileServer = {
    url: `${scheme}://127.0.0.1:${(listening.address() as AddressInfo).port}`,
    files: new Map(),
    seen: [],
    faults: [],
    [Symbol.asyncDispose]: () => {
      listening.closeAllConnections();
      return new Promise((resolve) => listening.close(() => resolve()));
    },
  };
  return server;
}

/** Answers a GET or HEAD as a web server does; `extra` headers go with it. */
export function sendFile(
  request: http.IncomingMessage,
  response: http.ServerResponse,
  file: ServedFile,
  extra: http.OutgoingHttpHeaders = {},
): void {
  const { bytes } = file;
  const etag = file.etag === undefined ? etagOf(bytes) : file.etag;
  const headers = { 'accept-ranges': 'bytes', ...(etag === null ? {} : { etag }), ...extra };
  if (etag !== null && request.headers['if-none-match'] === etag) {
    response.writeHead(304, headers).end();
    return;
  }
  const ifRange = request.headers['if-range'];
  const isSame = ifRange === undefined || (ifRange === etag && !etag.startsWith('W/'));
  const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
  if (range === null || !isSame || file.takesRanges === false) {
    response.writeHead(200, { ...headers, 'content-length': bytes.byteLength });
    response.end(request.method === 'HEAD' ? undefined : bytes);
    return;
  }
  const from = Number(range[1]);
  const to = range[2] === '' ? bytes.byteLength - 1 : Math.min(Number(range[2]), bytes.byteLength - 1);
  if (from > to) {
    response.writeHead(416, { ...headers, 'content-range': `bytes */${bytes.byteLength}` }).end();
    return;
  }
  response.writeHead(206, {
    ...headers,
    'content-range': `bytes ${from}-${to}/${bytes.byteLength}`,
    'content-length': to - from + 1,
  });
  response.end(bytes.subarray(from, to + 1));
}

export function etagOf(bytes: Uint8Array): string {
  return `"${createHash('md5').update(bytes).digest('hex')}"`;
}

/** A fault: the answer begins well and the connection is cut after `afterBytes` of the body. */
export function cutAfter(file: ServedFile, afterBytes: number): Answer {
  return (request, response) => {
    const { end } = response;
    const cut = (body: unknown) => {
      const bytes = body instanceof Uint8Array ? body : new Uint8Array();
      response.write(bytes.subarray(0, afterBytes), () => response.socket?.destroySoon());
      return response;
    };
    response.end = cut as typeof end;
    sendFile(request, response, file);
  };
}

/** A fault: this status and these headers, without a body worth reading. */
export function refuseWith(status: number, headers: http.OutgoingHttpHeaders = {}): Answer {
  return (_request, response) => response.writeHead(status, headers).end();
}
