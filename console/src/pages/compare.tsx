/**
 * Hear the difference: one question, one character, and a column for the base and for each adapter, speaking side by side.
 * For somebody who writes characters; what really spoke stands under every take.
 */
import { type FormEvent, type KeyboardEvent, useEffect, useId, useMemo, useState } from 'react';
import { voiceName } from '../adapter-words.ts';
import { isLive } from '../conversation.ts';
import { Notice } from '../parts/notice.tsx';
import { Take } from '../parts/take.tsx';
import { VoicePicker } from '../parts/voice-picker.tsx';
import { routeHash } from '../route.ts';
import { ADAPTERS_MAX, type Comparison, type Question, type Voice } from '../use-compare.ts';
import { useRead } from '../use-read.ts';
import { useReplicas } from '../use-replicas.ts';
import type { NpcSummary } from '../wire.ts';
import type { AdapterPage as AdapterList } from '../wire-adapters.ts';

/** Those of the example game; chosen by themselves where they are published. */
const SHOWN_FIRST = ['vampire', 'zombie'] as const;
const LISTED_MAX = 200;
const PROMPT_CHARACTERS_MAX = 2_000;

interface ComparePageProps {
  readonly npcs: readonly NpcSummary[];
  readonly npcId: string | null;
  readonly comparison: Comparison;
  readonly question: string;
  readonly onQuestion: (question: string) => void;
  readonly stamp: string;
  readonly keyGeneration: number;
}

export function ComparePage(props: ComparePageProps) {
  const { npcs, comparison, question, onQuestion, stamp } = props;
  const npc =
    npcs.find((one) => one.npc_id === props.npcId) ??
    npcs.find((one) => SHOWN_FIRST.some((kind) => kind === one.kind)) ??
    npcs[0];
  const [isSteady, setSteady] = useState(false);
  const registry = useRead<AdapterList>(`/admin/v1/adapters?limit=${LISTED_MAX}`, stamp);
  // By name, as they may be far down a long list.
  const vampires = useRead<AdapterList>(`/admin/v1/adapters?name=${SHOWN_FIRST[0]}&limit=100`, stamp);
  const zombies = useRead<AdapterList>(`/admin/v1/adapters?name=${SHOWN_FIRST[1]}&limit=100`, stamp);
  const { engines } = useReplicas(props.keyGeneration);
  const ids = { npc: useId(), question: useId(), steady: useId() };
  const published = useMemo(() => {
    if (!registry.data || !vampires.data || !zombies.data) return null;
    const first = [...vampires.data.data, ...zombies.data.data];
    const rest = registry.data.data.filter(({ id }) => !first.some((one) => one.id === id));
    return [...first, ...rest].filter((adapter) => adapter.is_published);
  }, [registry.data, vampires.data, zombies.data]);

  const { voices, hasChosen, choose } = comparison;
  useEffect(() => {
    if (published === null || hasChosen) return;
    const first = SHOWN_FIRST.flatMap((name) => {
      const all = published.filter((adapter) => adapter.record.name === name);
      return (all.find((adapter) => adapter.tags.includes('stable')) ?? all.at(-1))?.id ?? [];
    });
    if (published.length > 0) choose([null, ...first]);
  }, [published, hasChosen, choose]);

  const asked: Question | null =
    npc && question.trim() !== '' ? { npcId: npc.npc_id, prompt: question.trim(), isSteady } : null;
  const lastOf = (voice: Voice) => comparison.takesOf(voice).exchanges.at(-1);
  const isSpeaking = voices.some((voice) => {
    const last = lastOf(voice);
    return last !== undefined && isLive(last.reply);
  });
  const askAll = (): void => {
    if (asked) comparison.ask(voices, asked);
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.key !== 'Enter' || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    askAll();
  };
  return (
    <div className="compare">
      <header className="talk-head">
        <h1>Hear the difference</h1>
        <p className="talk-summary">
          The same question to the same character, spoken by the base model and by adapters of it. Nothing is
          remembered from one take to the next. <a href="#/adapters">All adapters</a>
        </p>
      </header>
      <form
        className="compare-ask"
        onSubmit={(event: FormEvent) => {
          event.preventDefault();
          askAll();
        }}
      >
        <div className="field">
          <label htmlFor={ids.npc}>Character</label>
          <select
            id={ids.npc}
            value={npc?.npc_id ?? ''}
            onChange={(event) => {
              window.location.hash = routeHash('compare', event.target.value);
            }}
          >
            {npcs.map((one) => (
              <option key={one.npc_id} value={one.npc_id}>
                {one.name}
              </option>
            ))}
          </select>
        </div>
        <div className="field compare-question">
          <label htmlFor={ids.question}>Question to {npc?.name ?? 'the character'}</label>
          <textarea
            id={ids.question}
            rows={2}
            maxLength={PROMPT_CHARACTERS_MAX}
            placeholder="What do you want for the key?"
            value={question}
            onChange={(event) => onQuestion(event.target.value)}
            onKeyDown={onKeyDown}
            enterKeyHint="send"
          />
        </div>
        <div className="compare-act">
          {/* Never disabled, so that the focus stays on it. */}
          <button type="submit" className="primary" aria-disabled={asked === null}>
            {voices.length > 1 ? 'Ask all of them' : 'Ask'}
          </button>
          {isSpeaking && (
            <button type="button" className="interrupt" onClick={comparison.stop}>
              Stop
            </button>
          )}
          <label className="check" htmlFor={ids.steady}>
            <input
              id={ids.steady}
              type="checkbox"
              checked={isSteady}
              onChange={(event) => setSteady(event.target.checked)}
            />
            Leave chance out
          </label>
        </div>
      </form>
      {registry.trouble && (
        <Notice
          trouble={
            registry.trouble.code === 'forbidden'
              ? { code: 'forbidden', message: 'This key may talk, but not choose who speaks.' }
              : registry.trouble
          }
        />
      )}
      <VoicePicker
        voices={voices}
        published={published}
        onChoose={comparison.choose}
        isFull={voices.filter((voice) => voice !== null).length >= ADAPTERS_MAX}
      />
      <div className="takes" data-count={voices.length}>
        {voices.map((voice) => (
          <Take
            key={voice ?? ''}
            voice={voice}
            takes={comparison.takesOf(voice).exchanges}
            engines={engines}
            onAgain={asked && (() => comparison.ask([voice], asked))}
          />
        ))}
      </div>
      <div className="unseen" role="log" aria-live="polite" aria-label="Spoken lines">
        {voices.map((voice) => {
          const last = lastOf(voice);
          if (!last || isLive(last.reply)) return null;
          return (
            <p key={`${voice} ${last.number}`}>
              {voiceName(voice)}: {last.reply.sentences.map(({ text }) => text).join(' ')}
            </p>
          );
        })}
      </div>
    </div>
  );
}
