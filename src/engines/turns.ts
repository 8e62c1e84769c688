/**
 * A chat as the clouds with a system field want it: what the service says apart, then user and assistant in turn, the
 * user first, nobody silent. Neighbours of one side are joined, because some clouds refuse them.
 */
import type { ChatMessage } from '../core/engine.ts';

export interface Turns {
  /** The system messages before the first turn, which is where the stable prefix stands. */
  readonly system: readonly string[];
  /** At least one, alternating, beginning with the user. Texts are not blank. */
  readonly turns: readonly { readonly role: 'user' | 'assistant'; readonly text: string }[];
}

/** Stands where the other side begins: no cloud takes a talk without a first word of the user. */
const NOTHING_SAID = '…';

/** A system message between turns is joined to what the user says: only the first ones may speak for the service. */
export function asTurns(messages: readonly ChatMessage[]): Turns {
  const told = messages.filter(({ content }) => content.trim() !== '');
  const firstTurn = told.findIndex(({ role }) => role !== 'system');
  const system = (firstTurn === -1 ? told : told.slice(0, firstTurn)).map(({ content }) => content);
  const turns: { role: 'user' | 'assistant'; text: string }[] = [];
  for (const { role, content } of firstTurn === -1 ? [] : told.slice(firstTurn)) {
    const side = role === 'assistant' ? 'assistant' : 'user';
    const last = turns.at(-1);
    if (last?.role === side) last.text += `\n\n${content}`;
    else turns.push({ role: side, text: content });
  }
  if (turns[0]?.role !== 'user') turns.unshift({ role: 'user', text: NOTHING_SAID });
  return { system, turns };
}
