/** An adapter from a web server: one GGUF file, or PEFT's config and weights beside each other. Nothing is listed. */
import type { IncomingHttpHeaders } from 'node:http';
import type { ServiceError } from '../../core/errors.ts';
import { webBody } from '../../models/web-body.ts';
import { type WebSource, withoutQuery } from './address.ts';
import { type FetchedFile, fetchFile, type RemoteFile } from './fetch-file.ts';
import {
  CONFIG_FILE,
  type FetchContext,
  type Fetched,
  GGUF_FILE,
  invalid,
  PEFT_WEIGHTS_FILE,
  type RawFileName,
  unavailable,
} from './fetched.ts';

/** Fetches what `source` names; a query (a signature, say) goes with each of the files. */
export async function fetchWeb(
  source: WebSource,
  context: FetchContext,
  signal: AbortSignal,
): Promise<Fetched> {
  const base = new URL(source.url);
  const files: FetchedFile[] = [];
  for (const { url, name } of filesAt(base, source.shape))
    files.push(await fetchFile(remoteFile(url, name, context), context, signal));
  const weights = files.at(-1) as FetchedFile;
  return { files, revision: weights.version };
}

function filesAt(
  base: URL,
  shape: WebSource['shape'],
): readonly { readonly url: URL; readonly name: RawFileName }[] {
  if (shape === 'gguf') return [{ url: base, name: GGUF_FILE }];
  return [
    { url: beside(base, CONFIG_FILE), name: CONFIG_FILE },
    { url: shape === 'safetensors' ? base : beside(base, PEFT_WEIGHTS_FILE), name: PEFT_WEIGHTS_FILE },
  ];
}

function beside(base: URL, name: string): URL {
  const url = new URL(name, base);
  url.search = base.search;
  return url;
}

function remoteFile(url: URL, name: RawFileName, context: FetchContext): RemoteFile {
  const { clock, environment, limits, where } = context;
  return {
    name,
    address: withoutQuery(url.href),
    source: 'web',
    bytes: null,
    sha256: name === CONFIG_FILE ? null : context.sha256,
    isImmutable: false,
    open: (unlessVersion) =>
      webBody(url, {
        environment,
        limits,
        nowMs: () => clock.nowMs(),
        speaker: 'the server',
        refuse: (message, status, headers) => refusal(where, name, message, status, headers),
        ...(unlessVersion === null ? {} : { unlessVersion }),
      }),
  };
}

function refusal(
  where: string,
  name: RawFileName,
  message: string,
  status: number | null,
  _headers: IncomingHttpHeaders,
): ServiceError {
  if (status === 404 || status === 410) return invalid(where, `${message}: there is no ${name}`, { status });
  if (status === 401 || status === 403)
    return unavailable(
      where,
      `${message}: it wants a permission; sign the address, or serve it where none is wanted`,
    );
  return unavailable(where, message);
}
