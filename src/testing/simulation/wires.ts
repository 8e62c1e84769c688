/**
 * The wires that simulated engines speak, as bytes: OpenAI's chat stream (vLLM and its relatives), Ollama's lines and
 * Anthropic's named events, written from engines.md §2, §6 and §10. The real drivers and parsers read them.
 */

/** What an engine takes out of a request, whatever its wire. */
export interface Asked {
  readonly model: string;
  /** Everything that the model reads, one text. */
  readonly prompt: string;
  /** The last words of a user in it. */
  readonly lastUserText: string;
  /** What the assistant is to go on from; empty: from the start. */
  readonly assistantPrefix: string;
  readonly maxTokens: number;
  /** Temperature 0: the same words for the same prompt. */
  readonly isGreedy: boolean;
  /** Whether the request asked for usage while it runs. */
  readonly wantsRunningUsage: boolean;
}

export interface Counted {
  readonly promptTokens: number;
  readonly completionTokens: number;
}

export interface Wire {
  /** The end of the path that asks for words. */
  readonly path: string;
  readonly contentType: string;
  /** The answer to a request on that path that asks for no words; null: it asks for some. */
  loads(body: Readonly<Record<string, unknown>>): unknown;
  read(body: Readonly<Record<string, unknown>>): Asked;
  /** What comes before the first word. */
  begin(asked: Asked, counted: Counted): string;
  token(text: string, asked: Asked, counted: Counted): string;
  /** The finish; `counted` null leaves the usage out. */
  finish(reason: 'stop' | 'length' | 'aborted', asked: Asked, counted: Counted | null): string;
  /** What closes the stream after the finish; an engine that breaks may send it without one. */
  readonly end: string;
  /** A failure told inside a stream. */
  failure(message: string): string;
  /** The body of a refusal. */
  refusal(message: string): unknown;
}

interface Message {
  readonly role: string;
  readonly content: string;
}

function messagesOf(body: Readonly<Record<string, unknown>>): readonly Message[] {
  const messages = body['messages'];
  if (!Array.isArray(messages)) return [];
  return (messages as { role?: unknown; content?: unknown }[]).map(({ role, content }) => ({
    role: String(role),
    content: contentText(content),
  }));
}

/** Text, or Anthropic's list of blocks. */
function contentText(content: unknown): string {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return '';
  return (content as { text?: unknown }[])
    .map(({ text }) => (typeof text === 'string' ? text : ''))
    .join('\n');
}

function readMessages(
  messages: readonly Message[],
): Pick<Asked, 'prompt' | 'lastUserText' | 'assistantPrefix'> {
  const last = messages.at(-1);
  const isContinued = last?.role === 'assistant';
  // A driver that cannot prefill asks in words, after what was said: the line to answer is the one before.
  const before = isContinued ? messages.slice(0, -1) : messages;
  const lastUser = before.findLastIndex((message) => message.role === 'user');
  const said = before[lastUser - 1];
  const isAskedToGoOn = /^(?:go on|continue)\b/i.test(before[lastUser]?.content ?? '') && lastUser >= 2;
  return {
    prompt: messages.map((message) => message.content).join('\n'),
    lastUserText: before[isAskedToGoOn ? lastUser - 2 : lastUser]?.content ?? '',
    assistantPrefix: isContinued ? (last?.content ?? '') : isAskedToGoOn ? (said?.content ?? '') : '',
  };
}

function number(value: unknown, otherwise: number): number {
  return typeof value === 'number' ? value : otherwise;
}

const sse = (value: unknown) => `data: ${JSON.stringify(value)}\n\n`;

function openAiUsage({ promptTokens, completionTokens }: Counted) {
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
    prompt_tokens_details: { cached_tokens: 0 },
  };
}

