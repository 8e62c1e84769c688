/**
 * A double of an engine of the common dialect: a true HTTP server that queues, prefills, decodes and stops when the
 * client hangs up, with words instead of a model. Which bytes it writes is told by the engine's `ChatWire`; the vendor's
 * own client judges them in `src/engines/chat-doubles.test.ts`.
 */
import { type Body, type ChatWire, type DoubleState, WireFailure } from './chat-wire.ts';
import { DoubleAdapters, type DoubleAdaptersOptions } from './double-adapters.ts';
import { EngineWork } from './engine-work.ts';
import { startWireServer, type WireExchange, type WireServer } from './wire-server.ts';
import { answerOf, tokens } from './words.ts';

export const DOUBLE_MODEL = 'ghoul-7b';
export const DOUBLE_KEY = 'double-key';

export interface ChatDouble extends WireServer {
  readonly state: DoubleState;
}

export interface Message {
  readonly role: string;
  readonly content: string;
}

/** One answer, decided before its first byte. */
interface Plan {
  readonly pieces: readonly string[];
  readonly finish: string;
  readonly prompt: number;
  readonly cached: number;
}

export interface DoubleOptions {
  /** Answers made at once; the others wait. */
  readonly places?: number;
  /** What it says to these messages, a token each, instead of numbered words. */
  readonly say?: (messages: readonly Message[]) => readonly string[];
  /** How many adapters it can hold, and what is wrong with it. */
  readonly adapters?: DoubleAdaptersOptions;
}

export async function startChatDouble(
  wire: ChatWire,
  { places = 4, say, adapters }: DoubleOptions = {},
): Promise<ChatDouble> {
  const state: DoubleState = {
    work: new EngineWork(places),
    model: DOUBLE_MODEL,
    isLoaded: true,
    adapters: new DoubleAdapters(adapters),
  };
  /** Prompts that were read, each with the voice that it was read under. */
  const prompts = new Map<string, string>();
  const routes = wire.routes(state);
  const server = await startWireServer(async (exchange) => {
    const { method, path, json, headers } = exchange;
    try {
      const isGuarded = path.startsWith(`${wire.apiPath}/`);
      const refused = isGuarded ? (wire.unauthorized?.(headers) ?? null) : null;
      if (refused !== null) throw refused;
      const own = routes[`${method} ${path}`];
      if (own !== undefined) return await own(exchange);
      if (`${method} ${path}` === `GET ${wire.apiPath}/models`)
        return json(200, { object: 'list', data: [wire.card(state), ...(wire.adapterCards?.(state) ?? [])] });
      if (`${method} ${path}` === `POST ${wire.apiPath}/chat/completions`)
        return await chat(wire, state, exchange, prompts, say);
      throw new WireFailure(404, 'NotFoundError', 'Not Found');
    } catch (error) {
      if (!(error instanceof WireFailure)) throw error;
      json(error.status, wire.failure(error));
    }
  });
  return Object.assign(server, { state });
}

async function chat(
  wire: ChatWire,
  state: DoubleState,
  exchange: WireExchange,
  prompts: Map<string, string>,
  say: DoubleOptions['say'],
): Promise<void> {
  const { body } = exchange;
  const adapter = await check(wire, state, body);
  const plan = spoken(planOf(wire, body, prompts, state.adapters.speak(adapter)), body, say);
  const said = state.work.run(plan.pieces, exchange.closed);
  if (body['stream'] === true) await stream(wire, state, exchange, plan, said);
  else await whole(wire, state, exchange, plan, said);
}

/** What an engine looks at before it takes a request, and the adapter that is to speak. Throws WireFailure. */
async function check(wire: ChatWire, state: DoubleState, body: Body): Promise<string | null> {
  const unknown =
    wire.fields === undefined ? [] : Object.keys(body).filter((key) => !wire.fields?.includes(key));
  if (unknown.length > 0)
    throw new WireFailure(
      400,
      'invalid_request_error',
      `Unrecognized request argument: ${unknown.join(', ')}`,
    );
  if (!Array.isArray(body['messages']) || body['messages'].length === 0)
    throw new WireFailure(400, 'BadRequestError', 'messages: at least one is needed');
  const adapter = (await wire.addressed?.(body, state)) ?? null;
  if (wire.checksModel && adapter === null && body['model'] !== state.model)
    throw new WireFailure(404, 'NotFoundError', `The model \`${String(body['model'])}\` does not exist.`, {
      param: 'model',
    });
  const refused = wire.refuses?.(body) ?? null;
  if (refused !== null) throw refused;
  if (!state.isLoaded) throw wire.notLoaded;
  return adapter;
}

