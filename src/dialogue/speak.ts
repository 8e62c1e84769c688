/**
 * Tokens in, sentences out: thinking is dropped, the rest is cut, each sentence cleaned, judged and committed. The loop
 * leaves the engine as soon as nothing more will be said, which frees its place.
 */
import type { GenerateEvent } from '../core/engine.ts';
import { ServiceError } from '../core/errors.ts';
import type { GuardRule } from './guard.ts';
import type { Reply } from './reply.ts';
import { lastSentence, SentenceCutter } from './sentences.ts';
import { ThinkingFilter } from './thinking.ts';

export interface SpokenSentence {
  readonly text: string;
  readonly lineId: string | null;
  /** Of the variant that is said again; left out: it is said for the first time. */
  readonly variantId?: string;
}

export type SpeechEnd =
  | { readonly kind: 'complete'; readonly reason: 'stop' | 'length' }
  | { readonly kind: 'blocked'; readonly rule: GuardRule }
  /** The engine's own filter ended the answer: rolling again would end the same (engines.md §10.6). */
  | { readonly kind: 'filtered' };

/**
 * Yields each sentence once it may be said. Returns how the attempt ended; throws what the engine throws. `onFirstText`
 * is called at the first token that can be heard.
 */
export async function* speak(
  events: AsyncIterable<GenerateEvent>,
  reply: Reply,
  onFirstText: () => void,
): AsyncGenerator<SpokenSentence, SpeechEnd> {
  const thinking = new ThinkingFilter();
  const cutter = new SentenceCutter();
  let heardAnything = false;
  let reason: 'stop' | 'length' = 'stop';
  try {
    for await (const event of events) {
      if (event.type === 'usage') continue;
      if (event.type === 'finish') {
        if (event.reason === 'content_filter') return { kind: 'filtered' };
        if (event.reason === 'length') reason = 'length';
        continue;
      }
      if (event.lineId !== undefined) {
        // A written line is a whole one, approved by a person: it is neither cut nor judged.
        reply.commit(event.text);
        yield { text: event.text, lineId: event.lineId };
        continue;
      }
      const text = thinking.push(event.text);
      if (text === '') continue;
      if (!heardAnything) {
        heardAnything = true;
        onFirstText();
      }
      for (const raw of cutter.push(text)) {
        const judged = reply.judge(raw);
        if (judged.kind === 'blocked') return judged;
        if (judged.kind === 'over') return { kind: 'complete', reason: 'stop' };
        if (judged.kind === 'nothing') continue;
        reply.commit(judged.text);
        yield { text: judged.text, lineId: null };
        if (reply.isFull) return { kind: 'complete', reason: 'stop' };
      }
    }
  } catch (error) {
    // What was whole when the stream broke is said before the ladder goes on, unless the engine disowned the line; a
    // player who hung up hears nothing more.
    const broken = cutter.flush();
    const { code, details } = ServiceError.from(error);
    const isHeard = code !== 'client_closed' && details['isDisowned'] !== true;
    if (isHeard && broken.complete && broken.sentence !== null && !reply.isFull) {
      const judged = reply.judge(broken.sentence);
      if (judged.kind === 'say') {
        reply.commit(judged.text);
        yield { text: judged.text, lineId: null };
      }
    }
    throw error;
  }
  for (const raw of cutter.push(thinking.flush())) {
    const judged = reply.judge(raw);
    if (judged.kind === 'blocked') return judged;
    if (judged.kind !== 'say') continue;
    reply.commit(judged.text);
    yield { text: judged.text, lineId: null };
  }
  const rest = lastSentence(cutter.flush(), reply.committed.length === 0);
  if (rest !== null && !reply.isFull) {
    const judged = reply.judge(rest);
    if (judged.kind === 'blocked') return judged;
    if (judged.kind === 'say') {
      reply.commit(judged.text);
      yield { text: judged.text, lineId: null };
    }
  }
  return { kind: 'complete', reason };
}
