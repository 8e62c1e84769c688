/** The key is complete: whatever changes what an engine is asked, or what the guard lets pass, changes the key. */
import assert from 'node:assert/strict';
import path from 'node:path';
import { before, describe, test } from 'node:test';
import fc from 'fast-check';
import { type Cast, loadCast } from '../cast/cast.ts';
import { HeardLines } from '../cast/heard-lines.ts';
import { createPromptAssembler } from '../cast/prompt.ts';
import type { DialogueContext, DialogueRequest } from '../core/dialogue.ts';
import { normalWords } from '../recall/key.ts';
import { tiersSchema } from '../routing/tiers.ts';
import { realRuntime } from '../runtime.ts';
import { request, type World, world } from '../testing/dialogue-world.ts';
import { recallKeyOf } from './recall-key.ts';
import { type Scene, setScene } from './scene.ts';

const never = new AbortController().signal;
const counter = { count: (text: string) => Promise.resolve(Math.ceil(Buffer.byteLength(text) / 4)) };
const tiers = tiersSchema.parse({});

const FACTS = fc.record(
  {
    key: fc.constantFrom('quest.bell', 'quest.ledger', 'player.gold', 'player.debt', 'moon'),
    value: fc.oneof(fc.nat(9), fc.constantFrom('full', 'new'), fc.boolean()),
    text: fc.constantFrom('The player carries a bell.', 'It rains.'),
  },
  { requiredKeys: ['key', 'value'], noNullPrototype: true },
);
const CONTEXT: fc.Arbitrary<DialogueContext> = fc.record(
  {
    playerId: fc.constantFrom('p1', 'p2'),
    location: fc.constantFrom('hook_market', 'the_weir', 'nowhere'),
    mood: fc.constantFrom('angry', 'sad'),
    gameTime: fc.constantFrom('day 1', 'day 9', '100'),
    timelineId: fc.constant('main'),
    facts: fc.array(FACTS, { maxLength: 3 }),
    history: fc.array(
      fc.record({
        speaker: fc.constantFrom('player' as const, 'npc' as const),
        text: fc.constantFrom('Where is the bell?', 'In the river.', 'Good evening.'),
      }),
      { maxLength: 3 },
    ),
    allowedActions: fc.constant([]),
  },
  { requiredKeys: ['timelineId', 'facts', 'history', 'allowedActions'], noNullPrototype: true },
);
const REQUEST = fc.record(
  {
    npcId: fc.constantFrom('vampire_salon_keeper', 'lich_ossuary_keeper', 'human_old_broker'),
    prompt: fc.constantFrom(
      'Where is the bell?',
      'where is  the BELL?',
      'Who holds the Stay?',
      'Good evening.',
      'Good evening',
      'What do you pay for a name?',
    ),
    context: CONTEXT,
    tier: fc.constantFrom(1 as const, 2 as const),
    maxTokens: fc.constantFrom(40, 512),
    temperature: fc.constantFrom(null, 0.2),
    trigger: fc.constantFrom('greet' as const, 'trade' as const),
  },
  { requiredKeys: ['npcId', 'prompt', 'context', 'maxTokens', 'temperature'], noNullPrototype: true },
);

describe('the key of the dialogue cache', () => {
  let cast: Cast;
  let made: World;
  const assembler = createPromptAssembler();
  before(async () => {
    cast = await loadCast(
      path.join(import.meta.dirname, '..', '..', 'examples', 'body-broker', 'cast'),
      never,
    );
    made = await world(() => []);
  });

  const sceneOf = (asked: DialogueRequest): Scene =>
    setScene(asked, { cast, tiers, heard: new HeardLines(realRuntime.clock), playerCharsMax: 300 });
  const keyOf = (asked: DialogueRequest, scene: Scene) => {
    const key = recallKeyOf(
      asked,
      { ...scene, adapter: null },
      { history: scene.context.history, summary: null },
      { ...made.parts.recallKey, cast },
    );
    assert.ok(key);
    return key.key;
  };
  /** What reaches the engine and the guard, but for the dress of the player's words. */
  const effects = async (asked: DialogueRequest, scene: Scene) => {
    const { messages } = await assembler.assemble(
      {
        world: cast.setting,
        persona: scene.persona,
        tier: scene.tier,
        context: scene.context,
        history: scene.context.history,
        summary: null,
        playerText: normalWords(scene.playerText),
        trigger: asked.trigger ?? null,
        maxPromptTokens: 100_000,
        npcs: cast.npcs,
      },
      counter,
      never,
    );
    return JSON.stringify([
      messages,
      [...scene.reply.revealedSecrets],
      scene.reply.limits,
      [asked.maxTokens, asked.temperature],
    ]);
  };

  test('two requests that an engine or the guard would tell apart have two keys', async () => {
    await fc.assert(
      fc.asyncProperty(REQUEST, REQUEST, fc.nat(), async (one, other, at) => {
        // Mostly alike, so that a single difference decides.
        const names = Object.keys(other);
        const name = names[at % names.length] as keyof typeof other;
        const first = request(one);
        const second = request({ ...one, [name]: other[name] });
        const scenes = [sceneOf(first), sceneOf(second)] as const;
        const isSame = (await effects(first, scenes[0])) === (await effects(second, scenes[1]));
        if (!isSame) assert.notEqual(keyOf(first, scenes[0]), keyOf(second, scenes[1]));
      }),
      { numRuns: 400 },
    );
  });

  test('who asks, when by the clock of the wall, and under which id changes nothing', () => {
    fc.assert(
      fc.property(REQUEST, fc.string({ minLength: 1 }), (asked, text) => {
        const first = request(asked);
        const second = request({
          ...asked,
          id: `dlg_${text}`,
          receivedMonoMs: 1,
          context: { ...asked.context, playerId: text, timelineId: text },
        });
        assert.equal(keyOf(first, sceneOf(first)), keyOf(second, sceneOf(second)));
      }),
    );
  });
});
