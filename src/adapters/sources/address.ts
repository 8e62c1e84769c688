/**
 * Where an adapter comes from, as people write it and as the fetchers take it: `./folder`, `./file.gguf`,
 * `https://host/folder/`, `hf://owner/repo@revision/folder`, `s3://bucket/prefix`, each perhaps with `#sha256=…` for the
 * weights file. Invariant: what parses has no name in it that could leave a folder, no credentials and no control
 * character, and `formatSource` writes it back so that it parses to the same.
 */
import { resolve } from 'node:path';
import { ServiceError } from '../../core/errors.ts';

/** Which files a place holds: a folder of both, or one file. A `.safetensors` has its config beside it. */
export type SourceShape = 'folder' | 'safetensors' | 'gguf';

interface Expecting {
  /** Of the weights file as it lies at the source, lower-case hexadecimal; null when nobody said. */
  readonly sha256: string | null;
}

export interface LocalSource extends Expecting {
  readonly kind: 'local';
  /** As written; relative to the working directory. Whether it is a file or a folder, the disk says. */
  readonly path: string;
}

export interface WebSource extends Expecting {
  readonly kind: 'web';
  readonly shape: SourceShape;
  /** http or https, without a fragment; a folder ends with `/`. A query is kept: it may be what signs the address. */
  readonly url: string;
}

export interface HubSource extends Expecting {
  readonly kind: 'hub';
  /** `owner/name`. */
  readonly repository: string;
  /** A branch, tag or commit; null is the repository's `main`. */
  readonly revision: string | null;
  /** Folder or file inside the repository, without a slash at either end; empty is the repository itself. */
  readonly path: string;
}

export interface BucketSource extends Expecting {
  readonly kind: 'bucket';
  readonly bucket: string;
  /** Prefix of the folder, or the key of a file, without a slash at either end; empty is the bucket itself. */
  readonly key: string;
}

export type AdapterSource = LocalSource | WebSource | HubSource | BucketSource;

const LENGTH_MAX = 2_048;
/** S3's own limit, in bytes of UTF-8. */
const KEY_BYTES_MAX = 1_024;
const ACCEPTED =
  './folder, ./adapter.gguf, https://host/folder/, https://host/adapter.gguf, hf://owner/repository@revision/folder or s3://bucket/prefix';
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;
const ARCHIVE = /\.(?:zip|tar|tgz|gz|bz2|xz|zst|7z|rar)$/i;
const PICKLE = /\.(?:bin|pt|pth|pkl|pickle|ckpt|npy|npz|joblib)$/i;

/** Reads a source as an operator writes it. Throws `bad_request` with what is wrong and what would be right. */
export function parseSource(text: string): AdapterSource {
  if (text === '') throw refused(text, `it is empty; expected ${ACCEPTED}`);
  if (text.length > LENGTH_MAX)
    throw refused(text, `it has ${text.length} characters; at most ${LENGTH_MAX} are read`);
  if (CONTROL.test(text) || !text.isWellFormed())
    throw refused(text, 'it has a control character or half a character in it');
  const { place, sha256 } = splitDigest(text);
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):\/\//.exec(place)?.[1]?.toLowerCase();
  if (scheme === undefined) return { ...parseLocal(place, text), sha256 };
  const rest = place.slice(scheme.length + 3);
  if (scheme === 'http' || scheme === 'https') return { ...parseWeb(place, text), sha256 };
  if (scheme === 'hf') return { ...parseHub(rest, text), sha256 };
  if (scheme === 's3') return { ...parseBucket(rest, text), sha256 };
  throw refused(text, `${scheme}:// is no source of adapters; expected ${ACCEPTED}`);
}

/** The text that parses to this source. With a web address's query, which may carry a signature. */
export function formatSource(source: AdapterSource): string {
  const digest = source.sha256 === null ? '' : `#sha256=${source.sha256}`;
  return `${placeOf(source)}${digest}`;
}

/** The same for logs, records and errors: without digest and query. */
export function describeSource(source: AdapterSource): string {
  return source.kind === 'web' ? withoutQuery(source.url) : placeOf(source);
}

/** A local source by its absolute path, so that it means the same in another process; others as they are. */
export function absoluteSource(source: AdapterSource, workingDirectory: string): AdapterSource {
  return source.kind === 'local' ? { ...source, path: resolve(workingDirectory, source.path) } : source;
}

/** What the name of a place tells. Refuses what we never read: pickle files run code, archives hide names. */
export function shapeOf(path: string, text: string): SourceShape {
  const name = path.slice(path.lastIndexOf('/') + 1);
  if (name.toLowerCase().endsWith('.gguf')) return 'gguf';
  if (name.toLowerCase().endsWith('.safetensors')) return 'safetensors';
  if (PICKLE.test(name))
    throw refused(
      text,
      `${name} is a pickle or array file, which can run code when it is read; save the adapter as safetensors (PEFT: save_pretrained with safe_serialization=True)`,
    );
  if (ARCHIVE.test(name)) throw refused(text, `archives are not unpacked; give the folder's own address`);
  return 'folder';
}

/** An address for people and records: a query may be a signature, which stays out of both. */
export function withoutQuery(url: string): string {
  const end = url.indexOf('?');
  return end < 0 ? url : url.slice(0, end);
}

