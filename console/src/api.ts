/**
 * Every request the console makes. Failures are `Trouble` with the gateway's stable code, or `unreachable` when no
 * answer came; the sentence for the reader is made in trouble.ts. Nothing here retries.
 */
import { EventStreamParser, type StreamEvent } from './event-stream.ts';
import { keyStore } from './key.ts';
import type { DialogueBody, DialogueEvent, JobEvent, Readiness } from './wire.ts';

const ANSWER_TIMEOUT_MS = 8_000;
/** The gateway breaks every silence of a stream within 10 s; after this the connection is dead and does not know it. */
const SILENCE_MAX_MS = 30_000;

/** Addresses are relative to the page, so that the console also works behind a proxy that puts it under a path. */
function address(path: string): URL {
  return new URL(path.replace(/^\//, ''), document.baseURI);
}

export class Trouble extends Error {
  readonly code: string;
  readonly status: number;

  constructor(code: string, message: string, status = 0) {
    super(message);
    this.name = 'Trouble';
    this.code = code;
    this.status = status;
  }

  /** Anything caught becomes a Trouble; a refused or cut connection is `unreachable`. */
  static from(error: unknown): Trouble {
    if (error instanceof Trouble) return error;
    return new Trouble('unreachable', error instanceof Error ? error.message : String(error));
  }
}

function headers(key: string | null, more: Record<string, string>): Record<string, string> {
  return key === null ? more : { ...more, authorization: `Bearer ${key}` };
}

async function troubleOf(response: Response, key: string | null): Promise<Trouble> {
  if (response.status === 401) keyStore.refuse(key);
  const text = await response.text().catch(() => '');
  try {
    const problem = JSON.parse(text) as { code?: unknown; detail?: unknown; title?: unknown };
    const detail = typeof problem.detail === 'string' ? problem.detail : problem.title;
    return new Trouble(
      typeof problem.code === 'string' ? problem.code : `http_${response.status}`,
      typeof detail === 'string' ? detail : `The gateway answered ${response.status}.`,
      response.status,
    );
  } catch {
    return new Trouble(
      `http_${response.status}`,
      `The gateway answered ${response.status}.`,
      response.status,
    );
  }
}

async function asJson<T>(path: string, init: RequestInit, signal: AbortSignal): Promise<T> {
  const { key } = keyStore.state();
  const response = await fetch(address(path), {
    ...init,
    headers: headers(key, {
      accept: 'application/json',
      ...(init.body === undefined ? {} : { 'content-type': 'application/json' }),
    }),
    signal: AbortSignal.any([signal, AbortSignal.timeout(ANSWER_TIMEOUT_MS)]),
  });
  if (!response.ok) throw await troubleOf(response, key);
  return (response.status === 204 ? null : await response.json()) as T;
}

/** GET as JSON. Throws Trouble; cancelling `signal` rejects with its reason. */
export function read<T>(path: string, signal: AbortSignal): Promise<T> {
  return asJson(path, {}, signal);
}

/** POST of a JSON body, or DELETE without one; null where the answer has no body. As `read`. */
export function send<T>(
  method: 'POST' | 'DELETE',
  path: string,
  body: object | undefined,
  signal: AbortSignal,
): Promise<T> {
  return asJson(path, { method, ...(body === undefined ? {} : { body: JSON.stringify(body) }) }, signal);
}

/** `/readyz`, whose 503 is an answer too. */
export async function readReadiness(signal: AbortSignal): Promise<Readiness> {
  const { key } = keyStore.state();
  const response = await fetch(address('/readyz'), {
    headers: headers(key, { accept: 'application/json' }),
    signal: AbortSignal.any([signal, AbortSignal.timeout(ANSWER_TIMEOUT_MS)]),
  });
  if (!response.ok && response.status !== 503) throw await troubleOf(response, key);
  const said = (await response.json().catch(() => ({}))) as Partial<Readiness>;
  return {
    ready: said.ready ?? response.ok,
    stage: said.stage ?? (response.ok ? 'ready' : 'starting'),
    detail: said.detail ?? null,
    percent: said.percent ?? null,
  };
}

const DIALOGUE_EVENTS = ['accepted', 'filler', 'sentence', 'action', 'done', 'error'];
const JOB_EVENTS = ['status', 'done', 'error'];

/**
 * One dialogue as its events. Aborting `signal` hangs up, which is how an NPC is interrupted. Throws Trouble when the
 * gateway refuses or the connection breaks; a stream that ends without `done` or `error` throws `stream_cut`.
 */
export function dialogue(body: DialogueBody, signal: AbortSignal): AsyncGenerator<DialogueEvent> {
  const init = { method: 'POST', body: JSON.stringify({ ...body, stream: true }) };
  return events('/v1/dialogue', init, DIALOGUE_EVENTS, signal);
}

/** A job as its events, the state it is in first. Hanging up leaves the job alone. Throws as `dialogue`. */
export function followJob(id: string, signal: AbortSignal): AsyncGenerator<JobEvent> {
  return events(`/v1/jobs/${encodeURIComponent(id)}/events`, {}, JOB_EVENTS, signal);
}

async function* events<Event>(
  path: string,
  init: { readonly method?: string; readonly body?: string },
  known: readonly string[],
  signal: AbortSignal,
): AsyncGenerator<Event> {
  for await (const { event, data } of stream(path, init, signal)) {
    if (!known.includes(event)) continue;
    yield { type: event, data: JSON.parse(data) as unknown } as Event;
    if (event === 'done' || event === 'error') return;
  }
}

/** A view that has no end, as a whole at each change. Throws as `dialogue`, also when the gateway falls silent. */
export async function* follow<T>(path: string, signal: AbortSignal): AsyncGenerator<T> {
  for await (const { event, data } of stream(path, {}, signal)) {
    if (event === 'error') {
      const { code, message } = JSON.parse(data) as { code: string; message: string };
      throw new Trouble(code, message);
    }
    yield JSON.parse(data) as T;
  }
}

async function* stream(
  path: string,
  init: { readonly method?: string; readonly body?: string },
  signal: AbortSignal,
): AsyncGenerator<StreamEvent> {
  const { key } = keyStore.state();
  const response = await fetch(address(path), {
    ...init,
    headers: headers(key, {
      accept: 'text/event-stream',
      ...(init.body === undefined ? {} : { 'content-type': 'application/json' }),
    }),
    signal,
  });
  if (!response.ok || response.body === null) throw await troubleOf(response, key);
  // Read from the source itself: a transform in between would drop what it holds when the connection breaks.
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  const parser = new EventStreamParser();
  let silence: ReturnType<typeof setTimeout> | undefined;
  try {
    for (;;) {
      clearTimeout(silence);
      silence = setTimeout(() => void reader.cancel().catch(() => undefined), SILENCE_MAX_MS);
      const { done, value } = await reader.read().catch((error: unknown) => {
        throw signal.aborted ? error : new Trouble('stream_cut', 'The connection broke in mid-line.');
      });
      if (done) throw new Trouble('stream_cut', 'The stream ended before the line did.');
      yield* parser.push(decoder.decode(value, { stream: true }));
    }
  } finally {
    clearTimeout(silence);
    await reader.cancel().catch(() => undefined);
  }
}
