/**
 * The body of a file over http or https, whole or from a byte on. Redirects are followed a bounded number of times, never
 * to another kind of address and never from https to http; what authorises us goes to the first origin alone.
 */
import http from 'node:http';
import https from 'node:https';
import type { ServiceError } from '../core/errors.ts';
import type { Clock } from '../core/runtime.ts';
import {
  Broken,
  type DownloadLimits,
  type OpenBody,
  type OpenedBody,
  patiently,
  type Watch,
} from './download.ts';

export interface WebBodyOptions {
  /** Proxy settings are read from here (HTTPS_PROXY, NO_PROXY). */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly limits: DownloadLimits;
  /** The value of the Authorization header; sent to the first origin and to no other. */
  readonly authorization?: string;
  /** The caller has this version whole: an answer of 304 is `unchanged`. */
  readonly unlessVersion?: string;
  readonly nowMs: () => number;
  /** How the message of an error calls who answered: `the hub`. */
  readonly speaker: string;
  /** An answer that no patience mends. Its `status` is null for what is no answer (a redirect in circles). */
  readonly refuse: (
    message: string,
    status: number | null,
    headers: http.IncomingHttpHeaders,
  ) => ServiceError;
}

/** A GET with its redirects followed. The response is the caller's to end. */
export async function getWeb(
  url: URL,
  headers: http.OutgoingHttpHeaders,
  options: WebBodyOptions,
  watch: Watch,
): Promise<http.IncomingMessage> {
  let target = url;
  for (let redirects = 0; ; redirects++) {
    if (redirects > 0) watch.connecting();
    const isHome = target.origin === url.origin;
    const response = await request(
      target,
      {
        'user-agent': 'greenroom',
        'accept-encoding': 'identity',
        ...headers,
        ...(options.authorization !== undefined && isHome ? { authorization: options.authorization } : {}),
      },
      options,
      watch,
    );
    const { location } = response.headers;
    const status = response.statusCode ?? 0;
    if (status < 300 || status >= 400 || location === undefined) return response;
    response.destroy();
    if (redirects >= options.limits.redirectsMax)
      throw options.refuse(
        `more than ${options.limits.redirectsMax} redirects, the last to ${target.origin}`,
        null,
        {},
      );
    target = redirected(location, target, options);
  }
}

/**
 * A JSON document of at most `bytesMax` bytes, with the headers that came with it. Tried again as a file is; throws what
 * `refuse` or `fail` makes otherwise.
 */
export function getJson(
  url: URL,
  options: WebBodyOptions & {
    readonly clock: Clock;
    readonly bytesMax: number;
    readonly fail: (message: string, cause: unknown) => ServiceError;
  },
  signal: AbortSignal,
): Promise<{ readonly json: unknown; readonly headers: http.IncomingHttpHeaders }> {
  return patiently(
    async (watch) => {
      const response = await getWeb(url, { accept: 'application/json' }, options, watch);
      try {
        requireAnswer(url, response, options);
        const text = await boundedText(response, options, watch);
        return { json: JSON.parse(text), headers: response.headers };
      } catch (error) {
        if (!(error instanceof SyntaxError)) throw error;
        throw options.refuse(`${options.speaker} sent no JSON for ${url.pathname}`, 200, {});
      } finally {
        response.destroy();
      }
    },
    options,
    signal,
  );
}

