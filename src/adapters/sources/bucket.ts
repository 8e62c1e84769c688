/**
 * An adapter from S3 or a store that speaks its protocol. The client library, 22 MB of it, is loaded at the first such
 * source and by nobody else. It only signs and parses here: patience, resuming and bounds are ours (`models/download.ts`),
 * so its own retries are off.
 */
import http from 'node:http';
import https from 'node:https';
import type { GetObjectCommandOutput, S3Client, S3ClientConfig } from '@aws-sdk/client-s3';
import { ServiceError } from '../../core/errors.ts';
import { type OpenBody, patiently, type Watch } from '../../models/download.ts';
import { contentRange, strongVersion } from '../../models/web-body.ts';
import { type BucketSource, shapeOf } from './address.ts';
import { type BucketPlace, isDenied, isStatus, meaningOf } from './bucket-errors.ts';
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
import { namesIn, type Picked, pickFiles } from './pick.ts';

type Sdk = typeof import('@aws-sdk/client-s3');

interface Bucket {
  readonly sdk: Sdk;
  readonly client: S3Client;
  readonly place: BucketPlace;
  readonly context: FetchContext;
}

/**
 * Fetches what `source` names. Endpoint, region and keys come from `AWS_ENDPOINT_URL_S3` or `AWS_ENDPOINT_URL`,
 * `AWS_REGION`, `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY` of the environment handed in; without keys there the
 * library looks where it always does (profiles, a web identity, the container's or the machine's role), in the process's
 * own environment.
 */
export async function fetchBucket(
  source: BucketSource,
  context: FetchContext,
  signal: AbortSignal,
): Promise<Fetched> {
  const sdk = await import('@aws-sdk/client-s3');
  const place = placeOf(source, context);
  const agents = {
    httpAgent: new http.Agent({ proxyEnv: { ...context.environment } as NodeJS.ProcessEnv }),
    httpsAgent: new https.Agent({ proxyEnv: { ...context.environment } as NodeJS.ProcessEnv }),
  };
  const client = new sdk.S3Client(configOf(place, context, agents));
  try {
    return await fetchWith({ sdk, client, place, context }, source, signal);
  } finally {
    client.destroy();
    agents.httpAgent.destroy();
    agents.httpsAgent.destroy();
  }
}

async function fetchWith(bucket: Bucket, source: BucketSource, signal: AbortSignal): Promise<Fetched> {
  const { context } = bucket;
  const shape = shapeOf(source.key, source.key);
  const folder = shape === 'folder' ? source.key : source.key.replace(/(?:^|\/)[^/]*$/, '');
  const name = source.key.slice(source.key.lastIndexOf('/') + 1);
  const picked: Picked =
    shape === 'folder'
      ? await pickFrom(bucket, folder, signal)
      : shape === 'gguf'
        ? { kind: 'gguf', weights: name }
        : { kind: 'peft', config: CONFIG_FILE, weights: name };
  const keyOf = (each: string) => (folder === '' ? each : `${folder}/${each}`);
  const files: FetchedFile[] = [];
  if (picked.kind === 'peft')
    files.push(await fetchFile(remoteFile(bucket, keyOf(picked.config), CONFIG_FILE), context, signal));
  const weights = await fetchFile(
    remoteFile(bucket, keyOf(picked.weights), picked.kind === 'peft' ? PEFT_WEIGHTS_FILE : GGUF_FILE),
    context,
    signal,
  );
  files.push(weights);
  return { files, revision: weights.version };
}

function placeOf(source: BucketSource, context: FetchContext): BucketPlace {
  const { environment, where } = context;
  const endpoint = environment['AWS_ENDPOINT_URL_S3'] || environment['AWS_ENDPOINT_URL'] || null;
  const protocol = endpoint === null ? 'https:' : URL.parse(endpoint)?.protocol;
  if (protocol !== 'https:' && protocol !== 'http:')
    throw new ServiceError(
      'config_invalid',
      `the object store's address ${JSON.stringify(endpoint)} (AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL) is no web address; expected https://host`,
    );
  const region = environment['AWS_REGION'] || environment['AWS_DEFAULT_REGION'] || null;
  return { bucket: source.bucket, endpoint, region, where };
}

