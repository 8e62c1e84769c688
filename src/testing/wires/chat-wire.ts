/**
 * The common dialect as an engine writes it: what a double of one engine is told, and the chunks, replies and errors that
 * follow. Each engine's file says which version and day its bytes are from.
 */
import type { DoubleAdapters } from './double-adapters.ts';
import type { EngineWork } from './engine-work.ts';
import type { WireHandler } from './wire-server.ts';

export type Body = Readonly<Record<string, unknown>>;

/** A refusal before it has the shape of an engine. */
export class WireFailure extends Error {
  readonly status: number;
  readonly type: string;
  readonly more: Body;

  constructor(status: number, type: string, message: string, more: Body = {}) {
    super(message);
    this.status = status;
    this.type = type;
    this.more = more;
  }
}

/** What is the double's own, for the pages of its engine. */
export interface DoubleState {
  readonly work: EngineWork;
  readonly model: string;
  /** Off: listed, and not loaded. */
  isLoaded: boolean;
  readonly adapters: DoubleAdapters;
}

export interface ChatWire {
  readonly title: string;
  /** What stands before `/chat/completions` and `/models`. */
  readonly apiPath: string;
  /** The card of the model list. */
  readonly card: (state: DoubleState) => Body;
  /** The cards of its adapters; left out: it lists none. */
  readonly adapterCards?: (state: DoubleState) => readonly Body[];
  /**
   * The adapter that this body asks for, by its name; null: the base. Throws WireFailure. Left out: whatever the model is
   * called, it is the base.
   */
  readonly addressed?: (body: Body, state: DoubleState) => string | null | Promise<string | null>;
  /** Whether what was read under one adapter is used under another for this body; left out: never. */
  readonly mixesCaches?: (body: Body) => boolean;
  /** Null when these headers may pass. */
  readonly unauthorized?: (headers: Readonly<Record<string, unknown>>) => WireFailure | null;
  /** Fields of the body that it takes; left out: it ignores what it does not know. */
  readonly fields?: readonly string[];
  readonly maxTokensField: string;
  /** Whether the body's model counts; some serve one whatever it is called. */
  readonly checksModel: boolean;
  /** What the assistant has said already, where this body leaves its last message open. */
  readonly openMessage: (body: Body, last: { readonly role: string; readonly content: string }) => boolean;
  /** Whether an open last message is said again before the answer; left out: never. */
  readonly echoesOpenMessage?: (body: Body) => boolean;
  /** The schema that the answer must follow, `json` where only that is known, null for none. Throws WireFailure. */
  readonly structureOf: (body: Body) => Body | 'json' | null;
  /** What else of a body it does not take; left out: nothing. */
  readonly refuses?: (body: Body) => WireFailure | null;
  readonly failure: (failure: WireFailure) => unknown;
  readonly notLoaded: WireFailure;
  readonly stopReason: 'stop' | 'stop_sequence';
  /** Chunks before all others, for who has such. */
  readonly head: readonly Body[];
  readonly firstContent: '' | null;
  /** A chunk of its own, within the finish chunk, or on every chunk where it was asked for. */
  readonly usagePlace: 'own' | 'finish';
  /** Whether the chunks without usage say `usage: null`. */
  readonly saysNullUsage: boolean;
  readonly frame: (json: string) => string;
  /** Sent before the first chunk. */
  readonly comment: string;
  /** More fields of every chunk. */
  readonly chunkFields: Body;
  /** Its usage, from the counts. */
  readonly usage: (counts: Counts) => Body;
  readonly routes: (state: DoubleState) => Readonly<Record<string, WireHandler>>;
}

export interface Counts {
  readonly prompt: number;
  readonly cached: number;
  readonly completion: number;
}

/** What most engines share; a wire names what differs. */
export const COMMON_WIRE: Omit<ChatWire, 'title' | 'card' | 'routes'> = {
  apiPath: '/v1',
  maxTokensField: 'max_tokens',
  checksModel: true,
  openMessage: () => false,
  structureOf: jsonSchemaOf,
  failure: ({ status, type, message, more }) => ({
    error: { message, type, param: null, code: status, ...more },
  }),
  notLoaded: new WireFailure(500, 'InternalServerError', 'EngineCore encountered an issue'),
  stopReason: 'stop',
  head: [],
  firstContent: '',
  usagePlace: 'own',
  saysNullUsage: false,
  frame: (json) => `data: ${json}\n\n`,
  comment: '',
  chunkFields: {},
  usage: ({ prompt, cached, completion }) => ({
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
    prompt_tokens_details: { cached_tokens: cached },
  }),
};

/** SGLang's and trtllm-serve's shape of an error (engines.md §2.5). */
export function flatFailure({ status, type, message, more }: WireFailure): Body {
  return { object: 'error', message, type, param: null, code: status, ...more };
}

/** OpenAI's `response_format`. */
export function jsonSchemaOf(body: Body): Body | 'json' | null {
  const format = body['response_format'] as
    | { type?: unknown; json_schema?: { schema?: unknown } }
    | undefined;
  if (format?.type === 'json_object') return 'json';
  if (format?.type !== 'json_schema') return null;
  const schema = format.json_schema?.schema;
  if (typeof schema === 'object' && schema !== null) return schema as Body;
  throw new WireFailure(400, 'BadRequestError', 'response_format.json_schema has no schema');
}

/** A key as most are told it. */
export function bearerOnly(key: string, failure: WireFailure): NonNullable<ChatWire['unauthorized']> {
  return (headers) => (headers['authorization'] === `Bearer ${key}` ? null : failure);
}
