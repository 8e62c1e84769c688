/**
 * Talking to one NPC, set like a prompt book: the script on the left, what produced each line in the margin beside it.
 * Esc interrupts. Sentences are also put into one polite live region, which screen readers speak as they arrive.
 */
import { useEffect, useLayoutEffect, useRef } from 'react';
import { isLive } from '../conversation.ts';
import { words } from '../format.ts';
import { Composer } from '../parts/composer.tsx';
import { ExchangeView } from '../parts/exchange.tsx';
import { SceneForm } from '../parts/scene-form.tsx';
import { routeHash } from '../route.ts';
import type { Live } from '../use-live.ts';
import type { Scene, Talk } from '../use-talk.ts';
import type { NpcSummary } from '../wire.ts';

interface TalkPageProps {
  readonly npc: NpcSummary;
  readonly talk: Talk;
  readonly scene: Scene;
  readonly onScene: (scene: Scene) => void;
  readonly live: Live;
}

export function TalkPage({ npc, talk, scene, onScene, live }: TalkPageProps) {
  const conversation = talk.conversationOf(npc.npc_id);
  const last = conversation.exchanges.at(-1);
  const isSpeaking = last !== undefined && isLive(last.reply);
  const end = useRef<HTMLDivElement>(null);
  const { interrupt } = talk;

  useEffect(() => {
    if (!isSpeaking) return;
    const onKey = (event: KeyboardEvent): void => {
      if (event.key !== 'Escape' || event.isComposing) return;
      event.preventDefault();
      interrupt(npc.npc_id);
    };
    document.addEventListener('keydown', onKey);
    return () => document.removeEventListener('keydown', onKey);
  }, [isSpeaking, interrupt, npc.npc_id]);

  // Follow the talk, unless the reader scrolled up to read.
  const heard = last ? `${last.number} ${last.reply.sentences.length} ${last.reply.state}` : '';
  const isNew = useRef('');
  useLayoutEffect(() => {
    if (heard === isNew.current) return;
    const asked = heard.split(' ')[0] !== isNew.current.split(' ')[0];
    isNew.current = heard;
    const { scrollHeight, clientHeight, scrollTop } = document.documentElement;
    if (heard && (asked || scrollHeight - clientHeight - scrollTop < 320))
      end.current?.scrollIntoView({ block: 'end' });
  }, [heard]);

  return (
    <div className="talk">
      <header className="talk-head">
        <a className="back" href="#/talk">
          ← Cast
        </a>
        <h1>{npc.name}</h1>
        <p className="talk-kind">
          {words(npc.kind)}, tier {npc.tier}
        </p>
        {npc.summary && <p className="talk-summary">{npc.summary}</p>}
        <p className="talk-compare">
          <a href={routeHash('compare', npc.npc_id)}>Hear the difference that adapters make</a>
        </p>
      </header>
      <SceneForm
        scene={scene}
        onScene={onScene}
        conversationId={conversation.id}
        onRestart={() => talk.restart(npc.npc_id)}
      />
      <section className="script" aria-label="Transcript">
        {conversation.exchanges.length === 0 && (
          <p className="script-empty">The stage is set. Say something, or set off a trigger.</p>
        )}
        {conversation.exchanges.map((exchange) => (
          <ExchangeView key={exchange.number} exchange={exchange} npcName={npc.name} />
        ))}
        <div ref={end} className="script-end" />
      </section>
      <div className="unseen" role="log" aria-live="polite" aria-label="Spoken lines">
        {last?.reply.filler && <p>{last.reply.filler}</p>}
        {last?.reply.sentences.map((sentence) => (
          <p key={`${last.number} ${sentence.index}`}>{sentence.text}</p>
        ))}
        {last?.reply.state === 'cut' && <p>Interrupted.</p>}
      </div>
      <Composer
        npcName={npc.name}
        isSpeaking={isSpeaking}
        isReady={live.readiness?.ready !== false}
        onSay={(prompt) => talk.ask(npc.npc_id, scene, { prompt })}
        onTrigger={(trigger) => talk.ask(npc.npc_id, scene, { trigger })}
        onInterrupt={() => talk.interrupt(npc.npc_id)}
      />
    </div>
  );
}
