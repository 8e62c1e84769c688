/** One exchange of the script: the player's line (or the event), the reply sentence by sentence, its margin note. */
import { Fragment } from 'react';
import { type Exchange, isLive, type Reply } from '../conversation.ts';
import { words } from '../format.ts';
import type { Sentence } from '../wire.ts';
import { Notice } from './notice.tsx';
import { Provenance } from './provenance.tsx';

export function ExchangeView({ exchange, npcName }: { exchange: Exchange; npcName: string }) {
  const { reply } = exchange;
  return (
    <article className="exchange" data-state={reply.state}>
      {exchange.prompt !== null ? (
        <div className="line line-player">
          <p className="speaker">{exchange.playerName}</p>
          <p className="speech">{exchange.prompt}</p>
        </div>
      ) : (
        <p className="direction">({words(exchange.trigger ?? '')})</p>
      )}
      <div className="line line-npc">
        <p className="speaker">{npcName}</p>
        <div className="speech" aria-busy={isLive(reply)}>
          {reply.filler && (
            <p className="filler">
              {reply.filler} <span className="mark">filler</span>
            </p>
          )}
          {reply.sentences.length > 0 && (
            <p>
              {reply.sentences.map((sentence, place) => (
                <Fragment key={sentence.index}>
                  {place > 0 && ' '}
                  <span className="sentence" data-mended={isMended(reply, sentence)} title={sentence.line_id}>
                    {sentence.text}
                  </span>
                </Fragment>
              ))}
              {reply.state === 'cut' && <span className="cut-dash"> —</span>}
            </p>
          )}
          {isLive(reply) && (
            <p className="waiting">
              <span className="waiting-dots" aria-hidden="true" />
              <span className="unseen">{reply.state === 'waiting' ? 'Thinking' : 'Speaking'}</span>
            </p>
          )}
          {reply.action && (
            <p className="direction">
              (does: {words(reply.action.name)} {argumentsText(reply.action.params)})
            </p>
          )}
          {reply.state === 'cut' && (
            <p className="direction cut">
              {reply.sentences.length === 0
                ? '(cut off before a word was heard)'
                : `(cut off after ${reply.sentences.length} ${reply.sentences.length === 1 ? 'sentence' : 'sentences'})`}
            </p>
          )}
          {reply.trouble && (
            <div role="alert">
              <Notice trouble={reply.trouble} />
            </div>
          )}
        </div>
      </div>
      {!isLive(reply) && <Provenance reply={reply} />}
    </article>
  );
}

/** A written line amid generated ones: the guard replaced that sentence, or the engine died there. */
function isMended(reply: Reply, sentence: Sentence): boolean {
  return sentence.source === 'written' && reply.sentences.some((other) => other.source !== 'written');
}

function argumentsText(params: Readonly<Record<string, unknown>> | undefined): string {
  const entries = Object.entries(params ?? {});
  return entries
    .map(([name, value]) => `${name} ${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join(', ');
}
