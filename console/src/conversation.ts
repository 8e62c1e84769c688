/**
 * A conversation as the page remembers it: a pure reducer over what the player did and what the wire said.
 * Invariant: a reply ends once (done, cut or failed), and what was heard before that is never taken away.
 */
import type { Trouble } from './api.ts';
import type { Action, DialogueEvent, Outcome, Sentence } from './wire.ts';

export type ReplyState = 'waiting' | 'speaking' | 'done' | 'cut' | 'failed';

export interface Reply {
  readonly state: ReplyState;
  readonly filler: string | null;
  readonly sentences: readonly Sentence[];
  readonly action: Action | null;
  readonly outcome: Outcome | null;
  readonly trouble: Pick<Trouble, 'code' | 'message'> | null;
  /** Milliseconds from sending to the first sentence on this page; all that is known of a line that was cut. */
  readonly seenTtfsMs: number | null;
}

export interface Exchange {
  readonly number: number;
  readonly playerName: string;
  /** What the player said, or null when a trigger asked for a bark. */
  readonly prompt: string | null;
  readonly trigger: string | null;
  readonly reply: Reply;
}

export interface Conversation {
  readonly id: string;
  readonly exchanges: readonly Exchange[];
}

/** Enough for an evening; older exchanges leave the page, not the store. */
const EXCHANGES_MAX = 200;

const EMPTY_REPLY: Reply = {
  state: 'waiting',
  filler: null,
  sentences: [],
  action: null,
  outcome: null,
  trouble: null,
  seenTtfsMs: null,
};

export type Happening =
  | { readonly type: 'said'; readonly number: number; readonly playerName: string; readonly prompt: string }
  | {
      readonly type: 'triggered';
      readonly number: number;
      readonly playerName: string;
      readonly trigger: string;
    }
  | {
      readonly type: 'heard';
      readonly number: number;
      readonly event: DialogueEvent;
      readonly afterMs: number;
    }
  | { readonly type: 'cut'; readonly number: number }
  | { readonly type: 'failed'; readonly number: number; readonly trouble: Pick<Trouble, 'code' | 'message'> }
  | { readonly type: 'restarted'; readonly id: string };

export function isLive(reply: Reply): boolean {
  return reply.state === 'waiting' || reply.state === 'speaking';
}

function hear(reply: Reply, event: DialogueEvent, afterMs: number): Reply {
  switch (event.type) {
    case 'accepted':
      return reply;
    case 'filler':
      return { ...reply, filler: event.data.text };
    case 'sentence':
      return {
        ...reply,
        state: 'speaking',
        sentences: [...reply.sentences, event.data],
        seenTtfsMs: reply.seenTtfsMs ?? afterMs,
      };
    case 'action':
      return { ...reply, action: event.data };
    case 'done':
      return {
        ...reply,
        state: event.data.finish_reason === 'interrupted' ? 'cut' : 'done',
        outcome: event.data,
      };
    case 'error':
      return { ...reply, state: 'failed', trouble: { code: event.data.code, message: event.data.message } };
  }
}

export function advance(conversation: Conversation, happening: Happening): Conversation {
  if (happening.type === 'restarted') return { id: happening.id, exchanges: [] };
  if (happening.type === 'said' || happening.type === 'triggered') {
    const exchange: Exchange = {
      number: happening.number,
      playerName: happening.playerName,
      prompt: happening.type === 'said' ? happening.prompt : null,
      trigger: happening.type === 'triggered' ? happening.trigger : null,
      reply: EMPTY_REPLY,
    };
    return { ...conversation, exchanges: [...conversation.exchanges, exchange].slice(-EXCHANGES_MAX) };
  }
  return {
    ...conversation,
    exchanges: conversation.exchanges.map((exchange) => {
      if (exchange.number !== happening.number || !isLive(exchange.reply)) return exchange;
      if (happening.type === 'heard')
        return { ...exchange, reply: hear(exchange.reply, happening.event, happening.afterMs) };
      if (happening.type === 'cut') return { ...exchange, reply: { ...exchange.reply, state: 'cut' } };
      return { ...exchange, reply: { ...exchange.reply, state: 'failed', trouble: happening.trouble } };
    }),
  };
}

/** A fresh conversation id. Not a secret; `crypto.randomUUID` is missing on plain-HTTP addresses, this is not. */
export function newConversationId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(6));
  return `console-${Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')}`;
}
