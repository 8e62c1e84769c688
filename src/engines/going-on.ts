/**
 * How an engine that cannot go on from an assistant message is asked to: it sees what it said, and is told to say the
 * rest. It may begin anew all the same; the join is checked by who asked.
 */
import type { ChatMessage, GenerateRequest } from '../core/engine.ts';

export const GO_ON =
  'Go on from exactly where you stopped. Do not repeat anything of what you said, and do not mention this request.';

/**
 * The messages with what was said already: as the last one, from which an engine goes on natively, or followed by the
 * written instruction.
 */
export function messagesGoingOn(
  request: Pick<GenerateRequest, 'messages' | 'assistantPrefix'>,
  continuesAssistant: boolean,
): readonly ChatMessage[] {
  if (request.assistantPrefix === '') return request.messages;
  const said: ChatMessage = { role: 'assistant', content: request.assistantPrefix };
  if (continuesAssistant) return [...request.messages, said];
  return [...request.messages, said, { role: 'user', content: GO_ON }];
}
