/** What an object store's refusals mean, and what an operator does about each (codes: Amazon S3 API, "Error responses"). */
import { ServiceError } from '../../core/errors.ts';
import { Broken } from '../../models/download.ts';
import { retryAfterMs } from '../../models/web-body.ts';
import { invalid, unavailable } from './fetched.ts';

export interface BucketPlace {
  readonly bucket: string;
  /** Null is Amazon's own. */
  readonly endpoint: string | null;
  /** As the environment says; null when it does not. */
  readonly region: string | null;
  /** The source for errors. */
  readonly where: string;
}

/** What the client library throws, as far as we read it. */
interface StoreError {
  readonly name?: string;
  readonly message?: string;
  readonly code?: string;
  readonly Region?: string;
  readonly $metadata?: { readonly httpStatusCode?: number };
  readonly $response?: { readonly headers?: Readonly<Record<string, string>> };
}

const KEY_ADVICE = 'check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN';

/** An answer without an error in it: the caller's condition, not a failure. */
export function isStatus(error: unknown, status: number): boolean {
  return (error as StoreError | null)?.$metadata?.httpStatusCode === status;
}

/** A refusal of the keys, as `meaningOf` words it. */
export function isDenied(error: unknown): boolean {
  return error instanceof ServiceError && error.details['reason'] === 'denied';
}

/**
 * The failure of a request for `key`, or of a listing where that is null: `adapter_invalid` where there is nothing,
 * `adapter_unavailable` with what to set where we are refused, `Broken` where patience helps. What is no answer at all
 * (the connection), and answers of 304, 412 and 416, pass as they are.
 */
export function meaningOf(error: unknown, place: BucketPlace, key: string | null, nowMs: number): unknown {
  const failure = (error ?? {}) as StoreError;
  const { where, bucket } = place;
  const status = failure.$metadata?.httpStatusCode;
  const name = failure.name ?? '';
  if (name === 'CredentialsProviderError')
    return unavailable(
      where,
      `no credentials were found (${failure.message}); set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give the machine a role`,
      error,
    );
  if (/region is missing/i.test(failure.message ?? ''))
    return new ServiceError(
      'config_invalid',
      `${where}: no region is set; set AWS_REGION to the bucket's, or AWS_ENDPOINT_URL_S3 for a store of your own`,
      { cause: error },
    );
  if (name === 'TimeoutError' && status === undefined)
    return new Broken('no connection in time', { cause: error });
  if (status === undefined || status === 304 || status === 412 || status === 416) return error;
  const region = failure.$response?.headers?.['x-amz-bucket-region'] ?? failure.Region;
  if (
    status === 301 ||
    status === 307 ||
    name === 'PermanentRedirect' ||
    name === 'AuthorizationHeaderMalformed'
  )
    return unavailable(
      where,
      `${answer(failure)}: the bucket is not in the region ${place.region ?? 'us-east-1'}${region === undefined ? '; set AWS_REGION to its own' : ` but in ${region}; set AWS_REGION=${region}`}`,
      error,
    );
  // Some stores answer 404 of a code of their own to keys that they do not know (versitygw 1.8.0).
  const isOfKeys = /access key|no user/i.test(failure.message ?? '');
  if (status === 401 || status === 403 || isOfKeys)
    return new ServiceError(
      'adapter_unavailable',
      `${where}: ${answer(failure)}: ${denied(name, bucket, key)}`,
      {
        cause: error,
        details: name === 'AccessDenied' ? { reason: 'denied' } : {},
      },
    );
  if (name === 'NoSuchBucket') return invalid(where, `there is no bucket ${bucket}${at(place)}`, { status });
  if (status === 404 && (name === 'NoSuchKey' || name === 'NotFound'))
    return invalid(where, `there is no object ${key ?? ''} in ${bucket}`, { status });
  if (status === 429 || status >= 500 || name === 'SlowDown' || name === 'RequestTimeout')
    return new Broken(`the store answered ${answer(failure)}`, {
      cause: error,
      isAnswer: true,
      retryAfterMs: retryAfterMs(failure.$response?.headers?.['retry-after'], nowMs),
    });
  return unavailable(where, answer(failure), error);
}

function denied(name: string, bucket: string, key: string | null): string {
  if (name === 'AccessDenied')
    return key === null
      ? `these keys may not list ${bucket}; they need s3:ListBucket`
      : `these keys may not read ${key}, or it is not there; they need s3:GetObject, and s3:ListBucket to be told which`;
  if (name === 'RequestTimeTooSkewed') return "this machine's clock differs from the store's; set it right";
  if (name === 'ExpiredToken') return `the session has expired; ${KEY_ADVICE}`;
  return KEY_ADVICE;
}

function answer(failure: StoreError): string {
  const text =
    failure.message === undefined || failure.message === failure.name
      ? ''
      : `, ${failure.message.replace(/\.$/, '')}`;
  return `${failure.$metadata?.httpStatusCode} ${failure.name ?? ''}${text.slice(0, 300)}`;
}

function at(place: BucketPlace): string {
  return place.endpoint === null ? '' : ` at ${URL.parse(place.endpoint)?.origin}`;
}
