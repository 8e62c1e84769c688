import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TIERS } from '../core/dialogue.ts';
import { tiersSchema } from './tiers.ts';

const tiers = tiersSchema.parse({});

test('every tier has an entry of its own', () => {
  assert.deepEqual(Object.keys(tiers), TIERS.map(String));
});

test('a higher tier may take longer, say more and read more', () => {
  for (const [low, high] of [
    [1, 2],
    [2, 3],
    [3, 4],
  ] as const) {
    for (const field of ['deadlineMs', 'maxSentences', 'maxWords', 'personaTokens', 'promptTokens'] as const)
      assert.ok(tiers[`${low}`][field] < tiers[`${high}`][field], `${field} of tier ${low} and ${high}`);
  }
});

for (const name of TIERS) {
  test(`the numbers of tier ${name} fit one another`, () => {
    const tier = tiers[`${name}`];
    assert.ok(tier.personaTokens < tier.promptTokens, 'room is left for scene, history and the player');
    assert.ok(
      tier.fillerAfterMs < tier.deadlineMs / 2,
      'a filler comes while there is still an answer to wait for',
    );
    assert.ok(tier.maxWords / tier.maxSentences >= 10, 'a sentence has room to say something');
    // English runs at ~1.4 tokens a word; the smallest context that the embedded engine opens is 2,048 tokens.
    assert.ok(tier.promptTokens + tier.maxWords * 2 <= 2_048, 'prompt and answer fit the default context');
    assert.ok(tier.rungs.length > 0);
  });
}

test('a file that names one number of one tier keeps all others', () => {
  const changed = tiersSchema.parse({ '2': { deadlineMs: 500, rungs: ['gpu', 'local'] } });
  assert.deepEqual(changed, { ...tiers, '2': { ...tiers['2'], deadlineMs: 500, rungs: ['gpu', 'local'] } });
});

const REFUSED: readonly (readonly [string, unknown])[] = [
  ['a fifth tier', { '5': {} }],
  ['an unknown field', { '1': { deadline: 500 } }],
  ['no time at all', { '1': { deadlineMs: 0 } }],
  ['part of a millisecond', { '1': { deadlineMs: 0.5 } }],
  ['a persona larger than its prompt', { '1': { personaTokens: 500, promptTokens: 500 } }],
  ['no sentence', { '1': { maxSentences: 0 } }],
];

for (const [what, value] of REFUSED)
  test(`refused: ${what}`, () => assert.equal(tiersSchema.safeParse(value).success, false));
