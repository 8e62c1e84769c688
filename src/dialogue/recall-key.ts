/** What the dialogue cache knows one request by; null where its answer must be its own. */
import type { Cast } from '../cast/cast.ts';
import { PROMPT_VERSION, promptEssence } from '../cast/prompt.ts';
import type { AdapterKeeper } from '../core/adapter.ts';
import type { DialogueRequest } from '../core/dialogue.ts';
import { digestOf, type RecallKey, recallKey } from '../recall/key.ts';
import type { Pool } from '../routing/pool.ts';
import type { Memories } from './remembered.ts';
import type { Scene } from './scene.ts';
import { samplingOf } from './script.ts';

export interface RecallKeyParts {
  readonly cast: Cast;
  readonly pools: ReadonlyMap<string, Pool>;
  readonly adapters: Pick<AdapterKeeper, 'resolve'>;
  readonly defaultTemperature: number;
}

const digests = new WeakMap<object, string>();

export function recallKeyOf(
  request: DialogueRequest,
  scene: Scene,
  memories: Memories,
  { cast, pools, adapters, defaultTemperature }: RecallKeyParts,
): RecallKey | null {
  const { persona, context, policy } = scene;
  // What an operator asks of one adapter or version must come from it.
  if (request.adapter !== undefined || request.modelVersion !== undefined) return null;
  if (persona.recall.policy === 'off' || scene.playerText === '') return null;
  const pool = pools.get(policy.rungs[0] ?? '');
  if (pool === undefined) return null;
  const adapter = scene.adapter === null ? null : adapters.resolve(scene.adapter);
  // The base speaks for an adapter that is not there, and no answer of it is kept.
  if (typeof adapter === 'string') return null;
  const trigger = request.trigger ?? null;
  const {
    history,
    scene: sentences,
    told,
  } = promptEssence({
    world: cast.setting,
    persona,
    tier: scene.tier,
    context,
    ...memories,
    playerText: scene.playerText,
    trigger,
    npcs: cast.npcs,
  });
  return recallKey({
    npcId: persona.id,
    persona: digestOnce(persona),
    world: digestOnce(cast.setting),
    promptVersion: PROMPT_VERSION,
    tier: scene.tier,
    limits: JSON.stringify([
      scene.reply.limits,
      policy.promptTokens,
      policy.personaTokens,
      pool.contextTokens,
    ]),
    models: [
      ...new Set(pool.replicas.map(({ model, modelVersion }) => `${model}@${modelVersion ?? ''}`)),
    ].sort(),
    adapter: adapter === null ? null : `${adapter.engineName}#${adapter.generation}`,
    locale: persona.voice.language,
    mood: context.mood ?? null,
    trigger,
    scene: sentences,
    told,
    revealedSecrets: [...scene.reply.revealedSecrets].sort((one, other) => one - other),
    history,
    actions: context.allowedActions,
    sampling: JSON.stringify(samplingOf(request, scene, defaultTemperature)),
    maxTokens: request.maxTokens,
    playerText: scene.playerText,
  });
}

/** Personas and the world are never changed in place: what is edited is another object. */
function digestOnce(value: object): string {
  const known = digests.get(value);
  if (known !== undefined) return known;
  const made = digestOf(plain(value));
  digests.set(value, made);
  return made;
}

/** Maps and sets as JSON has them not. */
function plain(value: object): unknown {
  return JSON.parse(
    JSON.stringify(value, (_key, part: unknown) => {
      if (part instanceof Map) return [...(part as Map<unknown, unknown>)];
      return part instanceof Set ? [...(part as Set<unknown>)] : part;
    }),
  );
}
