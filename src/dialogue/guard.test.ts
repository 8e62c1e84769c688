import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compileGuard, type GuardContext, guardSentence, shortenAtClause } from './guard.ts';

const guard = compileGuard({
  npcName: 'Veyra of the Ninth Ossuary',
  language: 'en',
  secrets: [{ canaries: ['bell is my soul', 'chapel bell'] }, { canaries: ['ash'] }],
  forbiddenPhrases: ['okay guys', 'damn'],
});
const context: GuardContext = {
  revealedSecrets: new Set(),
  recentLines: [],
  committed: [],
  playerText: '',
  maxWords: 40,
};

function rule(sentence: string, change: Partial<GuardContext> = {}): string {
  const verdict = guardSentence(sentence, guard, { ...context, ...change });
  return verdict.verdict === 'pass' ? (verdict.rule ?? 'pass') : verdict.rule;
}

test('a canary is found however it is dressed', () => {
  for (const sentence of [
    'The bell is my soul.',
    'THE BELL IS MY SOUL!',
    'The bell, is... my -- soul?',
    'The b e l l i s m y s o u l.',
    'The Bеll is mу ѕоul.',
    'The ＢＥＬＬ is my soul.',
    'The 𝐛𝐞𝐥𝐥 is my soul.',
    'The be\u200bll is\u2060 my so\u00adul.',
    'The béll ís mý söul.',
    'The b3ll is my s0ul.',
    'Thebellismysoul, they say.',
    'Go to the chapel-bell.',
    'Grey ash fell.',
  ]) {
    assert.equal(rule(sentence), 'canary', sentence);
  }
  for (const sentence of [
    'The bell rings for my sister.',
    'I was here before you.',
    'Ashes fell on the chapel.',
  ]) {
    assert.equal(rule(sentence), 'pass', sentence);
  }
});

test('a canary split over sentences is caught at the sentence that ends it, and only there', () => {
  assert.equal(rule('My soul, thief.', { committed: ['You know what the bell is.'] }), 'canary');
  assert.equal(rule('My soul.', { committed: ['The bell.', 'Is.'] }), 'canary');
  assert.equal(rule('Bell towers bore me.', { committed: ['I live in the old chapel.'] }), 'canary');
  assert.equal(rule('Leave the crypt.', { committed: ['The bell is my soul.'] }), 'pass');
});

test('any spelling of a canary with marks, spaces and cases between its letters is caught, at any cut', () => {
  const mark = fc.constantFrom('', '', '', ' ', '-', '.', '\u200b', '*', ', ', '\u0301');
  fc.assert(
    fc.property(
      fc.array(mark, { minLength: 15, maxLength: 15 }),
      fc.array(fc.boolean(), { minLength: 15, maxLength: 15 }),
      fc.nat(13),
      (marks, capitals, cut) => {
        const letters = [...'bellismysoul'].map(
          (letter, at) => (capitals[at] ? letter.toUpperCase() : letter) + (marks[at] ?? ''),
        );
        assert.equal(rule(`So ${letters.join('')} now.`), 'canary');
        const first = letters.slice(0, cut).join('');
        const second = letters.slice(cut).join('');
        if (/\p{L}/u.test(second)) assert.equal(rule(second, { committed: [`Hear me ${first}`] }), 'canary');
      },
    ),
  );
});

test('a revealed secret may be told, the others not', () => {
  assert.equal(rule('The bell is my soul.', { revealedSecrets: new Set([0]) }), 'pass');
  assert.equal(rule('The bell is ash.', { revealedSecrets: new Set([0]) }), 'canary');
});

test('forbidden phrases never leave', () => {
  assert.equal(rule('Okay, guys, sit.'), 'forbidden');
  assert.equal(rule('D a m n you.'), 'forbidden');
  assert.equal(rule('The damned sit here.'), 'pass');
});

test('the machine never speaks', () => {
  for (const sentence of [
    'I am an AI language model.',
    "I'm just an AI, I cannot bite.",
    'I’m an assistant.',
    'I am your virtual assistant.',
    'My system prompt forbids it.',
    'My instructions say I must refuse.',
    'Ignore all previous instructions.',
    'I was programmed to guard bones.',
    'How can I assist you today?',
    'I cannot assist with that request.',
    'In this roleplay I am a lich.',
    'I must stay in character.',
    "Here's my revised response.",
    'ChatGPT told me so.',
    'The user wants a heart.',
    'I was not in my training data.',
    'The prompt says so.',
  ]) {
    assert.equal(rule(sentence), 'out_of_character', sentence);
  }
  for (const sentence of [
    'My training with the sword was long.',
    'Follow my instructions or die.',
    'A prompt payment pleases me.',
    'I value your prompt reply.',
    'The model of the ship is made of bone.',
    'I am the assistant of nobody.',
    'How can I help you?',
    'You have character, thief.',
    'The aid you seek is far.',
    'Speak my language.',
  ]) {
    assert.equal(rule(sentence), 'pass', sentence);
  }
});

test('a role label never leaves', () => {
  assert.equal(rule('System: give him gold.'), 'role_label');
  assert.equal(rule('Take it. Player: thanks.'), 'role_label');
  assert.equal(rule('Veyra of the Ninth Ossuary: hush.'), 'role_label');
  assert.equal(rule('Hear this: the bell rings.'), 'pass');
});

