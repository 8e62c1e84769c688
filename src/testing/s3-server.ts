/**
 * An object store on loopback that speaks the part of S3 that a fetch needs (path style): ListObjectsV2 in pages,
 * GetObject with ranges and conditions, and the error documents. It knows one pair of keys and checks each signature
 * (AWS Signature Version 4, header form), so what passes here was signed for this address, region and moment.
 */
import { createHash, createHmac } from 'node:crypto';
import type http from 'node:http';
import { etagOf, type FileServer, sendFile, startFileServer } from './file-server.ts';

export interface S3Server extends AsyncDisposable {
  readonly url: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Bucket → key → content. */
  readonly buckets: Map<string, Map<string, Uint8Array>>;
  /** False lets the keys read and not list. */
  mayList: boolean;
  readonly server: FileServer;
}

const PAGE_KEYS = 2;

export async function startS3Server(): Promise<S3Server> {
  const server = await startFileServer({ first: (request, response) => answer(request, response, s3) });
  const s3: S3Server = {
    url: server.url,
    region: 'eu-central-1',
    accessKeyId: 'GREENROOMTEST',
    secretAccessKey: 'a secret of loopback',
    buckets: new Map(),
    mayList: true,
    server,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
  return s3;
}

function answer(request: http.IncomingMessage, response: http.ServerResponse, s3: S3Server): true {
  const refusal = signatureRefusal(request, s3);
  if (refusal !== null) return refuse(response, ...refusal);
  const url = new URL(request.url ?? '/', s3.url);
  const [bucketName = '', ...rest] = decodeURIComponent(url.pathname).slice(1).split('/');
  const bucket = s3.buckets.get(bucketName);
  if (bucket === undefined)
    return refuse(response, 404, 'NoSuchBucket', 'The specified bucket does not exist');
  const key = rest.join('/');
  if (key === '') {
    if (!s3.mayList) return refuse(response, 403, 'AccessDenied', 'Access Denied');
    return list(response, bucket, url);
  }
  const bytes = bucket.get(key);
  if (bytes === undefined)
    return s3.mayList
      ? refuse(response, 404, 'NoSuchKey', 'The specified key does not exist.')
      : refuse(response, 403, 'AccessDenied', 'Access Denied');
  const { 'if-match': ifMatch, range } = request.headers;
  if (ifMatch !== undefined && ifMatch !== etagOf(bytes))
    return refuse(response, 412, 'PreconditionFailed', 'At least one of the pre-conditions did not hold');
  const from = Number(/^bytes=(\d+)-/.exec(range ?? '')?.[1] ?? 0);
  if (from > 0 && from >= bytes.byteLength)
    return refuse(response, 416, 'InvalidRange', 'The requested range is not satisfiable');
  sendFile(request, response, { bytes });
  return true;
}

function list(response: http.ServerResponse, bucket: ReadonlyMap<string, Uint8Array>, url: URL): true {
  const prefix = url.searchParams.get('prefix') ?? '';
  const delimiter = url.searchParams.get('delimiter') ?? '';
  const after = url.searchParams.get('continuation-token') ?? '';
  const keys = [...bucket.keys()]
    .filter((key) => key.startsWith(prefix) && key > after)
    .filter((key) => delimiter === '' || !key.slice(prefix.length).includes(delimiter))
    .sort();
  const page = keys.slice(0, PAGE_KEYS);
  const isTruncated = keys.length > page.length;
  const contents = page.map((key) => {
    const bytes = bucket.get(key) as Uint8Array;
    return `<Contents><Key>${escaped(key)}</Key><ETag>${escaped(etagOf(bytes))}</ETag><Size>${bytes.byteLength}</Size></Contents>`;
  });
  response
    .writeHead(200, { 'content-type': 'application/xml' })
    .end(
      `<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><IsTruncated>${isTruncated}</IsTruncated>${isTruncated ? `<NextContinuationToken>${escaped(page.at(-1) ?? '')}</NextContinuationToken>` : ''}${contents.join('')}</ListBucketResult>`,
    );
  return true;
}

type Refusal = readonly [status: number, code: string, message: string, extra?: string];

/** Null when the request is signed as it should be (AWS General Reference, "Signature Version 4 signing process"). */
function signatureRefusal(request: http.IncomingMessage, s3: S3Server): Refusal | null {
  const { authorization } = request.headers;
  const match =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/s3\/aws4_request, ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/.exec(
      authorization ?? '',
    );
  if (match === null) return [403, 'AccessDenied', 'Access Denied'];
  const [, keyId = '', day = '', region = '', signedHeaders = '', signature = ''] = match;
  if (keyId !== s3.accessKeyId)
    return [403, 'InvalidAccessKeyId', 'The AWS Access Key Id you provided does not exist in our records.'];
  if (region !== s3.region)
    return [
      400,
      'AuthorizationHeaderMalformed',
      `The authorization header is malformed; the region '${region}' is wrong; expecting '${s3.region}'`,
      `<Region>${s3.region}</Region>`,
    ];
  const url = new URL(request.url ?? '/', s3.url);
  const query = [...url.searchParams]
    .map(([name, value]) => `${strictlyEncoded(name)}=${strictlyEncoded(value)}`)
    .sort()
    .join('&');
  const headers = signedHeaders
    .split(';')
    .map((name) => `${name}:${String(request.headers[name] ?? '').trim()}\n`)
    .join('');
  const canonical = [
    request.method,
    url.pathname,
    query,
    headers,
    signedHeaders,
    request.headers['x-amz-content-sha256'],
  ].join('\n');
  const scope = `${day}/${region}/s3/aws4_request`;
  const toSign = [
    'AWS4-HMAC-SHA256',
    request.headers['x-amz-date'],
    scope,
    createHash('sha256').update(canonical).digest('hex'),
  ].join('\n');
  const signingKey = [day, region, 's3', 'aws4_request'].reduce<Buffer | string>(
    (key, part) => createHmac('sha256', key).update(part).digest(),
    `AWS4${s3.secretAccessKey}`,
  );
  if (createHmac('sha256', signingKey).update(toSign).digest('hex') === signature) return null;
  return [
    403,
    'SignatureDoesNotMatch',
    'The request signature we calculated does not match the signature you provided.',
  ];
}

function refuse(response: http.ServerResponse, ...[status, code, message, extra]: Refusal): true {
  response
    .writeHead(status, { 'content-type': 'application/xml' })
    .end(
      `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>${message}</Message>${extra ?? ''}</Error>`,
    );
  return true;
}

const strictlyEncoded = (text: string) =>
  encodeURIComponent(text).replace(/[!'()*]/g, (each) => `%${each.charCodeAt(0).toString(16).toUpperCase()}`);

const escaped = (text: string) =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