function configOf(
  place: BucketPlace,
  context: FetchContext,
  agents: { readonly httpAgent: http.Agent; readonly httpsAgent: https.Agent },
): S3ClientConfig {
  const { environment, limits } = context;
  const accessKeyId = environment['AWS_ACCESS_KEY_ID'];
  const secretAccessKey = environment['AWS_SECRET_ACCESS_KEY'];
  const sessionToken = environment['AWS_SESSION_TOKEN'];
  // A store of one's own seldom has regions; its signatures name one all the same.
  const region = place.region ?? (place.endpoint === null ? null : 'us-east-1');
  return {
    maxAttempts: 1,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    // A checksum of a whole object says nothing of the part that a resumed fetch asks for.
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: { ...agents, connectionTimeout: limits.connectTimeoutMs },
    ...(region === null ? {} : { region }),
    ...(place.endpoint === null ? {} : { endpoint: place.endpoint, forcePathStyle: true }),
    ...(accessKeyId && secretAccessKey
      ? { credentials: { accessKeyId, secretAccessKey, ...(sessionToken ? { sessionToken } : {}) } }
      : {}),
  };
}

/** What lies in the folder. Keys that may read and not list can still fetch what PEFT calls its files. */
async function pickFrom(bucket: Bucket, folder: string, signal: AbortSignal): Promise<Picked> {
  const { where } = bucket.context;
  try {
    return pickFiles(namesIn(folder, await keysIn(bucket, folder, signal), where), where);
  } catch (error) {
    if (!isDenied(error)) throw error;
    return { kind: 'peft', config: CONFIG_FILE, weights: PEFT_WEIGHTS_FILE };
  }
}

async function keysIn(bucket: Bucket, folder: string, signal: AbortSignal): Promise<readonly string[]> {
  const { client, place, sdk, context } = bucket;
  const { clock, limits, where } = context;
  const fail = (message: string, cause: unknown) => unavailable(where, message, cause);
  const keys: string[] = [];
  let token: string | undefined;
  do {
    const command = new sdk.ListObjectsV2Command({
      Bucket: place.bucket,
      Prefix: folder === '' ? '' : `${folder}/`,
      Delimiter: '/',
      ...(token === undefined ? {} : { ContinuationToken: token }),
    });
    const page = await patiently(
      (watch) => send(bucket, watch, () => client.send(command, { abortSignal: watch.signal })),
      { clock, limits, fail },
      signal,
    );
    for (const { Key } of page.Contents ?? []) if (Key !== undefined) keys.push(Key);
    if (keys.length > limits.listedFilesMax)
      throw invalid(
        where,
        `it holds more than ${limits.listedFilesMax} files; give the adapter's own prefix`,
      );
    token = page.IsTruncated === true ? page.NextContinuationToken : undefined;
  } while (token !== undefined);
  return keys;
}

function remoteFile(bucket: Bucket, key: string, name: RawFileName): RemoteFile {
  const { place, context } = bucket;
  return {
    name,
    address: `${place.endpoint ?? ''} s3://${place.bucket}/${key}`.trim(),
    source: 'bucket',
    bytes: null,
    sha256: name === CONFIG_FILE ? null : context.sha256,
    isImmutable: false,
    open: (unlessVersion) => openObject(bucket, key, unlessVersion),
  };
}

function openObject(bucket: Bucket, key: string, unlessVersion: string | null): OpenBody {
  const { client, place, sdk } = bucket;
  const get = (watch: Watch, bytes: number, version: string | null) => {
    const command = new sdk.GetObjectCommand({
      Bucket: place.bucket,
      Key: key,
      ...(bytes > 0 ? { Range: `bytes=${bytes}-` } : {}),
      ...(bytes > 0 && version !== null ? { IfMatch: version } : {}),
      ...(bytes === 0 && unlessVersion !== null ? { IfNoneMatch: unlessVersion } : {}),
    });
    return send(bucket, watch, () => client.send(command, { abortSignal: watch.signal }), key);
  };
  return async ({ bytes, version }, watch) => {
    try {
      return opened(await get(watch, bytes, version), bytes);
    } catch (error) {
      if (isStatus(error, 304)) return 'unchanged';
      if (isStatus(error, 416)) return 'shorter';
      // The object is another by now: from its beginning.
      if (isStatus(error, 412)) return opened(await get(watch, 0, null), 0);
      throw error;
    }
  };
}

function opened(output: GetObjectCommandOutput, askedFromBytes: number) {
  const body = output.Body as unknown as http.IncomingMessage;
  const range = askedFromBytes === 0 ? null : contentRange(output.ContentRange);
  return {
    fromBytes: range?.fromBytes ?? 0,
    totalBytes: range === null ? (output.ContentLength ?? null) : range.totalBytes,
    version: strongVersion(output.ETag),
    body,
    close: () => {
      body.destroy();
    },
  };
}

/** One request: its failure as we call it. The library bounds the connecting, the watch the silence after it. */
async function send<T>(bucket: Bucket, watch: Watch, request: () => Promise<T>, key?: string): Promise<T> {
  watch.heard();
  try {
    const answer = await request();
    watch.heard();
    return answer;
  } catch (error) {
    if (watch.signal.aborted) throw error;
    throw meaningOf(error, bucket.place, key ?? null, bucket.context.clock.nowMs());
  }
}