export const openAiWire: Wire = {
  path: '/chat/completions',
  contentType: 'text/event-stream; charset=utf-8',
  loads: () => null,
  read: (body) => {
    const options = body['stream_options'] as { continuous_usage_stats?: unknown } | undefined;
    return {
      model: String(body['model']),
      ...readMessages(messagesOf(body)),
      maxTokens: number(body['max_tokens'] ?? body['max_completion_tokens'], 512),
      isGreedy: body['temperature'] === 0,
      wantsRunningUsage: options?.continuous_usage_stats === true,
    };
  },
  begin: () =>
    sse({ choices: [{ index: 0, delta: { role: 'assistant', content: '' }, finish_reason: null }] }),
  token: (text, asked, counted) =>
    sse({
      choices: [{ index: 0, delta: { content: text }, finish_reason: null }],
      ...(asked.wantsRunningUsage ? { usage: openAiUsage(counted) } : {}),
    }),
  finish: (reason, _asked, counted) =>
    sse({ choices: [{ index: 0, delta: {}, finish_reason: reason === 'aborted' ? 'abort' : reason }] }) +
    (counted === null ? '' : sse({ choices: [], usage: openAiUsage(counted) })),
  end: 'data: [DONE]\n\n',
  failure: (message) => sse({ error: { message, type: 'InternalServerError', code: 500 } }),
  refusal: (message) => ({ error: { message, type: 'error', code: null } }),
};

const line = (value: unknown) => `${JSON.stringify(value)}\n`;

export const ollamaWire: Wire = {
  path: '/api/chat',
  contentType: 'application/x-ndjson',
  // Without messages Ollama only loads the model (engines.md §6).
  loads: (body) =>
    messagesOf(body).length > 0
      ? null
      : {
          model: body['model'],
          message: { role: 'assistant', content: '' },
          done: true,
          done_reason: body['keep_alive'] === 0 ? 'unload' : 'load',
        },
  read: (body) => ({
    model: String(body['model']),
    ...readMessages(messagesOf(body)),
    maxTokens: number((body['options'] as { num_predict?: unknown } | undefined)?.num_predict, 128),
    isGreedy: false,
    wantsRunningUsage: false,
  }),
  begin: () => '',
  token: (text, asked) =>
    line({ model: asked.model, message: { role: 'assistant', content: text }, done: false }),
  finish: (reason, asked, counted) =>
    reason === 'aborted'
      ? line({ error: 'an error was encountered while running the model: unexpected EOF' })
      : line({
          model: asked.model,
          message: { role: 'assistant', content: '' },
          done: true,
          done_reason: reason,
          ...(counted === null
            ? {}
            : { prompt_eval_count: counted.promptTokens, eval_count: counted.completionTokens }),
        }),
  end: '',
  failure: (message) => line({ error: message }),
  refusal: (message) => ({ error: message }),
};

const named = (type: string, fields: Readonly<Record<string, unknown>>) =>
  `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`;

export const anthropicWire: Wire = {
  path: '/v1/messages',
  contentType: 'text/event-stream; charset=utf-8',
  loads: () => null,
  read: (body) => {
    const { prompt, ...rest } = readMessages(messagesOf(body));
    return {
      model: String(body['model']),
      ...rest,
      prompt: `${contentText(body['system'])}\n${prompt}`,
      maxTokens: number(body['max_tokens'], 512),
      isGreedy: false,
      wantsRunningUsage: false,
    };
  },
  begin: (asked, { promptTokens }) =>
    named('message_start', {
      message: {
        id: 'msg_simulated',
        type: 'message',
        role: 'assistant',
        model: asked.model,
        content: [],
        stop_reason: null,
        usage: { input_tokens: promptTokens, output_tokens: 1 },
      },
    }) +
    named('content_block_start', { index: 0, content_block: { type: 'text', text: '' } }) +
    named('ping', {}),
  token: (text) => named('content_block_delta', { index: 0, delta: { type: 'text_delta', text } }),
  finish: (reason, _asked, counted) =>
    reason === 'aborted'
      ? named('error', { error: { type: 'overloaded_error', message: 'Overloaded' } })
      : named('content_block_stop', { index: 0 }) +
        named('message_delta', {
          delta: { stop_reason: reason === 'stop' ? 'end_turn' : 'max_tokens', stop_sequence: null },
          ...(counted === null ? {} : { usage: { output_tokens: counted.completionTokens } }),
        }),
  end: named('message_stop', {}),
  failure: (message) => named('error', { error: { type: 'api_error', message } }),
  refusal: (message) => ({ type: 'error', error: { type: 'api_error', message } }),
};
