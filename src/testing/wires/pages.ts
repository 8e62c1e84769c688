/** Pages that doubles of engines have besides chat: texts, token counts, one-token completions, metrics. */

import type { DoubleState } from './chat-wire.ts';
import { WireFailure } from './chat-wire.ts';
import type { WireExchange, WireHandler } from './wire-server.ts';
import { tokens } from './words.ts';

export function page(value: unknown): WireHandler {
  return async ({ json }) => json(200, value);
}

/** A body that is text or nothing; `failure` while the model is not loaded. */
export function whileLoaded(state: DoubleState, failure: WireFailure | null, text = ''): WireHandler {
  return async ({ response }) => {
    if (!state.isLoaded && failure !== null) throw failure;
    response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8' });
    response.end(text);
  };
}

/** Prometheus gauges of running and waiting, under the engine's own names. */
export function metrics(state: DoubleState, running: string, waiting: string, labels = ''): WireHandler {
  return async (exchange) => writeMetrics(exchange, state, running, waiting, labels);
}

/** The same with `more` behind it: what is only known at the moment of the question. */
export function writeMetrics(
  { response }: WireExchange,
  { work }: DoubleState,
  running: string,
  waiting: string,
  labels: string,
  more = '',
): void {
  const gauge = (name: string, value: number) =>
    `# HELP ${name} Requests.\n# TYPE ${name} gauge\n${name}${labels} ${value}.0\n`;
  response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' });
  response.end(gauge(running, work.running) + gauge(waiting, work.waiting) + more);
}

/** `{count}` of the field that holds the text; `answer` makes the reply. */
export function tokenize(field: string, answer: (count: number) => unknown): WireHandler {
  return async ({ body, json }) => {
    const text = body[field];
    if (typeof text !== 'string') throw new WireFailure(400, 'BadRequestError', `${field} is missing`);
    json(200, answer(tokens(text).length));
  };
}
