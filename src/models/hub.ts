/**
 * A model hub over HTTP as a source: one file by repository and revision. An unreachable hub is given up within
 * `connectTimeoutMs`, because the next source may be near. The digest, not the connection, decides whether the bytes are
 * right, so mirrors and redirects need no trust.
 */
import { ServiceError } from '../core/errors.ts';
import type { Clock } from '../core/runtime.ts';
import type { ModelArtefact } from './catalogue.ts';
import { DEFAULT_DOWNLOAD_LIMITS, type DownloadLimits, download } from './download.ts';
import type { PartialFile } from './partial.ts';
import type { ProgressMeter } from './progress.ts';
import { webBody } from './web-body.ts';

const DEFAULT_HUB_URL = 'https://huggingface.co';

export interface HubOptions {
  /** Scheme and host, perhaps a path: `https://huggingface.co`. */
  readonly baseUrl: string;
  /** Proxy settings are read from here (HTTPS_PROXY, NO_PROXY). */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly limits?: Partial<DownloadLimits>;
}

/** GREENROOM_HUB_URL, else HF_ENDPOINT, else the public hub; without a slash at the end. */
export function hubBaseUrl(environment: Readonly<Record<string, string | undefined>>): string {
  const base = environment['GREENROOM_HUB_URL'] || environment['HF_ENDPOINT'] || DEFAULT_HUB_URL;
  return base.replace(/\/+$/, '');
}

/** The address of a model at a hub. */
export function hubUrl(baseUrl: string, model: ModelArtefact): URL {
  const { repository, revision, path } = model.hub;
  return hubFileUrl(baseUrl, repository, revision, path);
}

/** The address of a file in a repository at a hub. */
export function hubFileUrl(baseUrl: string, repository: string, revision: string, path: string): URL {
  const escaped = path.split('/').map(encodeURIComponent).join('/');
  const base = baseUrl.replace(/\/+$/, '');
  return new URL(`${base}/${repository}/resolve/${encodeURIComponent(revision)}/${escaped}`);
}

/**
 * Appends what is missing to `partial`. Returns when it is whole; throws `model_unavailable` with the reason
 * otherwise, leaving what came for the next try. Aborting closes the connection and rejects with the signal's reason.
 */
export async function fetchFromHub(
  model: ModelArtefact,
  partial: PartialFile,
  meter: ProgressMeter,
  options: HubOptions,
  signal: AbortSignal,
): Promise<void> {
  const { clock, environment } = options;
  const limits = { ...DEFAULT_DOWNLOAD_LIMITS, ...options.limits };
  const url = hubUrl(options.baseUrl, model);
  const fail = (message: string, cause?: unknown) =>
    new ServiceError('model_unavailable', `${url.origin}: ${message}`, { cause });
  const open = webBody(url, {
    environment,
    limits,
    nowMs: () => clock.nowMs(),
    speaker: 'the hub',
    refuse: (message) => fail(message),
  });
  await download(partial, open, { clock, limits, meter, source: 'hub', version: null, fail }, signal);
}