function planOf(wire: ChatWire, body: Body, prompts: Map<string, string>, voice: string): Plan {
  const messages = body['messages'] as readonly Message[];
  const last = messages.at(-1);
  const isOpen = last?.role === 'assistant' && wire.openMessage(body, last);
  const text = messages.map(({ content }) => content).join('\n');
  const structure = wire.structureOf(body);
  if (structure === 'json' && !/json/i.test(text))
    throw new WireFailure(400, 'invalid_request_error', "Prompt must contain the word 'json'");
  // Where caches know no adapters, what was read under one speaks on under another.
  const key = wire.mixesCaches === undefined ? `${voice}\n${text}` : text;
  const readUnder = prompts.get(key);
  const heard = wire.mixesCaches?.(body) === true ? (readUnder ?? voice) : voice;
  prompts.set(key, heard);
  const answer = answerOf({
    said: isOpen ? tokens(last.content).length : 0,
    tokensMax: Number(body[wire.maxTokensField] ?? 16),
    stops: [(body['stop'] ?? []) as string | readonly string[]].flat(),
    structure,
    voice: heard,
  });
  const prompt = tokens(text).length;
  const cached = readUnder === heard ? prompt - 1 : 0;
  const { end } = answer;
  const isEchoed = isOpen && wire.echoesOpenMessage?.(body) === true;
  const pieces = isEchoed ? [last.content, ...answer.pieces] : answer.pieces;
  const finish = end === 'stop string' ? wire.stopReason : end === 'whole' ? 'stop' : 'length';
  return { pieces, finish, prompt, cached };
}

/** The plan with other words in it, where such are given: whole ones, so it ends by itself. */
function spoken(plan: Plan, body: Body, say: DoubleOptions['say']): Plan {
  if (say === undefined) return plan;
  return { ...plan, pieces: say(body['messages'] as readonly Message[]), finish: 'stop' };
}

async function stream(
  wire: ChatWire,
  state: DoubleState,
  { body, begin, send, response }: WireExchange,
  { finish, prompt, cached }: Plan,
  said: AsyncIterable<string>,
): Promise<void> {
  const asked = (body['stream_options'] ?? {}) as {
    readonly include_usage?: boolean;
    readonly continuous_usage_stats?: boolean;
  };
  const head = {
    id: 'chatcmpl-1',
    object: 'chat.completion.chunk',
    created: 1_790_000_000,
    model: state.model,
    ...wire.chunkFields,
  };
  const frame = (chunk: Body) => wire.frame(JSON.stringify({ ...head, ...chunk }));
  let completion = 0;
  const usage = () => wire.usage({ prompt, cached, completion });
  const usageField = () =>
    asked.continuous_usage_stats === true
      ? { usage: usage() }
      : wire.saysNullUsage && (asked.include_usage === true || wire.usagePlace === 'finish')
        ? { usage: null }
        : {};
  const chunk = (delta: Body, reason: string | null = null) =>
    frame({ choices: [{ index: 0, delta, logprobs: null, finish_reason: reason }], ...usageField() });

  begin('text/event-stream; charset=utf-8');
  // An engine sends its head with the role, before the first token is there.
  await send(
    wire.comment + wire.head.map(frame).join('') + chunk({ role: 'assistant', content: wire.firstContent }),
  );
  for await (const piece of said) {
    completion += 1;
    await send(chunk({ content: piece }));
  }
  if (wire.usagePlace === 'finish')
    await send(
      frame({ choices: [{ index: 0, delta: { content: '' }, finish_reason: finish }], usage: usage() }),
    );
  else {
    await send(chunk({}, finish));
    if (asked.include_usage === true) await send(frame({ choices: [], usage: usage() }));
  }
  await send(wire.frame('[DONE]'));
  response.end();
}

async function whole(
  wire: ChatWire,
  state: DoubleState,
  { json }: WireExchange,
  { finish, prompt, cached }: Plan,
  said: AsyncIterable<string>,
): Promise<void> {
  const pieces: string[] = [];
  for await (const piece of said) pieces.push(piece);
  json(200, {
    id: 'chatcmpl-1',
    object: 'chat.completion',
    created: 1_790_000_000,
    model: state.model,
    choices: [
      {
        index: 0,
        message: { role: 'assistant', content: pieces.join('') },
        logprobs: null,
        finish_reason: finish,
      },
    ],
    usage: wire.usage({ prompt, cached, completion: pieces.length }),
  });
}
