/**
 * Every request the console makes. Failures are `Trouble` with the gateway's stable code, or `unreachable` when no
 * answer came; the sentence for the reader is made in trouble.ts. Nothing here retries.
 */
import { EventStreamParser } from './event-stream.ts';
import { keyStore } from './key.ts';
import type { DialogueBody, DialogueEvent, Readiness } from './wire.ts';

const POLL_TIMEOUT_MS = 8_000;

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

/** GET as JSON. Throws Trouble; cancelling `signal` rejects with its reason. */
export async function read<T>(path: string, signal: AbortSignal): Promise<T> {
  const { key } = keyStore.state();
  const response = await fetch(address(path), {
    headers: headers(key, { accept: 'application/json' }),
    signal: AbortSignal.any([signal, AbortSignal.timeout(POLL_TIMEOUT_MS)]),
  });
  if (!response.ok) throw await troubleOf(response, key);
  return (await response.json()) as T;
}

/** `/readyz`, whose 503 is an answer too. */
export async function readReadiness(signal: AbortSignal): Promise<Readiness> {
  const { key } = keyStore.state();
  const response = await fetch(address('/readyz'), {
    headers: headers(key, { accept: 'application/json' }),
    signal: AbortSignal.any([signal, AbortSignal.timeout(POLL_TIMEOUT_MS)]),
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

const KNOWN = new Set(['accepted', 'filler', 'sentence', 'action', 'done', 'error']);

/**
 * One dialogue as its events. Aborting `signal` hangs up, which is how an NPC is interrupted. Throws Trouble when the
 * gateway refuses or the connection breaks; a stream that ends without `done` or `error` throws `stream_cut`.
 */
export async function* dialogue(body: DialogueBody, signal: AbortSignal): AsyncGenerator<DialogueEvent> {
  const { key } = keyStore.state();
  const response = await fetch(address('/v1/dialogue'), {
    method: 'POST',
    headers: headers(key, { 'content-type': 'application/json', accept: 'text/event-stream' }),
    body: JSON.stringify({ ...body, stream: true }),
    signal,
  });
  if (!response.ok || response.body === null) throw await troubleOf(response, key);
  // Read from the source itself: a transform in between would drop what it holds when the connection breaks.
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  const parser = new EventStreamParser();
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((error: unknown) => {
        throw signal.aborted ? error : new Trouble('stream_cut', 'The connection broke in mid-line.');
      });
      if (done) throw new Trouble('stream_cut', 'The stream ended before the line did.');
      for (const { event, data } of parser.push(decoder.decode(value, { stream: true }))) {
        if (!KNOWN.has(event)) continue;
        yield { type: event, data: JSON.parse(data) as unknown } as DialogueEvent;
        if (event === 'done' || event === 'error') return;
      }
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
