/** The condition language: what holds, what is refused, and that nothing holds by ignorance. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  CONDITION_LENGTH_MAX,
  ConditionSyntaxError,
  comparisonCount,
  type FactValue,
  holds,
  parseCondition,
} from './conditions.ts';

function check(text: string, facts: Readonly<Record<string, FactValue>>): boolean {
  return holds(parseCondition(text), (key) => (Object.hasOwn(facts, key) ? facts[key] : undefined));
}

test('comparisons, texts, and, or, not and parentheses mean what they say', () => {
  const facts = { health: 25, weather: 'Rain', 'quest.bell': 3, licence: true, name: '' };
  for (const [text, expected] of [
    ['health<30', true],
    ['health >= 26', false],
    ['weather=rain', true],
    ['weather == "rain"', true],
    ['weather != rain', false],
    ['quest.bell>=3 and not weather=snow', true],
    ['weather=snow or health<30', true],
    ['(weather=snow or health<30) and quest.bell=4', false],
    ['licence', true],
    ['!licence', false],
    ['name', false],
    ['licence=true && health>0', true],
    ['health=25.0', true],
    ['weather<rain', false],
  ] as const) {
    assert.equal(check(text, facts), expected, text);
  }
});

test('a fact that the game did not name makes nothing true, not even under not', () => {
  for (const text of [
    'quest>=1',
    'not quest>=1',
    'quest!=1',
    '!quest',
    'not (quest=1 and mood=sad)',
    'not not quest',
  ]) {
    assert.equal(check(text, {}), false, text);
  }
  assert.equal(check('quest=1 or health<30', { health: 1 }), true);
  assert.equal(check('not (quest=1 and health<30)', { health: 90 }), true);
});

test('facts that look like object members are unknown', () => {
  assert.equal(check('__proto__', {}), false);
  assert.equal(check('constructor != 1', {}), false);
});

test('what is not a condition is refused with its place', () => {
  for (const text of [
    '',
    'health<',
    '<30',
    'a b',
    '(a',
    'a)',
    'a and',
    'and a',
    'f(x)',
    'a="x',
    'a;b',
    'a=<3',
    'not',
  ]) {
    assert.throws(() => parseCondition(text), ConditionSyntaxError, text);
  }
  assert.throws(() => parseCondition('x'.repeat(CONDITION_LENGTH_MAX + 1)), /at most 400/);
  assert.throws(() => parseCondition(`${'('.repeat(50)}a${')'.repeat(50)}`), /levels of nesting/);
});

test('no text makes the parser fail in any other way than by its own error', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[a-z0-9 ()<>=!&|"'.]{0,40}$/)), (text) => {
      try {
        holds(parseCondition(text), () => 1);
      } catch (error) {
        assert.ok(error instanceof ConditionSyntaxError);
      }
    }),
    { numRuns: 2_000 },
  );
});

test('specificity counts comparisons, and a choice as its least demanding branch', () => {
  assert.equal(comparisonCount(parseCondition('a=1 and b=2 and not c=3')), 3);
  assert.equal(comparisonCount(parseCondition('a=1 or (b=2 and c=3)')), 1);
});
