/**
 * One piece of short work, from any of its doors: find the server, take a place in its lane, ask within its time, and say
 * what exists when a version does not. What the lane needs of the service stands here as contracts.
 */
import type { FastifyRequest } from 'fastify';
import { ServiceError } from '../core/errors.ts';
import type { Clock } from '../core/runtime.ts';
import type { InferReply, InferRequest, RepositoryEntry, TensorEngine } from '../core/tensors.ts';
import { linkSignals } from '../lib/abort.ts';
import type { Places } from './services.ts';
import type { EmbeddingModels, GenericPath, VisionTask } from './short-work-options.ts';

/** A server of tensors with its own places; see routing/lanes.ts. */
export interface ShortWorkRoute {
  readonly engine: TensorEngine;
  readonly admission: Places;
  /** Milliseconds that an answer is of use, waiting included. */
  readonly timeoutMs: number;
}

export interface ShortWork {
  readonly routes: readonly ShortWorkRoute[];
  /** The server that has this model. Throws `unknown_model` with what exists, or why a server cannot say. */
  find(model: string, signal: AbortSignal): Promise<ShortWorkRoute>;
  /** Every model version on every server that answers. */
  index(signal: AbortSignal): Promise<readonly RepositoryEntry[]>;
  /** What was listed may have changed. */
  forget(): void;
  readonly embeddings: EmbeddingModels;
  readonly vision: Readonly<Record<string, VisionTask>>;
  readonly paths: Readonly<Record<string, GenericPath>>;
}

/** Where no server is configured: the doors are there and say so. */
export const NO_SHORT_WORK: ShortWork = {
  routes: [],
  find: (model) =>
    Promise.reject(
      new ServiceError(
        'unknown_model',
        `no model ${JSON.stringify(model.slice(0, 120))}: no server of tensors is configured`,
      ),
    ),
  index: () => Promise.resolve([]),
  forget: () => {},
  embeddings: {},
  vision: {},
  paths: {},
};

/** Largest body that the doors of short work take, in bytes: an image of a phone fits. */
export const SHORT_WORK_BODY_BYTES_MAX = 8_000_000;

/** Pieces are alike: each is charged as one. */
const ONE_PIECE = {
  priority: 'interactive',
  player: null,
  source: 'local',
  promptTokens: 1,
  maxTokens: 0,
} as const;

const VERSION_LENGTH_MAX = 100;

/** The version that a request names in x-model-version, or `fallback`. Throws `bad_request` for one that is none. */
export function versionOf(request: FastifyRequest, fallback?: string): string | undefined {
  const header = request.headers['x-model-version'];
  if (header === undefined || header === '') return fallback;
  if (typeof header !== 'string' || header.length > VERSION_LENGTH_MAX)
    throw new ServiceError(
      'bad_request',
      `x-model-version has ${String(header).length} characters; expected one version of at most ${VERSION_LENGTH_MAX}`,
      { details: { field: 'x-model-version' } },
    );
  return header;
}

/**
 * Asks a model within its lane's time, or the caller's own if that is shorter. Throws what the engine throws; for a version
 * that is not there, `unknown_model` that lists those that are. Throws `deadline_exceeded` when the time is over.
 */
export async function inferShort(
  lane: { readonly shortWork: ShortWork; readonly clock: Clock },
  request: InferRequest,
  signal: AbortSignal,
): Promise<InferReply> {
  const route = await lane.shortWork.find(request.model, signal);
  const timeoutMs = Math.min(request.timeoutMs ?? Number.POSITIVE_INFINITY, route.timeoutMs);
  const startedMonoMs = lane.clock.monotonicMs();
  using limit = linkSignals(signal);
  using _timer = lane.clock.timer(timeoutMs, () =>
    limit.abort(
      new ServiceError(
        'deadline_exceeded',
        `model ${request.model} did not answer within ${timeoutMs} ms, which is the time of its lane`,
      ),
    ),
  );
  const deadlineMonoMs = startedMonoMs + timeoutMs;
  using _place = await route.admission.acquire({ ...ONE_PIECE, deadlineMonoMs }, limit.signal);
  const leftMs = timeoutMs - (lane.clock.monotonicMs() - startedMonoMs);
  try {
    return await route.engine.infer({ ...request, timeoutMs: Math.max(1, leftMs) }, limit.signal);
  } catch (error) {
    throw await withVersions(error, route.engine, request.model, request.version, limit.signal);
  }
}

/** The error, with the versions that exist where it was about one that does not. */
export async function withVersions(
  error: unknown,
  engine: TensorEngine,
  model: string,
  version: string | undefined,
  signal: AbortSignal,
): Promise<unknown> {
  if (!(error instanceof ServiceError) || error.code !== 'unknown_model' || version === undefined)
    return error;
  const versions = await engine
    .modelMetadata(model, undefined, signal)
    .then((metadata) => metadata.versions)
    .catch(() => null);
  if (versions === null) return error;
  return new ServiceError(
    'unknown_model',
    `model ${model} has no version ${JSON.stringify(version)}; there is ${versions.length === 0 ? 'none that the server names' : versions.join(', ')}`,
    { cause: error, details: { model, available: versions } },
  );
}
