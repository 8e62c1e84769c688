/**
 * An adapter from a model hub (huggingface.co, or a server that speaks its HTTP API): the revision becomes a commit, the
 * listing of the folder at that commit says which files there are and what the large ones' SHA-256 is, and only then is
 * anything fetched. So what a branch points to may change in between, and the adapter stays of one piece.
 */
import type { IncomingHttpHeaders } from 'node:http';
import { z } from 'zod';
import { ServiceError } from '../../core/errors.ts';
import { hubBaseUrl, hubFileUrl } from '../../models/hub.ts';
import { getJson, type WebBodyOptions, webBody } from '../../models/web-body.ts';
import { type HubSource, shapeOf } from './address.ts';
import { fetchFile, type RemoteFile } from './fetch-file.ts';
import {
  CONFIG_FILE,
  type FetchContext,
  type Fetched,
  GGUF_FILE,
  invalid,
  PEFT_WEIGHTS_FILE,
  type RawFile,
  type RawFileName,
  unavailable,
} from './fetched.ts';
import { namesIn, type Picked, pickFiles } from './pick.ts';

/** What `GET /api/models/{repository}/revision/{revision}` gives; the fields that we read. */
const revisionSchema = z.looseObject({ sha: z.string().regex(/^[0-9a-f]{40,64}$/) });

/** What `GET /api/models/{repository}/tree/{commit}/{folder}` gives: its own entries, not those below. */
const treeSchema = z.array(
  z.looseObject({
    type: z.string(),
    path: z.string(),
    size: z.number().int().nonnegative(),
    /** Of files kept in large-file storage, as weights are: `oid` is the SHA-256 of the content. */
    lfs: z.looseObject({ oid: z.string().regex(/^[0-9a-f]{64}$/) }).optional(),
  }),
);
type TreeEntry = z.infer<typeof treeSchema>[number];

interface Hub {
  readonly base: string;
  readonly web: WebBodyOptions;
  readonly context: FetchContext;
  readonly source: HubSource;
}

/** Fetches what `source` names at the commit that its revision means now. */
export async function fetchHub(
  source: HubSource,
  context: FetchContext,
  signal: AbortSignal,
): Promise<Fetched> {
  const hub = hubOf(source, context);
  const commit = await commitOf(hub, signal);
  const shape = shapeOf(source.path, source.path);
  const folder = shape === 'folder' ? source.path : source.path.replace(/(?:^|\/)[^/]*$/, '');
  const entries = await entriesOf(hub, commit, folder, signal);
  const names = namesIn(
    folder,
    entries.map((entry) => entry.path),
    context.where,
  );
  const picked =
    shape === 'folder'
      ? pickFiles(names, context.where)
      : pickNamed(source.path, shape, names, context.where);
  const entryOf = (name: string) =>
    entries.find((entry) => entry.path === (folder === '' ? name : `${folder}/${name}`)) as TreeEntry;
  const files: RawFile[] = [];
  if (picked.kind === 'peft')
    files.push(
      await fetchFile(remoteFile(hub, commit, entryOf(picked.config), CONFIG_FILE), context, signal),
    );
  const name = picked.kind === 'peft' ? PEFT_WEIGHTS_FILE : GGUF_FILE;
  files.push(await fetchFile(remoteFile(hub, commit, entryOf(picked.weights), name), context, signal));
  return { files, revision: commit };
}

function hubOf(source: HubSource, context: FetchContext): Hub {
  const { clock, environment, limits, where } = context;
  const base = hubBaseUrl(environment);
  const protocol = URL.parse(base)?.protocol;
  if (protocol !== 'https:' && protocol !== 'http:')
    throw new ServiceError(
      'config_invalid',
      `the hub's address ${JSON.stringify(base)} (GREENROOM_HUB_URL or HF_ENDPOINT) is no web address; expected https://host`,
    );
  const token = environment['HF_TOKEN']?.trim() ?? '';
  return {
    base,
    source,
    context,
    web: {
      environment,
      limits,
      nowMs: () => clock.nowMs(),
      speaker: 'the hub',
      refuse: (message, status, headers) => refusal(source, where, message, status, headers, token !== ''),
      ...(token === '' ? {} : { authorization: `Bearer ${token}` }),
    },
  };
}

async function commitOf(hub: Hub, signal: AbortSignal): Promise<string> {
  const revision = encodeURIComponent(hub.source.revision ?? 'main');
  const url = new URL(`${hub.base}/api/models/${hub.source.repository}/revision/${revision}`);
  const { json } = await askHub(url, hub, signal);
  const parsed = revisionSchema.safeParse(json);
  if (!parsed.success) throw unavailable(hub.context.where, `${url.origin} names no commit for the revision`);
  return parsed.data.sha;
}