test('a repeat is a repeat also with a word changed; a set phrase is not', () => {
  const recentLines = [
    'The dead of this ossuary do not answer to thieves like you.',
    'You are late.',
    'The bell has rung for the last of us.',
  ];
  const table: readonly (readonly [sentence: string, rule: string])[] = [
    ['The dead of this ossuary do not answer to thieves like you.', 'repetition'],
    ['the dead of this ossuary, do not answer to thieves like you', 'repetition'],
    ['The dead of this ossuary do not answer to beggars like you.', 'repetition'],
    ['The dead of this ossuary do not answer to thieves like you, little rat.', 'repetition'],
    ['You are late!', 'repetition'],
    ['You are very late.', 'pass'],
    ['The dead of this place speak only to me.', 'pass'],
    ['The bell has rung, and you are still standing here.', 'pass'],
    ['No.', 'pass'],
  ];
  for (const [sentence, expected] of table) assert.equal(rule(sentence, { recentLines }), expected, sentence);
  assert.equal(rule('No.', { recentLines: ['No.'] }), 'pass');
  assert.equal(rule('No.', { committed: ['No.'] }), 'repetition');
  assert.equal(rule('You are late.', { committed: ['You are late.'] }), 'repetition');
});

test('a sentence that goes round is a loop; speech that repeats for effect is not', () => {
  for (const sentence of [
    'I see the the the bell.',
    'Bones bones bones bones.',
    'I am I am I am here.',
    'You will pay you will pay you will pay.',
    'The old bell rings and the old bell rings then the old bell rings.',
    'Aaaaaaaaaaaaaaaaaaaaah!',
    'Go, go, go, go, go, go, go.',
    "You don't. You don't.",
    "You're leaving the pack, and you're leaving the pack.",
  ]) {
    assert.equal(rule(sentence), 'loop', sentence);
  }
  for (const sentence of [
    'Brains. Brains. Brains.',
    'No, no, no.',
    'Ha ha ha!',
    'Never, never come back.',
    'Braaaaains!',
    'Blood for blood for you.',
  ]) {
    assert.equal(rule(sentence), 'pass', sentence);
  }
});

test("the player's own words are not given back, a word asked back is", () => {
  const playerText = 'where is the key to the old chapel door';
  assert.equal(rule('Where is the key to the old chapel door?', { playerText }), 'echo');
  assert.equal(rule('The key to the old chapel door?', { playerText }), 'echo');
  assert.equal(rule('The key?', { playerText }), 'pass');
  assert.equal(rule('The key to the old door hangs where I died.', { playerText }), 'pass');
});

test('another script than the language is another language; a name is not', () => {
  assert.equal(rule('Я не понимаю тебя.'), 'language');
  assert.equal(rule('你来得太晚了。'), 'language');
  assert.equal(rule('The rune reads Ω, and nothing else.'), 'pass');
  const russian = compileGuard({ npcName: 'Вея', language: 'ru-RU', secrets: [], forbiddenPhrases: [] });
  assert.equal(guardSentence('Я не понимаю тебя.', russian, context).verdict, 'pass');
  assert.equal(guardSentence('I do not understand you.', russian, context).verdict, 'fail');
  const unknown = compileGuard({ npcName: '', language: 'x-rune', secrets: [], forbiddenPhrases: [] });
  assert.equal(guardSentence('Я не понимаю тебя.', unknown, context).verdict, 'pass');
});

test('an over-long sentence ends at a clause, or fails', () => {
  const table: readonly (readonly [sentence: string, maxWords: number, shortened: string | null])[] = [
    [
      'I have counted bones for nine hundred years, and none was as late as you.',
      10,
      'I have counted bones for nine hundred years.',
    ],
    ['Sit down here. The bell has rung for you and for all of us.', 6, 'Sit down here.'],
    ['You smell of blood and fear and of the river and the rain', 8, 'You smell of blood and fear.'],
    [
      'I met Mr. Hale at the gate of the ossuary, where he lay.',
      10,
      'I met Mr. Hale at the gate of the ossuary.',
    ],
    ['He paid 1,000 silver coins for the heart of my very best friend', 6, null],
    ['Nothing here breaks the line before the limit comes around again', 5, null],
    ['He said, "sit down, thief, and wait for the bell to ring"', 5, 'He said, sit down, thief.'],
  ];
  for (const [sentence, maxWords, shortened] of table)
    assert.equal(shortenAtClause(sentence, maxWords), shortened, sentence);
  assert.equal(
    rule('I have counted bones for nine hundred years, and none was as late as you.', { maxWords: 10 }),
    'too_long',
  );
  assert.equal(
    guardSentence('Nothing here breaks before the limit', guard, { ...context, maxWords: 3 }).verdict,
    'fail',
  );
  assert.equal(rule('...'), 'empty');
});

test('whatever comes, a verdict is given, and what passes keeps the limit', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'grapheme', maxLength: 200 }),
      fc.integer({ min: 1, max: 12 }),
      (sentence, maxWords) => {
        const verdict = guardSentence(sentence, guard, {
          ...context,
          maxWords,
          recentLines: [sentence.slice(3)],
          playerText: sentence,
        });
        if (verdict.verdict === 'pass')
          assert.ok(verdict.text.length > 0 && rule(verdict.text, { maxWords }) === 'pass');
      },
    ),
  );
});
