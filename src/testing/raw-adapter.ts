/** Bytes that stand for an adapter's files where nobody reads them, and what a test of their fetching needs around. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { FetchAdapterOptions } from '../adapters/sources/fetch.ts';
import { ServiceError } from '../core/errors.ts';
import { realRuntime } from '../runtime.ts';

/** 1.28 MB that do not repeat, so that a misplaced piece changes the digest. */
export const WEIGHTS: Buffer = Buffer.concat(
  Array.from({ length: 40_000 }, (_, index) => createHash('sha256').update(`piece ${index}`).digest()),
);
/** The same length and other bytes: the file after somebody trained on. */
export const OTHER_WEIGHTS: Buffer = Buffer.concat(
  Array.from({ length: 40_000 }, (_, index) => createHash('sha256').update(`other ${index}`).digest()),
);
export const CONFIG: Buffer = Buffer.from('{"peft_type":"LORA","r":8,"lora_alpha":16}\n');

export const sha256Of = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

export async function emptyFolder(context: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'greenroom-sources-'));
  context.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Short waits; the environment is empty unless `more` says otherwise. */
export function fetchOptions(into: string, more: Partial<FetchAdapterOptions> = {}): FetchAdapterOptions {
  const { limits, ...rest } = more;
  return {
    into,
    clock: realRuntime.clock,
    environment: {},
    limits: { pauseMs: 1, silenceTimeoutMs: 5_000, ...limits },
    ...rest,
  };
}

export async function failure(promise: Promise<unknown>): Promise<ServiceError> {
  const error = await promise.then(
    () => assert.fail('it should have failed'),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof ServiceError, error instanceof Error ? (error.stack ?? '') : String(error));
  return error;
}

export const idle = () => new AbortController().signal;
