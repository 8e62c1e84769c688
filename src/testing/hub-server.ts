/**
 * A model hub on loopback with the real one's addresses, headers and refusals (huggingface.co, as its clients meet it):
 * `/api/models/{repository}/revision/{revision}`, `/tree/{revision}/{folder}` in pages, `/resolve/{revision}/{path}`, which
 * sends large files on to another origin. Large files are those in large-file storage: all weights.
 */
import { createHash } from 'node:crypto';
import type http from 'node:http';
import { type FileServer, startFileServer } from './file-server.ts';

export interface HubRepository {
  /** Commit → path → content. */
  readonly commits: Map<string, ReadonlyMap<string, Uint8Array>>;
  /** Branches and tags → commit. */
  readonly revisions: Map<string, string>;
  readonly access: 'public' | 'private' | 'gated';
}

export interface HubServer extends AsyncDisposable {
  readonly url: string;
  readonly repositories: Map<string, HubRepository>;
  /** The hub's own requests and faults. */
  readonly hub: FileServer;
  /** Where large files lie: another origin, as the real one's. */
  readonly store: FileServer;
}

const TOKEN = 'hf_right';
/** Entries of one page of a listing; the real one's is larger. */
const PAGE_ENTRIES = 3;

export async function startHubServer(): Promise<HubServer> {
  const repositories = new Map<string, HubRepository>();
  const store = await startFileServer();
  const hub = await startFileServer({
    first: (request, response, self) => answer(request, response, repositories, store, self.url),
  });
  return {
    url: hub.url,
    repositories,
    hub,
    store,
    [Symbol.asyncDispose]: async () => {
      await hub[Symbol.asyncDispose]();
      await store[Symbol.asyncDispose]();
    },
  };
}

function answer(
  request: http.IncomingMessage,
  response: http.ServerResponse,
  repositories: ReadonlyMap<string, HubRepository>,
  store: FileServer,
  origin: string,
): true {
  const url = new URL(request.url ?? '/', origin);
  const match =
    /^(?:\/api\/models)?\/([^/]+\/[^/]+)\/(revision|tree|resolve)\/([^/]+)(?:\/(.*))?$/.exec(url.pathname) ??
    [];
  const repository = repositories.get(match[1] ?? '');
  const { authorization } = request.headers;
  if (repository === undefined || (repository.access === 'private' && authorization !== `Bearer ${TOKEN}`))
    return authorization === undefined
      ? refuse(response, 401, 'RepoNotFound', 'Invalid username or password.')
      : refuse(response, 404, 'RepoNotFound', 'Repository not found');
  if (repository.access === 'gated' && match[2] === 'resolve' && authorization !== `Bearer ${TOKEN}`)
    return refuse(response, authorization === undefined ? 401 : 403, 'GatedRepo', 'Access is restricted.');
  const revision = decodeURIComponent(match[3] ?? '');
  const commit = repository.revisions.get(revision) ?? revision;
  const files = repository.commits.get(commit);
  if (files === undefined) return refuse(response, 404, 'RevisionNotFound', `Invalid rev id: ${revision}`);
  const path = decodeURIComponent(match[4] ?? '');
  if (match[2] === 'revision') return sendJson(response, { id: match[1], sha: commit, siblings: [] });
  if (match[2] === 'tree') return sendTree(response, files, path, url);
  const bytes = files.get(path);
  if (bytes === undefined) return refuse(response, 404, 'EntryNotFound', 'Entry not found');
  return resolveFile(response, path, bytes, commit, store);
}

function resolveFile(
  response: http.ServerResponse,
  path: string,
  bytes: Uint8Array,
  commit: string,
  store: FileServer,
): true {
  if (isLarge(path)) {
    const sha256 = sha256Of(bytes);
    store.files.set(`/${sha256}`, { bytes });
    response
      .writeHead(302, {
        location: `${store.url}/${sha256}?signature=short-lived`,
        'x-repo-commit': commit,
        'x-linked-etag': `"${sha256}"`,
        'x-linked-size': bytes.byteLength,
      })
      .end();
    return true;
  }
  response
    .writeHead(200, {
      'content-length': bytes.byteLength,
      etag: `"${gitOid(bytes)}"`,
      'x-repo-commit': commit,
    })
    .end(bytes);
  return true;
}

function sendTree(
  response: http.ServerResponse,
  files: ReadonlyMap<string, Uint8Array>,
  folder: string,
  url: URL,
): true {
  const prefix = folder === '' ? '' : `${folder}/`;
  const entries = new Map<string, object>();
  for (const [path, bytes] of files) {
    if (!path.startsWith(prefix)) continue;
    const name = path.slice(prefix.length).replace(/\/.*/, '');
    const entry = `${prefix}${name}`;
    entries.set(
      entry,
      path !== entry
        ? { type: 'directory', oid: gitOid(Buffer.from(entry)), size: 0, path: entry }
        : {
            type: 'file',
            oid: gitOid(bytes),
            size: bytes.byteLength,
            path,
            ...(isLarge(path)
              ? { lfs: { oid: sha256Of(bytes), size: bytes.byteLength, pointerSize: 134 } }
              : {}),
          },
    );
  }
  if (entries.size === 0) return refuse(response, 404, 'EntryNotFound', `${folder} does not exist`);
  const from = Number(url.searchParams.get('cursor') ?? 0);
  const page = [...entries.values()].slice(from, from + PAGE_ENTRIES);
  if (from + PAGE_ENTRIES < entries.size) {
    const next = new URL(url);
    next.searchParams.set('cursor', String(from + PAGE_ENTRIES));
    response.setHeader('link', `<${next.href}>; rel="next"`);
  }
  return sendJson(response, page);
}

function sendJson(response: http.ServerResponse, body: unknown): true {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  return true;
}

function refuse(response: http.ServerResponse, status: number, code: string, message: string): true {
  response
    .writeHead(status, {
      'x-error-code': code,
      'x-error-message': message,
      'content-type': 'application/json',
    })
    .end(JSON.stringify({ error: message }));
  return true;
}

const isLarge = (path: string) => /\.(?:safetensors|gguf|bin)$/.test(path);
const sha256Of = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const gitOid = (bytes: Uint8Array) =>
  createHash('sha1').update(`blob ${bytes.byteLength}\0`).update(bytes).digest('hex');
