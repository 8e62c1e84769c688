/**
 * The end of a job, told to a game server: one POST, signed as Standard Webhooks says (standardwebhooks.com, v1), only to
 * hosts that the configuration names, redirects not followed. Telling is at least once: `webhook-id` is the job's, so a
 * receiver can drop what it has heard.
 */
import { createHmac } from 'node:crypto';
import { ServiceError } from '../core/errors.ts';
import { readBody, type Transport } from '../core/transport.ts';
import type { JobsOptions } from './options.ts';

const REPLY_BYTES_MAX = 64_000;

export interface WebhookOptions {
  readonly hosts: JobsOptions['webhookHosts'];
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** A connection to this origin, disposed after the call; must not follow redirects. */
  readonly connect: (origin: string) => Transport;
}

export interface WebhookMessage {
  readonly url: string;
  readonly id: string;
  /** Epoch seconds of this attempt. */
  readonly timestampS: number;
  readonly body: string;
}

export class Webhooks {
  readonly #secrets = new Map<string, Buffer>();
  readonly #connect: WebhookOptions['connect'];

  /** Throws `config_invalid` for a host whose secret is not in the environment. */
  constructor({ hosts, environment, connect }: WebhookOptions) {
    this.#connect = connect;
    for (const { host, secretEnv } of hosts) {
      const secret = environment[secretEnv] ?? '';
      if (secret === '')
        throw new ServiceError(
          'config_invalid',
          `jobs.webhookHosts names ${host}, whose secret is to be in the environment variable ${secretEnv}, which is not set; set it to a long random text`,
        );
      this.#secrets.set(host, keyOf(secret));
    }
  }

  /** Throws `bad_request` unless the configuration allows this address. */
  check(address: string): void {
    const url = URL.parse(address);
    if (url === null || url.username !== '' || url.password !== '' || url.hash !== '')
      throw refused('webhook.url is no plain address; expected https://host/path');
    if (!this.#secrets.has(url.host))
      throw refused(
        `webhook.url leads to the host ${url.host}, which is not in jobs.webhookHosts; ${this.#secrets.size === 0 ? 'webhooks are off' : `allowed: ${[...this.#secrets.keys()].join(', ')}`}`,
      );
    if (url.protocol !== 'https:' && !(url.protocol === 'http:' && isThisMachine(url.hostname)))
      throw refused(
        `webhook.url begins with ${url.protocol}; expected https:// (http:// only on this machine)`,
      );
  }

  /**
   * Sends one message; resolves when the host took it (2xx). Throws `bad_request` for an address that is not allowed any
   * more, `engine_unavailable` when no reply came, `engine_error` for any other status, a redirect among them.
   */
  async send({ url: address, id, timestampS, body }: WebhookMessage, signal: AbortSignal): Promise<void> {
    this.check(address);
    const url = new URL(address);
    const secret = this.#secrets.get(url.host) ?? Buffer.alloc(0);
    await using transport = this.#connect(url.origin);
    const reply = await transport.exchange(
      {
        method: 'POST',
        path: url.pathname + url.search,
        headers: {
          'content-type': 'application/json',
          'webhook-id': id,
          'webhook-timestamp': String(timestampS),
          'webhook-signature': signatureOf(secret, { id, timestampS, body }),
        },
        body,
      },
      signal,
    );
    await readBody(reply.body, REPLY_BYTES_MAX).catch(() => {});
    if (reply.status < 200 || reply.status > 299)
      throw new ServiceError(
        'engine_error',
        `the webhook at ${url.host} answered ${reply.status}, expected 2xx`,
        {
          details: { status: reply.status },
        },
      );
  }
}

/** `v1,` and the Base64 of HMAC-SHA256 over `id.timestamp.body`. */
export function signatureOf(secret: Buffer, { id, timestampS, body }: Omit<WebhookMessage, 'url'>): string {
  return `v1,${createHmac('sha256', secret).update(`${id}.${timestampS}.${body}`).digest('base64')}`;
}

/** `whsec_` and Base64, as Standard Webhooks writes secrets; anything else is taken as it is. */
export function keyOf(secret: string): Buffer {
  return secret.startsWith('whsec_') ? Buffer.from(secret.slice(6), 'base64') : Buffer.from(secret);
}

function isThisMachine(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(?:\.\d{1,3}){3}$/.test(hostname);
}

function refused(message: string): ServiceError {
  return new ServiceError('bad_request', message, { details: { field: 'webhook.url' } });
}
