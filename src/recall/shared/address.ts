/** The address of the shared tier, read once: what cannot be read is a fault of the configuration, not of the server. */
import { readFileSync } from 'node:fs';
import { ServiceError } from '../../core/errors.ts';
import type { SharedRecallOptions } from './options.ts';

export interface SharedAddress {
  /** For people and logs, without the password. */
  readonly shown: string;
  readonly at: { readonly host: string; readonly port: number } | { readonly path: string };
  /** Null: no TLS. Its certificate must be for the host, signed by `ca` (PEM; null: by whom the system trusts). */
  readonly tls: { readonly ca: string | null } | null;
  readonly username: string | null;
  readonly password: string | null;
  readonly database: number;
}

const PORT = 6_379;
const PLAIN = new Set(['redis:', 'valkey:']);
const TLS = new Set(['rediss:', 'valkeys:']);
const EXPECTED =
  'expected redis://user@host:6379/0, rediss://… for TLS, or unix:///path/to.sock, in recall.shared.url';

/**
 * Null where no address is given. Throws `config_invalid` for one that cannot be read, a password that is not set, or a
 * file of authorities that is not there.
 */
export function sharedAddress(
  options: Pick<SharedRecallOptions, 'url' | 'passwordEnv' | 'caFile'>,
  environment: Readonly<Record<string, string | undefined>>,
): SharedAddress | null {
  const { url: text, passwordEnv } = options;
  if (text === undefined) return null;
  const url = URL.parse(text);
  // The text itself may carry a password, so it is not repeated.
  if (url === null) throw invalid(`the address of the shared tier cannot be read; ${EXPECTED}`);
  const secret = passwordEnv === undefined ? null : secretOf(passwordEnv, environment);
  const password = secret ?? (url.password === '' ? null : decoded(url.password));
  const account = {
    username: url.username === '' ? null : decoded(url.username),
    password,
  };
  if (url.password !== '') url.password = '***';
  const shown = url.href;
  if (url.protocol === 'unix:') {
    const path = decoded(url.pathname);
    if (url.host !== '' || path.length < 2)
      throw invalid(`the address ${shown} of the shared tier names no socket; ${EXPECTED}`);
    return { ...account, shown, at: { path }, tls: null, database: databaseOf(url.hash.slice(1), shown) };
  }
  if (!PLAIN.has(url.protocol) && !TLS.has(url.protocol))
    throw invalid(`the address of the shared tier begins with "${url.protocol}"; ${EXPECTED}`);
  const host = url.hostname.replace(/^\[|\]$/gu, '');
  if (host === '') throw invalid(`the address ${shown} of the shared tier names no host; ${EXPECTED}`);
  return {
    ...account,
    shown,
    at: { host, port: url.port === '' ? PORT : Number(url.port) },
    tls: TLS.has(url.protocol) ? { ca: authority(options.caFile) } : null,
    database: databaseOf(url.pathname.slice(1), shown),
  };
}

function databaseOf(text: string, shown: string): number {
  if (text === '') return 0;
  if (!/^\d{1,5}$/u.test(text))
    throw invalid(
      `the address ${shown} of the shared tier ends in "${text}", which is no number; ${EXPECTED}`,
    );
  return Number(text);
}

function authority(file: string | undefined): string | null {
  if (file === undefined) return null;
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw invalid(
      `recall.shared.caFile names ${file}, which cannot be read (${(error as NodeJS.ErrnoException).code}); name a PEM file, or take the option out`,
    );
  }
}

function secretOf(name: string, environment: Readonly<Record<string, string | undefined>>): string {
  const value = environment[name];
  if (value !== undefined && value !== '') return value;
  throw invalid(
    `recall.shared.passwordEnv names the environment variable ${name}, which is not set; set it, or take the option out`,
  );
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw invalid(
      `the address of the shared tier has a % that begins no escape; write it as %25, in recall.shared.url`,
    );
  }
}

function invalid(message: string): ServiceError {
  return new ServiceError('config_invalid', message);
}
