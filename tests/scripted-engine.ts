/**
 * An engine that plays scripts: what it does to a request is chosen by one word in the player's words, so that many
 * tests share one gateway and never meet. A script may speak, stop, cut the connection, hang, or send any bytes.
 */
import type { ServerResponse } from 'node:http';
import { type ChatServer, startChatServer } from '../src/testing/chat-server.ts';

type Body = Readonly<Record<string, unknown>>;

/** What a script can do to one request of the gateway. */
export interface Speaker {
  /** How many requests this script had before this one. */
  readonly turn: number;
  readonly body: Body;
  /** Sends the text as one chunk. */
  text(text: string): Promise<void>;
  /** Ends well, or with the reason given. */
  finish(reason?: string): Promise<void>;
  /** Sends bytes as they are. */
  raw(bytes: string): Promise<void>;
  /** Cuts the connection. */
  die(): void;
  /** Says nothing more until the gateway hangs up. */
  hang(): Promise<void>;
}
export type Script = (speaker: Speaker) => Promise<void> | void;

export interface ScriptedEngine extends AsyncDisposable {
  readonly server: ChatServer;
  readonly origin: string;
  /** Bodies of the chat requests whose player's words hold `name`, oldest first. */
  askedFor(name: string): readonly Body[];
}

const DEFAULT_LINE = 'The house is quiet tonight, and the candles keep their counsel.';

/** Says these chunks at every roll. */
export function always(...chunks: readonly string[]): Script {
  return async (speaker) => {
    for (const chunk of chunks) await speaker.text(chunk);
    await speaker.finish();
  };
}

/** `fallback` plays where no script's name stands in the player's words, as at the warm-up. */
export async function scriptedEngine(
  scripts: Readonly<Record<string, Script>>,
  fallback: Script = always(DEFAULT_LINE),
): Promise<ScriptedEngine> {
  const turns = new Map<string, number>();
  const server = await startChatServer(async (body, response, closed) => {
    if (!('messages' in body)) {
      // `/tokenize`: a word is a token.
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ count: JSON.stringify(body['prompt']).split(/\s+/).length }));
      return;
    }
    const said = playerWords(body);
    const name = Object.keys(scripts).find((each) => said.includes(each)) ?? '';
    const turn = turns.get(name) ?? 0;
    turns.set(name, turn + 1);
    await (scripts[name] ?? fallback)(speakerOf(body, response, closed, turn));
  });
  return {
    server,
    origin: server.origin,
    askedFor: (name) => server.asked.filter((body) => 'messages' in body && playerWords(body).includes(name)),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/** What the last message of the player says. */
export function playerWords(body: Body): string {
  const messages = body['messages'] as readonly { role: string; content: string }[];
  return messages.findLast(({ role }) => role === 'user')?.content ?? '';
}

function speakerOf(body: Body, response: ServerResponse, closed: AbortSignal, turn: number): Speaker {
  const hungUp = new Promise<void>((resolve) => {
    closed.addEventListener('abort', () => resolve(), { once: true });
  });
  const raw = async (bytes: string) => {
    closed.throwIfAborted();
    if (!response.headersSent) response.writeHead(200, { 'content-type': 'text/event-stream' });
    // A socket that closes meanwhile never calls back.
    await Promise.race([hungUp, new Promise<void>((resolve) => response.write(bytes, () => resolve()))]);
  };
  const send = (value: unknown) => raw(`data: ${JSON.stringify(value)}\n\n`);
  return {
    turn,
    body,
    raw,
    text: (text) => send({ choices: [{ index: 0, delta: { content: text }, finish_reason: null }] }),
    finish: async (reason = 'stop') => {
      await send({ choices: [{ index: 0, delta: {}, finish_reason: reason }] });
      await send({ choices: [], usage: { prompt_tokens: 40, completion_tokens: 9 } });
      await raw('data: [DONE]\n\n');
      response.end();
    },
    die: () => response.destroy(),
    hang: () => hungUp,
  };
}
