/** One exchange of the script: the player's line (or the event), the reply sentence by sentence, its margin note. */
import { type Exchange, isLive } from '../conversation.ts';
import { words } from '../format.ts';
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
              {reply.sentences.map((sentence) => (
                <span
                  key={sentence.index}
                  className="sentence"
                  data-source={sentence.source}
                  title={sentence.line_id}
                >
                  {sentence.text}{' '}
                </span>
              ))}
              {reply.state === 'cut' && <span className="cut-dash">—</span>}
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

function argumentsText(params: Readonly<Record<string, unknown>> | undefined): string {
  const entries = Object.entries(params ?? {});
  return entries
    .map(([name, value]) => `${name} ${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join(', ');
}