async function boundedText(
  response: http.IncomingMessage,
  options: WebBodyOptions & { readonly bytesMax: number },
  watch: Watch,
): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response) {
    watch.heard();
    bytes += (chunk as Buffer).byteLength;
    if (bytes > options.bytesMax)
      throw options.refuse(
        `${options.speaker} sent an answer of more than ${options.bytesMax} bytes`,
        200,
        {},
      );
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** Opens the file at `url` for `download`. */
export function webBody(url: URL, options: WebBodyOptions): OpenBody {
  return async ({ bytes, version }, watch) => {
    const response = await getWeb(
      url,
      {
        ...(bytes > 0 ? { range: `bytes=${bytes}-` } : {}),
        ...(bytes > 0 && version !== null ? { 'if-range': version } : {}),
        ...(bytes === 0 && options.unlessVersion !== undefined
          ? { 'if-none-match': options.unlessVersion }
          : {}),
      },
      options,
      watch,
    );
    try {
      return accept(url, response, bytes, options);
    } catch (error) {
      response.destroy();
      throw error;
    }
  };
}

function accept(
  url: URL,
  response: http.IncomingMessage,
  askedFromBytes: number,
  options: WebBodyOptions,
): OpenedBody | 'unchanged' | 'shorter' {
  const { headers } = response;
  const status = response.statusCode ?? 0;
  const opened = { version: strongVersion(headers.etag), body: response, close: () => response.destroy() };
  if (status === 206) {
    const range = contentRange(headers['content-range']);
    if (range === null || askedFromBytes === 0)
      throw options.refuse(
        `${options.speaker} sent a part of the file that was not asked for`,
        status,
        headers,
      );
    return { ...opened, ...range };
  }
  if (status === 200) {
    if (headers['content-encoding'] !== undefined && headers['content-encoding'] !== 'identity')
      throw options.refuse(
        `${options.speaker} sent the file packed (content-encoding ${headers['content-encoding']}), which was not asked for`,
        status,
        headers,
      );
    const length = headers['content-length'];
    // Without either, a connection that breaks looks like the end of the file.
    if (length === undefined && !/chunked/i.test(headers['transfer-encoding'] ?? ''))
      throw options.refuse(`${options.speaker} does not say how long the file is`, status, headers);
    return { ...opened, fromBytes: 0, totalBytes: length === undefined ? null : Number(length) };
  }
  if (status === 304 && options.unlessVersion !== undefined) {
    response.destroy();
    return 'unchanged';
  }
  if (status === 416 && askedFromBytes > 0) {
    response.destroy();
    return 'shorter';
  }
  requireAnswer(url, response, options);
  throw options.refuse(`${options.speaker} answered ${status} for ${url.pathname}`, status, headers);
}

/** Throws unless the status is 200: `Broken` where the server asks for patience. */
function requireAnswer(url: URL, response: http.IncomingMessage, options: WebBodyOptions): void {
  const { headers } = response;
  const status = response.statusCode ?? 0;
  if (status === 200) return;
  const message = `${options.speaker} answered ${status} for ${url.pathname}`;
  if (status === 429 || status >= 500)
    throw new Broken(message, {
      isAnswer: true,
      retryAfterMs: retryAfterMs(headers['retry-after'], options.nowMs()),
    });
  throw options.refuse(message, status, headers);
}

/** RFC 9110 §10.2.3: seconds, or a date. 0 when there is none that can be read. */
export function retryAfterMs(value: string | undefined, nowMs: number): number {
  if (value === undefined) return 0;
  if (/^\d{1,9}$/.test(value.trim())) return Number(value) * 1000;
  const atMs = Date.parse(value);
  return Number.isNaN(atMs) ? 0 : Math.max(0, atMs - nowMs);
}

/** RFC 9110 §14.4: `bytes 5-9/10`; null when it is not that. */
export function contentRange(
  value: string | undefined,
): { readonly fromBytes: number; readonly totalBytes: number | null } | null {
  const match = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(value ?? '');
  if (match === null) return null;
  return { fromBytes: Number(match[1]), totalBytes: match[2] === '*' ? null : Number(match[2]) };
}

/** A weak ETag says "as good as the same", which bytes are not (RFC 9110 §8.8.1, §13.1.5). */
export function strongVersion(etag: string | undefined): string | null {
  return etag !== undefined && /^"[\u0021\u0023-\u007e\u0080-\u00ff]{1,256}"$/.test(etag) ? etag : null;
}

function request(
  target: URL,
  headers: http.OutgoingHttpHeaders,
  options: WebBodyOptions,
  watch: Watch,
): Promise<http.IncomingMessage> {
  const isSecure = target.protocol === 'https:';
  const agentOptions = { proxyEnv: { ...options.environment } as NodeJS.ProcessEnv };
  const agent = isSecure ? new https.Agent(agentOptions) : new http.Agent(agentOptions);
  return new Promise((resolve, reject) => {
    const sent = (isSecure ? https : http).request(target, { headers, agent, signal: watch.signal });
    sent.once('socket', (socket) => {
      // Without an event in between the socket was connected already (a proxy's).
      if (!socket.connecting) watch.heard();
      socket.once(isSecure ? 'secureConnect' : 'connect', () => watch.heard());
    });
    sent.once('response', (response) => {
      watch.heard();
      resolve(response);
    });
    sent.once('error', (error) => reject(watch.explain(error)));
    sent.end();
  });
}

function redirected(location: string, from: URL, options: WebBodyOptions): URL {
  const target = URL.parse(location, from.href);
  const shown = JSON.stringify(location.replace(/\?.*/, '?…').slice(0, 200));
  if (target === null || (target.protocol !== 'https:' && target.protocol !== 'http:'))
    throw options.refuse(`a redirect to ${shown}, which is no web address`, null, {});
  if (from.protocol === 'https:' && target.protocol !== 'https:')
    throw options.refuse(`a redirect to ${shown}, from https to http, where anybody may change it`, null, {});
  return target;
}
