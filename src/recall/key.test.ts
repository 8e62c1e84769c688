import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { type KeyInput, normalWords, recallKey } from './key.ts';

const words = fc.string({ maxLength: 12 });
const maybe = fc.option(words, { nil: null });
const anInput: fc.Arbitrary<KeyInput> = fc.record({
  npcId: fc.stringMatching(/^[a-z][a-z_]{0,8}$/),
  persona: words,
  world: words,
  promptVersion: fc.nat(9),
  tier: fc.integer({ min: 1, max: 4 }),
  limits: words,
  models: fc.array(words, { maxLength: 3 }),
  adapter: maybe,
  locale: words,
  mood: maybe,
  trigger: maybe,
  scene: fc.array(words, { maxLength: 3 }),
  told: fc.array(words, { maxLength: 3 }),
  revealedSecrets: fc.uniqueArray(fc.nat(5), { maxLength: 3 }),
  history: fc.array(fc.record({ role: words, content: words }), { maxLength: 3 }),
  actions: fc.array(fc.record({ name: words }), { maxLength: 2 }),
  sampling: words,
  maxTokens: fc.nat(512),
  playerText: words,
});
const FIELDS = [
  'npcId',
  'persona',
  'world',
  'promptVersion',
  'tier',
  'limits',
  'models',
  'adapter',
  'locale',
  'mood',
  'trigger',
  'scene',
  'told',
  'revealedSecrets',
  'history',
  'actions',
  'sampling',
  'maxTokens',
  'playerText',
] as const satisfies readonly (keyof KeyInput)[];
// A field that is added to the key is added here, or this does not compile.
const isComplete: Exclude<keyof KeyInput, (typeof FIELDS)[number]> extends never ? true : false = true;

const same = (one: unknown, other: unknown) => JSON.stringify(one) === JSON.stringify(other);

test('every field of the key is tried below', () => assert.ok(isComplete));

test('whatever changes in what can change an answer changes the key, and only the words leave the gate as it is', () => {
  fc.assert(
    fc.property(anInput, anInput, fc.constantFrom(...FIELDS), (input, other, field) => {
      const changed = { ...input, [field]: other[field] };
      const [before, after] = [recallKey(input), recallKey(changed)];
      if (field === 'playerText') {
        assert.equal(before.gate, after.gate);
        assert.equal(
          before.key === after.key,
          normalWords(input.playerText) === normalWords(other.playerText),
        );
      } else {
        assert.equal(before.key === after.key, same(input[field], other[field]));
        assert.equal(before.gate === after.gate, same(input[field], other[field]));
      }
    }),
  );
});

test('what moves from one field to its neighbour is another key', () => {
  const base = fc.sample(anInput, { numRuns: 1, seed: 1 })[0] as KeyInput;
  const one = recallKey({ ...base, scene: ['You feel calm.'], told: [] });
  const other = recallKey({ ...base, scene: [], told: ['You feel calm.'] });
  assert.notEqual(one.key, other.key);
  assert.notEqual(recallKey({ ...base, told: ['a', 'b'] }).key, recallKey({ ...base, told: ['ab'] }).key);
});

test('the order in which the fields were written does not matter', () => {
  fc.assert(
    fc.property(anInput, (input) => {
      const turned = Object.fromEntries(Object.entries(input).reverse()) as unknown as KeyInput;
      assert.deepEqual(recallKey(turned), recallKey(input));
    }),
  );
});

test('a key begins with its NPC, so that what it said can be forgotten', () => {
  const base = fc.sample(anInput, { numRuns: 1, seed: 2 })[0] as KeyInput;
  assert.match(recallKey({ ...base, npcId: 'lich_keeper' }).key, /^lich_keeper:[0-9a-f]{64}$/);
});

test('the same words in another dress are the same words; a question and a comma are not nothing', () => {
  assert.equal(normalWords('  What  is\nthis PLACE?'), 'what is this place?');
  assert.equal(normalWords('Leave me…'), normalWords('leave me!!'));
  assert.equal(normalWords('Ｗｈｏ are you.'), normalWords('who are you'));
  assert.notEqual(normalWords('You are the killer?'), normalWords('You are the killer.'));
  assert.notEqual(normalWords("Let's eat, grandma"), normalWords("Let's eat grandma"));
  fc.assert(
    fc.property(fc.string(), (text) => assert.equal(normalWords(normalWords(text)), normalWords(text))),
  );
});
