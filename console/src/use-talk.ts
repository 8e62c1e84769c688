/**
 * Talking: one conversation per NPC, at most one live dialogue in each. Speaking while the NPC speaks interrupts it
 * first (barge-in). Leaving a page does not interrupt; closing it hangs up, which the gateway takes as an interrupt.
 */
import { useCallback, useReducer, useRef } from 'react';
import { dialogue, Trouble } from './api.ts';
import { advance, type Conversation, type Happening, newConversationId } from './conversation.ts';
import type { DialogueBody } from './wire.ts';

export interface Scene {
  readonly playerName: string;
  readonly location: string;
  readonly mood: string;
  /** Empty: the NPC's own. */
  readonly tier: string;
}

type Conversations = Readonly<Record<string, Conversation>>;

const NOT_STARTED: Conversation = { id: '', exchanges: [] };

function reduce(all: Conversations, change: { npcId: string; happening: Happening }): Conversations {
  const before = all[change.npcId] ?? NOT_STARTED;
  return { ...all, [change.npcId]: advance(before, change.happening) };
}

function bodyOf(npcId: string, conversationId: string, scene: Scene, what: Ask): DialogueBody {
  return {
    npc_id: npcId,
    prompt: what.prompt ?? '',
    ...(what.trigger ? { trigger: what.trigger } : {}),
    ...(scene.tier ? { tier: Number(scene.tier) } : {}),
    conversation_id: conversationId,
    context: {
      ...(scene.playerName.trim() ? { player_id: scene.playerName.trim() } : {}),
      ...(scene.location.trim() ? { location: scene.location.trim() } : {}),
      ...(scene.mood.trim() ? { mood: scene.mood.trim() } : {}),
    },
  };
}

export interface Ask {
  readonly prompt?: string;
  readonly trigger?: string;
}

export interface Talk {
  conversationOf(npcId: string): Conversation;
  ask(npcId: string, scene: Scene, what: Ask): void;
  /** Hangs up; what was heard stays and is marked as cut. Does nothing when nobody speaks. */
  interrupt(npcId: string): void;
  restart(npcId: string): void;
}

export function useTalk(): Talk {
  const [conversations, tell] = useReducer(reduce, {});
  const live = useRef(new Map<string, { number: number; controller: AbortController }>());
  const ids = useRef(new Map<string, string>());
  const lastNumber = useRef(0);

  const interrupt = useCallback((npcId: string) => {
    const current = live.current.get(npcId);
    if (!current) return;
    live.current.delete(npcId);
    tell({ npcId, happening: { type: 'cut', number: current.number } });
    current.controller.abort();
  }, []);

  const restart = useCallback(
    (npcId: string) => {
      interrupt(npcId);
      const id = newConversationId();
      ids.current.set(npcId, id);
      tell({ npcId, happening: { type: 'restarted', id } });
    },
    [interrupt],
  );

  const ask = useCallback(
    (npcId: string, scene: Scene, what: Ask) => {
      interrupt(npcId);
      if (!ids.current.has(npcId)) restart(npcId);
      const number = ++lastNumber.current;
      const controller = new AbortController();
      live.current.set(npcId, { number, controller });
      const playerName = scene.playerName.trim() || 'Player';
      tell({
        npcId,
        happening: what.trigger
          ? { type: 'triggered', number, playerName, trigger: what.trigger }
          : { type: 'said', number, playerName, prompt: what.prompt ?? '' },
      });
      const startedMonoMs = performance.now();
      const follow = async (): Promise<void> => {
        try {
          const body = bodyOf(npcId, ids.current.get(npcId) ?? '', scene, what);
          for await (const event of dialogue(body, controller.signal)) {
            const afterMs = performance.now() - startedMonoMs;
            tell({ npcId, happening: { type: 'heard', number, event, afterMs } });
          }
        } catch (error) {
          // After an interrupt the reply is already marked as cut, and the reducer ignores what comes later.
          tell({ npcId, happening: { type: 'failed', number, trouble: Trouble.from(error) } });
        } finally {
          if (live.current.get(npcId)?.number === number) live.current.delete(npcId);
        }
      };
      void follow();
    },
    [interrupt, restart],
  );

  const conversationOf = useCallback(
    (npcId: string): Conversation => conversations[npcId] ?? NOT_STARTED,
    [conversations],
  );
  return { conversationOf, ask, interrupt, restart };
}