function placeOf(source: AdapterSource): string {
  switch (source.kind) {
    case 'local':
      return /^(?:\/|\.\.?(?:\/|$)|[A-Za-z]:[\\/])/.test(source.path) ? source.path : `./${source.path}`;
    case 'web':
      return source.url;
    case 'hub': {
      const revision = source.revision === null ? '' : `@${source.revision.replaceAll('/', '%2F')}`;
      return `hf://${source.repository}${revision}${source.path === '' ? '' : `/${source.path}`}`;
    }
    case 'bucket':
      return `s3://${source.bucket}${source.key === '' ? '' : `/${source.key}`}`;
  }
}

function splitDigest(text: string): { place: string; sha256: string | null } {
  const at = text.lastIndexOf('#sha256=');
  if (at < 0) return { place: text, sha256: null };
  const sha256 = text.slice(at + '#sha256='.length).toLowerCase();
  if (!/^[0-9a-f]{64}$/.test(sha256))
    throw refused(text, 'after #sha256= there must be 64 hexadecimal digits of the weights file');
  return { place: text.slice(0, at), sha256 };
}

function parseLocal(place: string, text: string): Omit<LocalSource, 'sha256'> {
  if (/^[A-Za-z][A-Za-z0-9+.-]+:/.test(place))
    throw refused(text, `expected ${ACCEPTED}; a path that has a colon is written ./like:this`);
  if (!/^(?:\/|\.\.?(?:\/|$)|[A-Za-z]:[\\/])/.test(place))
    throw refused(
      text,
      `write ./${clip(place)} for a path on this machine, or hf://${clip(place)} for a model hub`,
    );
  shapeOf(place, text);
  return { kind: 'local', path: place };
}

function parseWeb(place: string, text: string): Omit<WebSource, 'sha256'> {
  const url = URL.parse(place);
  if (url === null || url.hostname === '') throw refused(text, 'it is no web address');
  if (url.username !== '' || url.password !== '')
    throw refused(text, 'an address may hold no user name or password: it is kept in the registry');
  if (url.hash !== '' || place.includes('#'))
    throw refused(text, 'the only thing that may follow # is sha256=, the digest of the weights file');
  const shape = shapeOf(url.pathname, text);
  if (shape === 'folder' && !url.pathname.endsWith('/'))
    throw refused(
      text,
      'an address ends with / (a folder of adapter_config.json and adapter_model.safetensors), .safetensors or .gguf',
    );
  return { kind: 'web', shape, url: url.href };
}

function parseHub(rest: string, text: string): Omit<HubSource, 'sha256'> {
  const match = /^([^/@]+\/[^/@]+)(?:@([^/]+))?(?:\/(.*))?$/.exec(rest);
  const repository = match?.[1] ?? '';
  if (!repository.split('/').every((each) => /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9])?$/.test(each)))
    throw refused(text, 'a hub address is hf://owner/repository, perhaps with @revision and /folder');
  const revision = match?.[2]?.replaceAll(/%2F/gi, '/') ?? null;
  // What git allows in a ref's name, less what would have to be escaped in an address.
  if (
    revision !== null &&
    !/^[A-Za-z0-9_][A-Za-z0-9._+-]*(?:\/[A-Za-z0-9_][A-Za-z0-9._+-]*)*$/.test(revision)
  )
    throw refused(
      text,
      `${JSON.stringify(clip(revision))} is no revision; expected a branch, tag or commit (a slash in one is written %2F)`,
    );
  if (revision?.includes('..') === true) throw refused(text, 'a revision holds no ..');
  const path = innerPath(match?.[3] ?? '', text);
  shapeOf(path, text);
  return { kind: 'hub', repository, revision, path };
}

function parseBucket(rest: string, text: string): Omit<BucketSource, 'sha256'> {
  const slash = rest.indexOf('/');
  const bucket = slash < 0 ? rest : rest.slice(0, slash);
  if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(bucket) || bucket.includes('..'))
    throw refused(
      text,
      `${JSON.stringify(clip(bucket))} is no bucket's name: 3 to 63 of a-z, 0-9, dot and dash`,
    );
  const key = innerPath(slash < 0 ? '' : rest.slice(slash + 1), text);
  if (Buffer.byteLength(key) > KEY_BYTES_MAX)
    throw refused(text, `the key has more than ${KEY_BYTES_MAX} bytes`);
  shapeOf(key, text);
  return { kind: 'bucket', bucket, key };
}

/** A path below a repository or bucket: names with one slash between, none of which leaves it. */
function innerPath(path: string, text: string): string {
  const trimmed = path.endsWith('/') ? path.slice(0, -1) : path;
  if (trimmed === '') {
    if (path === '/') throw refused(text, 'a path holds no empty name');
    return '';
  }
  for (const name of trimmed.split('/')) {
    if (name === '' || name === '.' || name === '..' || name.includes('\\'))
      throw refused(text, `a path holds no ${name === '' ? 'empty name' : JSON.stringify(clip(name))}`);
  }
  return trimmed;
}

function refused(text: string, why: string): ServiceError {
  const shown = JSON.stringify(clip(text.replace(/\?[^#]*/, '?…').replace(/\/\/[^/@]*@/, '//…@')));
  return new ServiceError('bad_request', `the adapter source ${shown} cannot be used: ${why}`);
}

function clip(text: string): string {
  return text.length > 120 ? `${text.slice(0, 120).toWellFormed()}…` : text;
}
