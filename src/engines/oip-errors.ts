/**
 * What a server of tensors says when something is wrong, as the error that the doors and the lanes understand. Triton
 * answers 400 for most things, so its words decide where the status does not (engines.md §9.1).
 */
import { ServiceError } from '../core/errors.ts';

const MESSAGE_CHARACTERS_MAX = 1_000;

type OipCode =
  | 'overloaded'
  | 'unknown_model'
  | 'not_ready'
  | 'bad_request'
  | 'engine_error'
  | 'deadline_exceeded';

/** Words of Triton and KServe, in the order in which they are looked for. */
const WORDS: readonly (readonly [RegExp, OipCode])[] = [
  [/exceeds maximum queue size/i, 'overloaded'],
  [/request timeout expired|deadline/i, 'deadline_exceeded'],
  [
    /unknown model|model .*not found|not found.*model|failed to find (?:model|.*version)|requested model version|has no available versions|is not (?:a )?(?:known|available)/i,
    'unknown_model',
  ],
  [/not ready|is unavailable|at least one version/i, 'not_ready'],
];

/** The error of a reply whose status is not 200. `text` is its body as it came. */
export function oipRefusal(engine: string, status: number, text: string, model?: string): ServiceError {
  const said = saidIn(text);
  return new ServiceError(codeOf(status, said), `${engine} answered ${status}: ${said}`, {
    details: { engine, status, ...(model === undefined ? {} : { model }) },
  });
}

/** The code for a status and the words beside it. */
function codeOf(status: number, said: string): OipCode {
  const byWords = WORDS.find(([pattern]) => pattern.test(said))?.[1];
  // Triton's queue says 503 both when it is full and when a request waited too long in it (seen on 2.51).
  if (status === 429 || status === 503)
    return byWords === 'not_ready' || byWords === 'deadline_exceeded' ? byWords : 'overloaded';
  if (status === 404) return 'unknown_model';
  if (status === 504) return 'deadline_exceeded';
  if (status >= 400 && status < 500) return byWords ?? 'bad_request';
  return byWords === 'overloaded' || byWords === 'deadline_exceeded' ? byWords : 'engine_error';
}

/** The same for a status of gRPC, by its words first: Triton says INVALID_ARGUMENT and UNAVAILABLE for many things. */
export function oipGrpcCode(grpcStatus: string, said: string): OipCode {
  const byWords = WORDS.find(([pattern]) => pattern.test(said))?.[1];
  switch (grpcStatus) {
    case 'resource_exhausted':
      return 'overloaded';
    case 'unavailable':
      return byWords ?? 'overloaded';
    case 'deadline_exceeded':
      return 'deadline_exceeded';
    case 'not_found':
      return 'unknown_model';
    case 'invalid_argument':
    case 'unimplemented':
    case 'already_exists':
    case 'failed_precondition':
    case 'out_of_range':
      return byWords ?? 'bad_request';
    default:
      return byWords === 'overloaded' || byWords === 'deadline_exceeded' ? byWords : 'engine_error';
  }
}

/** A reply that came and cannot be right. */
export function untrusted(engine: string, what: string, error: unknown): ServiceError {
  const reason = error instanceof Error ? error.message : String(error);
  return new ServiceError(
    'engine_error',
    `${engine}: ${what} cannot be read: ${reason}`.slice(0, MESSAGE_CHARACTERS_MAX),
    {
      cause: error,
      details: { engine },
    },
  );
}

/** `{"error": "…"}` (Triton, KServe), `{"detail": …}` (FastAPI below KServe), else the text itself. */
function saidIn(text: string): string {
  try {
    const body = JSON.parse(text) as { error?: unknown; detail?: unknown; message?: unknown } | null;
    const said = [body?.error, body?.detail, body?.message].find(
      (each) => each !== undefined && each !== null,
    );
    if (said !== undefined)
      return (typeof said === 'string' ? said : JSON.stringify(said)).slice(0, MESSAGE_CHARACTERS_MAX);
  } catch {
    // A page of a proxy, or nothing.
  }
  const plain = text.replace(/\s+/g, ' ').trim().slice(0, 200);
  return plain === '' ? '(no body)' : plain;
}
