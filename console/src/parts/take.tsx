/** One voice's column: its takes, the words as they come, and who really spoke them. Earlier takes can be read again. */
import { Fragment, useState } from 'react';
import { speakerOf, stageWords } from '../adapter-words.ts';
import { type Exchange, isLive } from '../conversation.ts';
import { milliseconds } from '../format.ts';
import { causeText } from '../trouble.ts';
import type { Voice } from '../use-compare.ts';
import type { ReplicaView } from '../wire-adapters.ts';
import { Notice } from './notice.tsx';

interface TakeProps {
  readonly voice: Voice;
  readonly takes: readonly Exchange[];
  readonly engines: readonly ReplicaView[] | null;
  /** null: there is no question to ask. */
  readonly onAgain: (() => void) | null;
}

export function Take({ voice, takes, engines, onAgain }: TakeProps) {
  /** The number of the take that is read; null: the latest. */
  const [chosen, choose] = useState<number | null>(null);
  const found = takes.findIndex(({ number }) => number === chosen);
  const at = found < 0 ? takes.length - 1 : found;
  const take = takes[at];
  const go = (to: number): void => choose(to >= takes.length - 1 ? null : (takes[to]?.number ?? null));
  const again = (): void => {
    choose(null);
    onAgain?.();
  };
  return (
    <article className="take" aria-label={voice ?? 'The base'} data-state={take?.reply.state ?? 'silent'}>
      <header className="take-head">
        <h2>{voice ?? 'The base'}</h2>
        <Whereabouts voice={voice} engines={engines} />
      </header>
      <div className="take-speech" aria-busy={take !== undefined && isLive(take.reply)}>
        {take ? <Words take={take} /> : <p className="script-empty">Not asked yet.</p>}
      </div>
      {take && <Account take={take} />}
      <footer className="take-foot">
        <button type="button" aria-disabled={onAgain === null} onClick={again}>
          New take
        </button>
        {takes.length > 1 && (
          <span className="take-turn">
            <button type="button" aria-label="Earlier take" disabled={at === 0} onClick={() => go(at - 1)}>
              ‹
            </button>
            <span>
              {at + 1} of {takes.length}
            </span>
            <button
              type="button"
              aria-label="Later take"
              disabled={at === takes.length - 1}
              onClick={() => go(at + 1)}
            >
              ›
            </button>
          </span>
        )}
      </footer>
    </article>
  );
}

/** Where the adapter lies now, before anybody asks. */
function Whereabouts({ voice, engines }: Pick<TakeProps, 'voice' | 'engines'>) {
  if (voice === null) return <p className="take-where">no adapter</p>;
  const places = engines?.flatMap(({ engine, adapters }) =>
    adapters.filter(({ id }) => id === voice).map(({ stage }) => ({ engine, stage })),
  );
  if (!places) return <p className="take-where">&nbsp;</p>;
  const best = places.find(({ stage }) => stage === 'resident') ?? places[0];
  if (!best) return <p className="take-where">on no engine yet: its first line waits for it</p>;
  return (
    <p className="take-where">
      {stageWords(best.stage).words} on {best.engine}
    </p>
  );
}

function Words({ take: { prompt, reply } }: { take: Exchange }) {
  return (
    <>
      <p className="take-asked">{prompt}</p>
      {reply.filler && (
        <p className="filler">
          {reply.filler} <span className="mark">filler</span>
        </p>
      )}
      {reply.sentences.length > 0 && (
        <p className="speech">
          {reply.sentences.map((sentence, place) => (
            <Fragment key={sentence.index}>
              {place > 0 && ' '}
              <span className="sentence">{sentence.text}</span>
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
      {reply.state === 'cut' && <p className="direction cut">(stopped)</p>}
      {reply.trouble && (
        <div role="alert">
          <Notice trouble={reply.trouble} />
        </div>
      )}
    </>
  );
}

/** Who spoke, and how soon. */
function Account({ take: { reply } }: { take: Exchange }) {
  const { outcome } = reply;
  if (!outcome) return null;
  const speaker = speakerOf(outcome.source);
  const { cause, kind } = outcome.source;
  return (
    <div className="take-account">
      <p className="take-speaker" data-tone={speaker.isOther ? 'warn' : undefined}>
        {speaker.text}.
      </p>
      {cause && <p data-tone="warn">Fell back: {causeText(cause, kind)}.</p>}
      <p className="take-figures">
        first sentence {milliseconds(outcome.timing.ttfs_ms)}, all {milliseconds(outcome.timing.total_ms)}
      </p>
    </div>
  );
}
