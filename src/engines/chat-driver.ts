/**
 * The three parts of a driver of the common dialect from what its engine does differently: words, questions, counting.
 * The base of every such driver; see docs/guides/add-an-engine.md.
 */
import { z } from 'zod';
import type { EngineAdapters } from '../core/adapter.ts';
import type { Dialect } from './chat-dialect.ts';
import { WITHOUT_THINKING } from './chat-dialect.ts';
import { type ChatEngineOptions, createChatEngine } from './chat-engine.ts';
import { createChatProbe, type Questions } from './chat-probe.ts';
import type { Driver, DriverParts } from './driver.ts';
import { createTokenCounter, ESTIMATING_COUNTER, type TokenizeQuestion } from './token-counter.ts';

export interface ChatWire {
  readonly kind: string;
  readonly dialect: Dialect;
  readonly questions: Questions;
  /** How the engine is asked to count tokens; left out: they are estimated. */
  readonly tokenize?: TokenizeQuestion;
  /** How it is told of adapters; the dialect's `addressing` goes with it, or `address`. Left out: it has none. */
  readonly adapters?: EngineAdapters;
  readonly address?: ChatEngineOptions['address'];
}

export function createChatDriver(
  { name, model, transport }: Pick<DriverParts<unknown>, 'name' | 'model' | 'transport'>,
  { kind, dialect, questions, tokenize, adapters, address }: ChatWire,
): Driver {
  return {
    engine: createChatEngine({
      name,
      kind,
      transport,
      dialect,
      ...(address === undefined ? {} : { address }),
    }),
    probe: createChatProbe({ name, model, transport, questions }),
    counter:
      tokenize === undefined
        ? ESTIMATING_COUNTER
        : createTokenCounter({ transport, model, question: tokenize }),
    ...(adapters === undefined ? {} : { adapters }),
  };
}

/** How most of the dialect is told the key. */
export function bearer(apiKey: string | null): Readonly<Record<string, string>> {
  return apiKey === null ? {} : { authorization: `Bearer ${apiKey}` };
}

/** For engines whose chat template has the switch. */
export const thinking = z
  .enum(['off', 'model'])
  .default('off')
  .describe(
    'off: the chat template is told not to think (`enable_thinking: false`), because a player waits. model: nothing is said, for templates and tokenizers that refuse the word (those of Mistral at vLLM; at trtllm-serve each template that does not use it).',
  );

/** The fields that go with the option. */
export function thinkingBody(option: z.infer<typeof thinking>): Readonly<Record<string, unknown>> {
  return option === 'off' ? WITHOUT_THINKING : {};
}
