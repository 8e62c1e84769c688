/**
 * The first step of the walk: who speaks, at which tier, to what words. Everything the player or the game sent as text is
 * cleaned here, once; nothing behind this file sees the raw prompt.
 */
import type { Cast } from '../cast/cast.ts';
import { revealedSecretIndices } from '../cast/facts.ts';
import { type HeardLines, listenerKeys } from '../cast/heard-lines.ts';
import { COMBAT_TRIGGERS, type Persona } from '../cast/persona.ts';
import type { Cause, DialogueContext, DialogueRequest, Tier } from '../core/dialogue.ts';
import type { SpokenScene } from '../core/engine.ts';
import { ServiceError } from '../core/errors.ts';
import type { TierPolicy, Tiers } from '../routing/tiers.ts';
import { type CompiledGuard, compileGuard } from './guard.ts';
import { cleanPlayerText } from './player-text.ts';
import type { ReplyScene } from './reply.ts';

export interface Scene {
  readonly persona: Persona;
  readonly tier: Tier;
  readonly policy: TierPolicy;
  /** The adapter that should speak, `lich` or `lich@7`; null: the base. */
  readonly adapter: string | null;
  readonly context: DialogueContext;
  /** Cleaned; empty for a bark. */
  readonly playerText: string;
  /** All who hear it, as heard-lines.ts knows them; at least one. */
  readonly listeners: readonly string[];
  readonly deadlineMs: number;
  /** By when the first sentence must be out; at most `deadlineMs`. */
  readonly firstSentenceMs: number;
  readonly reply: ReplyScene;
  /** What the written lines are chosen by. */
  spoken(cause: Cause | null, committed: readonly string[]): SpokenScene;
}

export interface SceneParts {
  readonly cast: Cast;
  readonly tiers: Tiers;
  readonly heard: HeardLines;
  readonly playerCharsMax: number;
}

const guards = new WeakMap<Persona, CompiledGuard>();

/** Throws `unknown_npc` with near ids, and `bad_request` when cleaning leaves no words and no trigger was named. */
export function setScene(request: DialogueRequest, parts: SceneParts): Scene {
  const persona = parts.cast.npcs.get(request.npcId);
  if (persona === undefined) throw unknownNpc(request.npcId, parts.cast);
  const tier = chooseTier(request, persona.tier);
  const policy = parts.tiers[tier];
  const npcName = persona.nickname ?? persona.name;
  const clean = (text: string) =>
    cleanPlayerText(text, { maxChars: parts.playerCharsMax, npcNames: [npcName, persona.name] }).text;
  const playerText = clean(request.prompt);
  if (playerText === '' && request.trigger === undefined) {
    throw new ServiceError(
      'bad_request',
      'prompt holds no words once control characters and markup are taken out; send words, or a trigger for a bark',
    );
  }
  const context: DialogueContext = {
    ...request.context,
    facts: request.context.facts.map((fact) =>
      fact.text === undefined ? fact : { ...fact, text: clean(fact.text) },
    ),
    history: request.context.history.map((turn) => ({ ...turn, text: clean(turn.text) })),
  };
  const playerId = context.playerId ?? null;
  const others = context.listeners ?? [];
  const listeners = listenerKeys(playerId, others, persona.id);
  const trigger = request.trigger ?? null;
  const deadlineMs = request.deadlineMs ?? policy.deadlineMs;
  const isCombat = trigger !== null && COMBAT_TRIGGERS.includes(trigger);
  return {
    persona,
    tier,
    policy,
    adapter: request.adapter === undefined ? (persona.model.adapter ?? null) : request.adapter,
    context,
    playerText,
    listeners,
    deadlineMs,
    firstSentenceMs: Math.min(deadlineMs, policy.firstSentenceMs ?? deadlineMs),
    reply: {
      guard: guardOf(persona, npcName),
      revealedSecrets: revealedSecretIndices(persona, context),
      recentLines: parts.heard.recentTextsOfAny(listeners, persona.id),
      playerText,
      npcName,
      speakerNames: [parts.cast.setting.playerName, 'player', 'user'],
      limits: {
        maxSentences: isCombat ? 1 : policy.maxSentences,
        maxWords: Math.min(
          policy.maxWords,
          isCombat ? persona.style.combat_max_words : persona.style.max_words,
        ),
      },
    },
    spoken: (cause, committed) => ({
      npcId: persona.id,
      tier,
      playerId,
      ...(others.length === 0 ? {} : { listeners: others }),
      trigger,
      cause,
      mood: context.mood ?? null,
      facts: context.facts,
      committed,
    }),
  };
}

/** A game may lower the tier to spend less; raising it needs the right to. */
function chooseTier(request: DialogueRequest, own: Tier): Tier {
  if (request.tier === undefined) return own;
  return request.tier > own && !request.mayRaiseTier ? own : request.tier;
}

function guardOf(persona: Persona, npcName: string): CompiledGuard {
  const known = guards.get(persona);
  if (known !== undefined) return known;
  const made = compileGuard({
    npcName,
    language: persona.voice.language,
    secrets: persona.secrets,
    forbiddenPhrases: [...persona.forbidden.phrases, ...persona.voice.words_avoid],
  });
  guards.set(persona, made);
  return made;
}

function unknownNpc(npcId: string, cast: Cast): ServiceError {
  const near = cast.near(npcId);
  const hint = near.length === 0 ? 'see GET /v1/npcs' : `did you mean ${near.join(', ')}?`;
  return new ServiceError('unknown_npc', `no NPC is called ${JSON.stringify(npcId.slice(0, 80))}; ${hint}`, {
    details: { near },
  });
}
