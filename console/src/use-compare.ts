/**
 * One question to several voices at once. Each voice is a conversation of its own whose exchanges are takes of lines:
 * nothing is remembered from one to the next, so that only the adapter makes the difference.
 */
import { useCallback, useEffect, useReducer, useRef, useState } from 'react';
import { dialogue, Trouble } from './api.ts';
import { advance, type Conversation, type Happening } from './conversation.ts';

/** Beside the base. */
export const ADAPTERS_MAX = 3;
/** Nobody waits in a game: the slowest machine may finish. The most that a dialogue may ask for. */
const DEADLINE_MS = 120_000;

/** An adapter, or null for the base. */
export type Voice = string | null;

export interface Question {
  readonly npcId: string;
  readonly prompt: string;
  /** Whether chance is left out: the same words every time. */
  readonly isSteady: boolean;
}

type Takes = Readonly<Record<string, Conversation>>;

const BASE_ALONE: readonly Voice[] = [null];
const NO_TAKES: Conversation = { id: '', exchanges: [] };

function keyOf(voice: Voice): string {
  return voice ?? '';
}

function reduce(takes: Takes, { voice, happening }: { voice: Voice; happening: Happening }): Takes {
  const key = keyOf(voice);
  return { ...takes, [key]: advance(takes[key] ?? NO_TAKES, happening) };
}

export interface Comparison {
  readonly voices: readonly Voice[];
  /** Whether they were chosen or offered; else nobody has looked yet. */
  readonly hasChosen: boolean;
  choose(voices: readonly Voice[]): void;
  takesOf(voice: Voice): Conversation;
  /** Asks each of these voices; one that speaks is cut short first. */
  ask(voices: readonly Voice[], question: Question): void;
  /** Hangs up on everybody who speaks. */
  stop(): void;
}

export function useComparison(): Comparison {
  const [chosen, setChosen] = useState<readonly Voice[] | null>(null);
  const [takes, tell] = useReducer(reduce, {});
  const live = useRef(new Map<string, { voice: Voice; number: number; controller: AbortController }>());
  const lastNumber = useRef(0);

  const cut = useCallback((voice: Voice): void => {
    const current = live.current.get(keyOf(voice));
    if (!current) return;
    live.current.delete(keyOf(voice));
    tell({ voice, happening: { type: 'cut', number: current.number } });
    current.controller.abort();
  }, []);

  const choose = useCallback(
    (next: readonly Voice[]): void => {
      for (const { voice } of [...live.current.values()]) if (!next.includes(voice)) cut(voice);
      setChosen(next);
    },
    [cut],
  );

  const stop = useCallback((): void => {
    for (const { voice } of [...live.current.values()]) cut(voice);
  }, [cut]);

  const ask = useCallback(
    (asked: readonly Voice[], { npcId, prompt, isSteady }: Question): void => {
      for (const voice of asked) {
        cut(voice);
        const number = ++lastNumber.current;
        const controller = new AbortController();
        live.current.set(keyOf(voice), { voice, number, controller });
        tell({ voice, happening: { type: 'said', number, playerName: npcId, prompt } });
        const startedMonoMs = performance.now();
        const body = {
          npc_id: npcId,
          prompt,
          adapter: voice,
          deadline_ms: DEADLINE_MS,
          ...(isSteady ? { temperature: 0 } : {}),
        };
        const follow = async (): Promise<void> => {
          try {
            for await (const event of dialogue(body, controller.signal)) {
              const afterMs = performance.now() - startedMonoMs;
              tell({ voice, happening: { type: 'heard', number, event, afterMs } });
            }
          } catch (error) {
            tell({ voice, happening: { type: 'failed', number, trouble: Trouble.from(error) } });
          } finally {
            if (live.current.get(keyOf(voice))?.number === number) live.current.delete(keyOf(voice));
          }
        };
        void follow();
      }
    },
    [cut],
  );

  useEffect(() => stop, [stop]);
  const takesOf = useCallback((voice: Voice): Conversation => takes[keyOf(voice)] ?? NO_TAKES, [takes]);
  return { voices: chosen ?? BASE_ALONE, hasChosen: chosen !== null, choose, takesOf, ask, stop };
}
