/**
 * The questions to an engine that are not words, as data: where each wire answers them, and how the answer reads
 * (engines.md §13.4). A driver names the questions that its engine has; what it leaves out is answered by the model list.
 */
import type { EngineLoad, EngineModel, EngineProbe } from '../core/engine.ts';
import { ServiceError } from '../core/errors.ts';
import { readBody, type Transport, type WireResponse } from '../core/transport.ts';
import { asNotReady } from './ask-json.ts';
import { prometheusSum } from './prometheus-text.ts';
import { refusal } from './wire-errors.ts';

/** A model list of a large cloud has some hundred entries; a metrics page of vLLM some thousand lines. */
const ANSWER_BYTES_MAX = 8_000_000;

/** Asks one question; `body` makes it a POST. Throws as `Transport.exchange` does. */
export type Ask = (path: string, signal: AbortSignal, body?: unknown) => Promise<Answer>;

/** A whole small reply. */
export interface Answer {
  readonly status: number;
  readonly headers: WireResponse['headers'];
  readonly text: string;
}

export interface Questions {
  /** Where the model list is. */
  readonly modelsPath: string;
  /** Where the version stands, and how it is read from the JSON; left out, or a page that is not there: `unknown`. */
  readonly version?: { readonly path: string; readonly read: (answer: unknown) => unknown };
  /** A path that answers 200 while the process lives; left out: the model list. */
  readonly livePath?: string;
  /** A path that answers 200 only when it can take work, or a question of its own, which throws when it cannot. */
  readonly ready?: string | ((ask: Ask, model: string, signal: AbortSignal) => Promise<void>);
  /** Where its own counts may be, and how they are read; the first that is there counts. Left out: it does not tell. */
  readonly load?: readonly LoadPage[];
}

export interface LoadPage {
  readonly path: string;
  /** Null when the counts are not in it. */
  readonly read: (page: string) => EngineLoad | null;
}

/** The two gauges of a Prometheus page. */
export function gauges(path: string, running: string, waiting: string): LoadPage {
  return {
    path,
    read: (page) => {
      const counts = { running: prometheusSum(page, running), waiting: prometheusSum(page, waiting) };
      if (counts.running === null) return null;
      return { running: counts.running, waiting: counts.waiting ?? 0 };
    },
  };
}

/** The member of a JSON object; undefined where there is none. */
export function member(name: string): (answer: unknown) => unknown {
  return (answer) =>
    typeof answer === 'object' && answer !== null ? (answer as Record<string, unknown>)[name] : undefined;
}

export function createChatProbe(options: {
  readonly name: string;
  readonly model: string;
  readonly transport: () => Transport;
  readonly questions: Questions;
}): EngineProbe {
  const { name, model, transport, questions } = options;
  const ask = asking(name, transport);

  const models = async (signal: AbortSignal): Promise<readonly EngineModel[]> => {
    const answer = await expect200(name, await ask(questions.modelsPath, signal));
    return readModels(name, parseAnswer(name, questions.modelsPath, answer));
  };
  return {
    version: async (signal) => {
      if (questions.version === undefined) return 'unknown';
      const { path, read } = questions.version;
      const heard = await ask(path, signal);
      // Who speaks the wire of another engine may not have its version page (llm-d's simulator).
      if (heard.status === 404) return 'unknown';
      const answer = await expect200(name, heard);
      const version = read(parseAnswer(name, path, answer));
      return typeof version === 'string' && version !== '' ? version : 'unknown';
    },
    models,
    live: async (signal) => {
      await expect200(name, await ask(questions.livePath ?? questions.modelsPath, signal));
    },
    ready: async (signal) => {
      const { ready } = questions;
      try {
        if (typeof ready === 'function') await ready(ask, model, signal);
        else if (ready !== undefined) await expect200(name, await ask(ready, signal));
        else requireListed(name, model, await models(signal));
      } catch (error) {
        throw asNotReady(error);
      }
    },
    load: async (signal) => {
      for (const { path, read } of questions.load ?? []) {
        const answer = await ask(path, signal);
        // Metrics are switched off on many servers, or guarded by a proxy: then it does not tell.
        const load = answer.status === 200 ? read(answer.text) : null;
        if (load !== null) return load;
      }
      return null;
    },
  };
}

/** Asks this engine, wherever it is at the moment of the question. */
export function asking(name: string, transport: () => Transport): Ask {
  return (path, signal, body) => askOnce(name, transport(), path, body, signal);
}

async function askOnce(
  name: string,
  transport: Transport,
  path: string,
  body: unknown,
  signal: AbortSignal,
): Promise<Answer> {
  signal.throwIfAborted();
  const reply = await transport.exchange(
    body === undefined
      ? { method: 'GET', path, headers: { accept: '*/*' } }
      : {
          method: 'POST',
          path,
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify(body),
        },
    signal,
  );
  try {
    const bytes = await readBody(reply.body, ANSWER_BYTES_MAX);
    return { status: reply.status, headers: reply.headers, text: bytes.toString('utf8') };
  } catch (error) {
    signal.throwIfAborted();
    const reason = error instanceof Error ? error.message : String(error);
    throw new ServiceError('engine_error', `${name}: the answer of ${path} broke off: ${reason}`, {
      cause: error,
      details: { engine: name, path },
    });
  }
}

/** Throws what the status means to the ladder unless it is 200. */
export async function expect200(name: string, answer: Answer): Promise<Answer> {
  if (answer.status === 200) return answer;
  throw await refusal(name, answer.status, once(answer.text), answer.headers);
}

async function* once(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text);
}

export function parseAnswer(name: string, path: string, answer: Answer): unknown {
  try {
    return JSON.parse(answer.text);
  } catch (error) {
    const start = answer.text.replace(/\s+/g, ' ').slice(0, 80);
    throw new ServiceError(
      'engine_error',
      `${name}: ${path} answered with no JSON (${start}); check the engine's base URL`,
      { cause: error, details: { engine: name, path } },
    );
  }
}

/** OpenAI's list, with what vLLM and SGLang add to a card. */
function readModels(name: string, answer: unknown): readonly EngineModel[] {
  const { data } = (answer ?? {}) as { readonly data?: unknown };
  if (!Array.isArray(data))
    throw new ServiceError('engine_error', `${name}: the model list has no data`, {
      details: { engine: name },
    });
  return data.flatMap((card: unknown) => {
    const { id, max_model_len, parent } = (card ?? {}) as Readonly<Record<string, unknown>>;
    if (typeof id !== 'string' || id === '') return [];
    return {
      id,
      maxModelTokens: Number.isSafeInteger(max_model_len) ? (max_model_len as number) : null,
      parent: typeof parent === 'string' && parent !== '' ? parent : null,
    };
  });
}

function requireListed(name: string, model: string, models: readonly EngineModel[]): void {
  if (models.some((each) => each.id === model)) return;
  const ids = models.slice(0, 10).map((each) => each.id);
  throw new ServiceError(
    'not_ready',
    `${name} does not list the model ${model}; it has ${ids.join(', ') || 'none'}`,
    { details: { engine: name, model } },
  );
}
