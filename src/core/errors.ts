/**
 * The error catalogue: every operating error Greenroom can report, with the form it takes on each wire.
 * One row per code; `docs/reference/errors.md` is generated from it. Only `dialogue/attempt.ts` acts on `retryable`.
 */

interface ErrorRow {
  /** HTTP status outside a stream. */
  readonly status: number;
  /** `error.type` on the OpenAI-compatible doors. */
  readonly openai: string;
  /** Whether the same request may succeed later or elsewhere. */
  readonly retryable: boolean;
  /** One sentence: what it means. */
  readonly title: string;
  /** One sentence: what the reader can do. */
  readonly advice: string;
}

export const ERRORS = {
  bad_request: {
    status: 400,
    openai: 'invalid_request_error',
    retryable: false,
    title: 'The request is not valid.',
    advice: 'Correct the field that the detail names.',
  },
  malformed_json: {
    status: 400,
    openai: 'invalid_request_error',
    retryable: false,
    title: 'The body is not JSON.',
    advice: 'Send a JSON object with content type application/json.',
  },
  context_length_exceeded: {
    status: 400,
    openai: 'invalid_request_error',
    retryable: false,
    title: 'The prompt does not fit the model context.',
    advice: 'Shorten the prompt or lower max_tokens; the detail names both numbers.',
  },
  unauthorized: {
    status: 401,
    openai: 'authentication_error',
    retryable: false,
    title: 'No valid API key was given.',
    advice: 'Send `Authorization: Bearer <key>`; create one with `greenroom keys create`.',
  },
  forbidden: {
    status: 403,
    openai: 'permission_error',
    retryable: false,
    title: 'The API key lacks the scope for this call.',
    advice: 'Use a key with the scope that the detail names.',
  },
  not_found: {
    status: 404,
    openai: 'invalid_request_error',
    retryable: false,
    title: 'There is nothing at this address.',
    advice: 'See /openapi.json for what exists.',
  },
  unknown_npc: {
    status: 404,
    openai: 'invalid_request_error',
    retryable: false,
    title: 'No NPC has this id.',
    advice: 'See GET /v1/npcs; the detail names near ones.',
  },
  unknown_model: {
    status: 404,
    openai: 'invalid_request_error',
    retryable: false,
    title: 'No model has this name.',
    advice: 'See GET /v1/models; the detail lists what exists.',
  },
  method_not_allowed: {
    status: 405,
    openai: 'invalid_request_error',
    retryable: false,
    title: 'This address does not take this method.',
    advice: 'See /openapi.json for the method.',
  },
  request_timeout: {
    status: 408,
    openai: 'invalid_request_error',
    retryable: true,
    title: 'The request did not arrive whole in time.',
    advice: 'Send the body without pauses.',
  },
  idempotency_conflict: {
    status: 409,
    openai: 'invalid_request_error',
    retryable: false,
    title: 'This Idempotency-Key was used with another body.',
    advice: 'Use a new key for a new request.',
  },
  body_too_large: {
    status: 413,
    openai: 'invalid_request_error',
    retryable: false,
    title: 'The body is over the limit.',
    advice: 'Shorten it; the detail names the limit.',
  },
  unsupported_media_type: {
    status: 415,
    openai: 'invalid_request_error',
    retryable: false,
    title: 'The content type is not one we read.',
    advice: 'Send application/json.',
  },
  headers_too_large: {
    status: 431,
    openai: 'invalid_request_error',
    retryable: false,
    title: 'The headers are over the limit.',
    advice: 'Send fewer or shorter headers.',
  },
  overloaded: {
    status: 503,
    openai: 'overloaded_error',
    retryable: true,
    title: 'The queue is full.',
    advice: 'Retry after the time in Retry-After.',
  },
  draining: {
    status: 503,
    openai: 'overloaded_error',
    retryable: true,
    title: 'This instance is shutting down.',
    advice: 'Send the request to another instance.',
  },
  not_ready: {
    status: 503,
    openai: 'overloaded_error',
    retryable: true,
    title: 'The service is still starting.',
    advice: 'Wait until /readyz answers 200.',
  },
  store_unavailable: {
    status: 503,
    openai: 'server_error',
    retryable: true,
    title: 'The store cannot be reached.',
    advice: 'Check the data folder or DATABASE_URL; dialogue goes on without memory.',
  },
  engine_unavailable: {
    status: 502,
    openai: 'server_error',
    retryable: true,
    title: 'The engine cannot be reached.',
    advice: 'See /readyz and the log for the reason.',
  },
  engine_error: {
    status: 502,
    openai: 'server_error',
    retryable: true,
    title: 'The engine failed at this request.',
    advice: 'See the detail; the next rung is tried by itself on dialogue.',
  },
  engine_account: {
    status: 502,
    openai: 'server_error',
    retryable: false,
    title: 'The engine refuses our account.',
    advice: 'Check the API key, the credit and the spend limit at its provider; the detail is its own words.',
  },
  budget_exceeded: {
    status: 402,
    openai: 'insufficient_quota',
    retryable: false,
    title: 'The spending limit is reached.',
    advice: 'Raise the cap that the detail names, or wait for the next day (UTC).',
  },
  spending_off: {
    status: 503,
    openai: 'server_error',
    retryable: false,
    title: 'Paid engines are switched off.',
    advice: 'Switch them on with `greenroom spending on`.',
  },
  unknown_job: {
    status: 404,
    openai: 'invalid_request_error',
    retryable: false,
    title: 'No job has this id.',
    advice: 'Jobs are kept for jobs.retentionHours after their end.',
  },
  unknown_line: {
    status: 404,
    openai: 'invalid_request_error',
    retryable: false,
    title: 'No line has this id.',
    advice: 'See GET /admin/v1/lines/candidates and /admin/v1/lines/learned.',
  },
  line_decided: {
    status: 409,
    openai: 'invalid_request_error',
    retryable: false,
    title: 'Somebody has decided about this line already.',
    advice: 'The detail says who and how; nothing was changed.',
  },
  interrupted: {
    status: 500,
    openai: 'server_error',
    retryable: false,
    title: 'The process that worked on this job ended.',
    advice: 'An engine had been called and may have billed it; send the job again if it is still wanted.',
  },
  deadline_exceeded: {
    status: 504,
    openai: 'server_error',
    retryable: true,
    title: 'The deadline passed before the answer was whole.',
    advice: 'Raise deadline_ms or lower max_tokens.',
  },
  client_closed: {
    status: 499,
    openai: 'server_error',
    retryable: false,
    title: 'The client hung up.',
    advice: 'Nothing; the work was stopped.',
  },
  out_of_memory: {
    status: 507,
    openai: 'server_error',
    retryable: false,
    title: 'There is not enough memory for this.',
    advice: 'Use a smaller model, context or parallelism; the detail names the figures.',
  },
  out_of_space: {
    status: 507,
    openai: 'server_error',
    retryable: false,
    title: 'The disk is full.',
    advice: 'Free some space on the disk that the detail names; nothing half-written was kept.',
  },
  model_invalid: {
    status: 500,
    openai: 'server_error',
    retryable: false,
    title: 'The model file cannot be loaded.',
    advice: 'Run `greenroom models verify`; pull it again when it is damaged.',
  },
  model_unavailable: {
    status: 503,
    openai: 'server_error',
    retryable: true,
    title: 'The model file could not be had from any source.',
    advice: 'Place the file by hand; the detail says where.',
  },
  digest_mismatch: {
    status: 500,
    openai: 'server_error',
    retryable: false,
    title: 'A file does not have the expected SHA-256.',
    advice: 'Remove it and pull again; the detail names both digests.',
  },
  config_invalid: {
    status: 500,
    openai: 'server_error',
    retryable: false,
    title: 'The configuration is not valid.',
    advice: 'Correct the key that the detail names; `greenroom config schema` prints what is allowed.',
  },
  cast_invalid: {
    status: 500,
    openai: 'server_error',
    retryable: false,
    title: 'The cast is not valid.',
    advice: 'Correct the file and field that the detail names.',
  },
  card_rejected: {
    status: 400,
    openai: 'invalid_request_error',
    retryable: false,
    title: 'The character card was refused.',
    advice: 'See the detail for the limit or rule it broke.',
  },
  unknown_adapter: {
    status: 404,
    openai: 'not_found_error',
    retryable: false,
    title: 'There is no such adapter.',
    advice: '`greenroom adapters list` shows what is registered; add it or correct the name.',
  },
  adapter_invalid: {
    status: 400,
    openai: 'invalid_request_error',
    retryable: false,
    title: 'The adapter artefact was refused.',
    advice: 'See the detail for the limit or rule it broke; export it again from the trainer.',
  },
  adapter_incompatible: {
    status: 409,
    openai: 'invalid_request_error',
    retryable: false,
    title: 'The adapter does not fit this base model.',
    advice: 'Train it on the base that the detail names, or publish it where that base runs.',
  },
  adapter_conflict: {
    status: 409,
    openai: 'invalid_request_error',
    retryable: false,
    title: 'This adapter name and version stand for other bytes.',
    advice: 'A version never changes: add the artefact under a new version.',
  },
  adapter_busy: {
    status: 409,
    openai: 'invalid_request_error',
    retryable: true,
    title: 'The adapter is in use.',
    advice: 'Wait until its lines have ended, or unload it first; the detail says who holds it.',
  },
  adapter_failed: {
    status: 502,
    openai: 'server_error',
    retryable: false,
    title: 'The adapter could not be loaded or did not answer as itself.',
    advice: 'The detail names the engine and the reason; the version before goes on serving.',
  },
  adapter_unavailable: {
    status: 503,
    openai: 'server_error',
    retryable: true,
    title: 'The adapter could not be had from its source.',
    advice:
      'The detail says what the source answered; what came is kept, so that the next try goes on from there.',
  },
  no_room: {
    status: 507,
    openai: 'server_error',
    retryable: false,
    title: 'The adapter does not fit the slots or bytes of any engine.',
    advice: 'Unpin or unload another, lower the rank, or raise the limit that the detail names.',
  },
  port_taken: {
    status: 500,
    openai: 'server_error',
    retryable: false,
    title: 'The port is in use.',
    advice: 'Stop the other program or set PORT.',
  },
  setup_incomplete: {
    status: 500,
    openai: 'server_error',
    retryable: false,
    title: 'This machine lacks something that Greenroom needs.',
    advice: 'Run the command that the line names, then `greenroom doctor` again.',
  },
  internal: {
    status: 500,
    openai: 'server_error',
    retryable: false,
    title: 'Something failed that should not.',
    advice: 'Report it with the request id.',
  },
} as const satisfies Record<string, ErrorRow>;

export type ErrorCode = keyof typeof ERRORS;

/**
 * An operating error: expected, named, and safe to show. `message` says what was wrong, the value, what was expected
 * and what to change; `details` must be safe to log (never player text).
 */
export class ServiceError extends Error {
  readonly code: ErrorCode;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(
    code: ErrorCode,
    message: string,
    options: { cause?: unknown; details?: Readonly<Record<string, unknown>> } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'ServiceError';
    this.code = code;
    this.details = options.details ?? {};
  }

  get status(): number {
    return ERRORS[this.code].status;
  }

  get retryable(): boolean {
    return ERRORS[this.code].retryable;
  }

  /** Normalises anything caught: a ServiceError passes, everything else becomes `internal` with its cause. */
  static from(error: unknown): ServiceError {
    if (error instanceof ServiceError) return error;
    const message = error instanceof Error ? error.message : String(error);
    return new ServiceError('internal', message, { cause: error });
  }
}