async function entriesOf(
  hub: Hub,
  commit: string,
  folder: string,
  signal: AbortSignal,
): Promise<readonly TreeEntry[]> {
  const { where, limits } = hub.context;
  const path = folder === '' ? '' : `/${folder.split('/').map(encodeURIComponent).join('/')}`;
  let url: URL | null = new URL(`${hub.base}/api/models/${hub.source.repository}/tree/${commit}${path}`);
  const entries: TreeEntry[] = [];
  while (url !== null) {
    const { json, headers } = await askHub(url, hub, signal);
    const parsed = treeSchema.safeParse(json);
    if (!parsed.success)
      throw unavailable(
        where,
        `${url.origin} sent no listing: ${z.prettifyError(parsed.error).slice(0, 300)}`,
      );
    entries.push(...parsed.data.filter((entry) => entry.type === 'file'));
    if (entries.length > limits.listedFilesMax)
      throw invalid(
        where,
        `it holds more than ${limits.listedFilesMax} files; name the adapter's own folder`,
      );
    const next: URL | null = parsed.data.length === 0 ? null : nextPage(headers['link'], url);
    if (next !== null && next.origin !== url.origin)
      throw unavailable(where, `${url.origin} continues its listing at ${next.origin}`);
    url = next;
  }
  return entries;
}

function askHub(url: URL, hub: Hub, signal: AbortSignal) {
  const { clock, limits, where } = hub.context;
  const fail = (message: string, cause: unknown) => unavailable(where, `${url.origin}: ${message}`, cause);
  return getJson(url, { ...hub.web, clock, bytesMax: limits.answerBytesMax, fail }, signal);
}

/** RFC 8288: `<https://…?cursor=…>; rel="next"`. */
function nextPage(link: string | string[] | undefined, from: URL): URL | null {
  const match = /<([^>]{1,2000})>;\s*rel="?next"?/.exec(Array.isArray(link) ? link.join(', ') : (link ?? ''));
  return match?.[1] === undefined ? null : URL.parse(match[1], from.href);
}

function pickNamed(
  path: string,
  shape: 'gguf' | 'safetensors',
  names: readonly string[],
  where: string,
): Picked {
  const weights = path.slice(path.lastIndexOf('/') + 1);
  if (!names.includes(weights)) throw invalid(where, `there is no ${weights} at that revision`);
  if (shape === 'gguf') return { kind: 'gguf', weights };
  if (!names.includes(CONFIG_FILE))
    throw invalid(where, `${CONFIG_FILE} is missing beside ${weights}; it holds rank and alpha`);
  return { kind: 'peft', config: CONFIG_FILE, weights };
}

function remoteFile(hub: Hub, commit: string, entry: TreeEntry, name: RawFileName): RemoteFile {
  const { where } = hub.context;
  const listed = entry.lfs?.oid ?? null;
  const wanted = name === CONFIG_FILE ? null : hub.context.sha256;
  if (listed !== null && wanted !== null && listed !== wanted)
    throw new ServiceError(
      'digest_mismatch',
      `${where}: the hub says that ${entry.path} has SHA-256 ${listed}, expected ${wanted}`,
      { details: { sha256: listed, expected: wanted } },
    );
  const url = hubFileUrl(hub.base, hub.source.repository, commit, entry.path);
  return {
    name,
    address: url.href,
    source: 'hub',
    bytes: entry.size,
    sha256: wanted ?? listed,
    isImmutable: true,
    open: () => webBody(url, hub.web),
  };
}

/** The hub says in headers what it means; without a token it calls private and absent alike (401). */
function refusal(
  source: HubSource,
  where: string,
  message: string,
  status: number | null,
  headers: IncomingHttpHeaders,
  hasToken: boolean,
): ServiceError {
  const code = String(headers['x-error-code'] ?? '');
  const revision = source.revision ?? 'main';
  if (code === 'GatedRepo')
    return unavailable(
      where,
      `${message}: the repository is gated; accept its terms on the hub's page, and set HF_TOKEN to a token of that account`,
    );
  if (status === 401 || status === 403)
    return unavailable(
      where,
      hasToken
        ? `${message}: HF_TOKEN may not read ${source.repository}, or there is no such repository`
        : `${message}: there is no repository ${source.repository}, or it is private; set HF_TOKEN for a private one`,
    );
  if (status !== 404) return unavailable(where, message);
  if (code === 'RevisionNotFound')
    return invalid(where, `${message}: ${source.repository} has no revision ${revision}`, { status });
  if (code === 'RepoNotFound')
    return invalid(where, `${message}: there is no repository ${source.repository}`, { status });
  return invalid(
    where,
    `${message}: there is no ${source.path === '' ? 'such place' : source.path} in ${source.repository} at ${revision}`,
    { status },
  );
}
