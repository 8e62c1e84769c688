import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { estimateSpeechMs, lastSentence, SentenceCutter } from './sentences.ts';

function cut(text: string, sizes: readonly number[] = []): string[] {
  const cutter = new SentenceCutter();
  const sentences: string[] = [];
  let at = 0;
  for (const size of sizes) {
    sentences.push(...cutter.push(text.slice(at, at + size)));
    at += size;
  }
  sentences.push(...cutter.push(text.slice(at)));
  const { sentence } = cutter.flush();
  return sentence === null ? sentences : [...sentences, sentence];
}

const table: readonly (readonly [why: string, text: string, sentences: readonly string[]])[] = [
  [
    'plain sentences',
    'You are very late. The bell has rung! Who let you in?',
    ['You are very late.', 'The bell has rung!', 'Who let you in?'],
  ],
  [
    'numbers',
    'Pay me 3.14 silver now. Or 1,000.50 later on.',
    ['Pay me 3.14 silver now.', 'Or 1,000.50 later on.'],
  ],
  [
    'titles',
    'Mr. Hale and Dr. Voss went to St. Agnes today. They stayed.',
    ['Mr. Hale and Dr. Voss went to St. Agnes today.', 'They stayed.'],
  ],
  [
    'initials',
    'J. R. Hale owes me a heart. Tell him that.',
    ['J. R. Hale owes me a heart.', 'Tell him that.'],
  ],
  [
    'dotted initials',
    'The U.S. envoy is dead now. Good riddance to him.',
    ['The U.S. envoy is dead now.', 'Good riddance to him.'],
  ],
  ['I as a word', 'None is older than I. Bow before me.', ['None is older than I.', 'Bow before me.']],
  [
    'trailing abbreviation',
    'Bones, teeth, eyes, etc. are all mine. Bring knives, saws, etc. Then we dig.',
    ['Bones, teeth, eyes, etc. are all mine.', 'Bring knives, saws, etc.', 'Then we dig.'],
  ],
  [
    'No before a digit',
    'Take crypt No. 7 at dusk. Go there alone.',
    ['Take crypt No. 7 at dusk.', 'Go there alone.'],
  ],
  [
    'short pieces join',
    'No. Not tonight. Come back tomorrow night.',
    ['No. Not tonight.', 'Come back tomorrow night.'],
  ],
  ['whole short reply', 'No.', ['No.']],
  ['short end stays alone', 'I have waited long. Go.', ['I have waited long.', 'Go.']],
  [
    'dots that go on',
    'Wait... what did you... say to me? I heard it.',
    ['Wait... what did you... say to me?', 'I heard it.'],
  ],
  [
    'dots that end',
    'I remember that night... Nobody else does now.',
    ['I remember that night...', 'Nobody else does now.'],
  ],
  [
    'ellipsis sign',
    'I remember that night… Nobody else does now.',
    ['I remember that night…', 'Nobody else does now.'],
  ],
  [
    'spaced dots',
    'It is cold . . . so very cold. Come closer now.',
    ['It is cold . . . so very cold.', 'Come closer now.'],
  ],
  [
    'mixed marks',
    'What did you say?! Say it again!!! I dare you.',
    ['What did you say?!', 'Say it again!!!', 'I dare you.'],
  ],
  [
    'quote inside',
    'She said "run now. Hide well." and died there. I laughed.',
    ['She said "run now. Hide well." and died there.', 'I laughed.'],
  ],
  [
    'closing quote stays',
    'He told me "never come back." Then he left us.',
    ['He told me "never come back."', 'Then he left us.'],
  ],
  [
    'curly quotes',
    'He wrote “the door is open. Come.” So I came.',
    ['He wrote “the door is open. Come.”', 'So I came.'],
  ],
  [
    'german quotes',
    'Er sagte „geh nach Hause. Sofort.“ Dann ging er.',
    ['Er sagte „geh nach Hause. Sofort.“', 'Dann ging er.'],
  ],
  [
    'guillemets',
    'Elle dit « pars maintenant. Vite. » Puis elle rit.',
    ['Elle dit « pars maintenant. Vite. »', 'Puis elle rit.'],
  ],
  [
    'wrapped reply',
    '"I am Veyra of bone. You are very late. Sit down here."',
    ['"I am Veyra of bone.', 'You are very late.', 'Sit down here."'],
  ],
  [
    'label and wrapped reply',
    'Veyra: "I count the bones. You owe me two."',
    ['Veyra: "I count the bones.', 'You owe me two."'],
  ],
  [
    'speech tag',
    '"Leave this place now." she hissed. I did not.',
    ['"Leave this place now." she hissed.', 'I did not.'],
  ],
  [
    'brackets',
    'The gate (it is old. Very old.) will not open. Try the wall.',
    ['The gate (it is old. Very old.) will not open.', 'Try the wall.'],
  ],
  [
    'stage direction',
    '*He turns. He looks at you.* You smell of blood. Good.',
    ['*He turns. He looks at you.*', 'You smell of blood.', 'Good.'],
  ],
  [
    'bold is no trap',
    'I am **very** old. You are not so old.',
    ['I am **very** old.', 'You are not so old.'],
  ],
  [
    'list stars are no brackets',
    '* one heart for me\n* two lungs for you\nThat is all today.',
    ['* one heart for me', '* two lungs for you', 'That is all today.'],
  ],
  [
    'smiley is no bracket',
    'I ate him :( It was so good. Come here now.',
    ['I ate him :( It was so good.', 'Come here now.'],
  ],
  [
    'inch is no quote',
    'The blade is 6" long. It cuts very well.',
    ['The blade is 6" long.', 'It cuts very well.'],
  ],
  ['newline ends', 'The gate is shut\nGo away from here now', ['The gate is shut', 'Go away from here now']],
  [
    'blank lines',
    'The gate is shut.\r\n\r\n\r\nGo away now please.',
    ['The gate is shut.', 'Go away now please.'],
  ],
  ['short line joins', 'Hm.\nYou again, little thief.', ['Hm.\nYou again, little thief.']],
  [
    'newline heals an open bracket',
    'I saw (it was dark\nThen it came for me.',
    ['I saw (it was dark', 'Then it came for me.'],
  ],
  [
    'chinese',
    '你来得太晚了。钟已经响了！谁让你进来的？',
    ['你来得太晚了。', '钟已经响了！', '谁让你进来的？'],
  ],
  [
    'japanese quote goes on',
    '「今すぐここを出ろ。」と彼は言った。夜が来るぞ、急げ。',
    ['「今すぐここを出ろ。」と彼は言った。', '夜が来るぞ、急げ。'],
  ],
  [
    'numbered list',
    '1. Bring me a heart.\n2. Bring me a lung.',
    ['1. Bring me a heart.', '2. Bring me a lung.'],
  ],
  ['year ends', 'I died in 1890. You were not born.', ['I died in 1890.', 'You were not born.']],
  ['no space after mark', 'Get out of here!Now or never, fool.', ['Get out of here!', 'Now or never, fool.']],
  [
    'lower-case speech',
    'give me your brains. need brains now. hungry for brains.',
    ['give me your brains.', 'need brains now.', 'hungry for brains.'],
  ],
  [
    'web name',
    'Look at grave.example for more of it. Or do not.',
    ['Look at grave.example for more of it.', 'Or do not.'],
  ],
  ['leading dots', '...so you came back to me. I had hoped.', ['...so you came back to me.', 'I had hoped.']],
  ['nothing', ' \n ', []],
];

test('sentences end where a reader would end them', () => {
  for (const [why, text, sentences] of table) assert.deepEqual(cut(text), sentences, why);
});

const alphabet = fc.constantFrom(
  ...'abI .!?…"“”„«»()[]*\n\r,;:-’\'7。！「」と',
  'Mr',
  'etc',
  'No',
  ' word',
  ' Word',
  '...',
  '. ',
  '🦇',
  '夜',
  'é',
  '\u0301',
  '  ',
);
const ugly = fc.oneof(
  fc.array(alphabet, { maxLength: 120 }).map((parts) => parts.join('')),
  fc
    .array(fc.constantFrom(...table.map(([, text]) => text)), { maxLength: 3 })
    .map((parts) => parts.join(' ')),
  fc.string({ unit: 'binary', maxLength: 400 }),
  fc
    .array(fc.constantFrom('夜', 'word', '🦇', ', ', ' '), { minLength: 150, maxLength: 500 })
    .map((parts) => parts.join('')),
);
const visible = (text: string) => text.replace(/\s+/gu, '');

test('the chunks never change the sentences', () => {
  fc.assert(
    fc.property(ugly, fc.array(fc.integer({ min: 0, max: 9 }), { maxLength: 60 }), (text, sizes) => {
      const whole = cut(text);
      assert.deepEqual(cut(text, sizes), whole);
      assert.deepEqual(cut(text, Array<number>(text.length).fill(1)), whole);
    }),
    { numRuns: 400 },
  );
});

test('no visible character is lost, no sentence is too long, empty or padded, no pair is split', () => {
  fc.assert(
    fc.property(ugly, (text) => {
      const sentences = cut(text);
      assert.equal(visible(sentences.join('')), visible(text));
      for (const sentence of sentences) {
        assert.ok(sentence.length > 0 && sentence.length <= 200, `length ${sentence.length}`);
        assert.equal(sentence, sentence.trim());
        if (text.isWellFormed()) assert.ok(sentence.isWellFormed());
      }
    }),
    { numRuns: 600 },
  );
});

test('a run-on sentence is cut at a comma, else at a space, else between characters', () => {
  const comma = `${'word '.repeat(30)}here, ${'word '.repeat(30)}end.`;
  assert.ok(cut(comma)[0]?.endsWith('here,'));
  assert.equal(cut('word '.repeat(60))[0], 'word '.repeat(40).trim());
  assert.equal(cut('🦇'.repeat(150))[0]?.length, 200);
  assert.equal(cut('x'.repeat(450)).length, 3);
  assert.equal(cut(`(${'word '.repeat(60)}`)[0]?.length, 200);
});

test('a sentence leaves with the first visible character behind it, and a stream of spaces stays small', () => {
  const cutter = new SentenceCutter();
  assert.deepEqual(cutter.push('You are very late.'), []);
  assert.deepEqual(cutter.push(' '), []);
  assert.deepEqual(cutter.push('T'), ['You are very late.']);
  assert.deepEqual(cutter.push('he bell has rung\n'), ['The bell has rung']);
  for (let turn = 0; turn < 1000; turn += 1)
    assert.deepEqual(cutter.push(turn === 0 ? 'No.\n \n' : ' \n \t'), []);
  assert.deepEqual(cutter.flush(), { sentence: 'No.', complete: true, wholePart: null });
});

test('a half sentence at the end is dropped, trails off when it is all there is, or leaves its whole part', () => {
  const flushed = (text: string) => {
    const cutter = new SentenceCutter();
    cutter.push(text);
    return cutter.flush();
  };
  assert.deepEqual(flushed('The bell has'), { sentence: 'The bell has', complete: false, wholePart: null });
  assert.equal(lastSentence(flushed('The bell has'), false), null);
  assert.equal(lastSentence(flushed('The bell, which'), true), 'The bell, which…');
  assert.equal(lastSentence(flushed('The bell,'), true), 'The bell…');
  assert.equal(lastSentence(flushed('No. Not ton'), false), 'No.');
  assert.equal(lastSentence(flushed('Not tonight."'), false), 'Not tonight."');
  assert.equal(lastSentence(flushed(''), true), null);
});

test('speaking time counts words and sentence ends', () => {
  assert.equal(estimateSpeechMs('You are very late.'), 4 * 380 + 150);
  assert.equal(estimateSpeechMs('No. Not tonight.'), 3 * 380 + 300);
  assert.equal(estimateSpeechMs('你来得太晚了。'), 3 * 380 + 150);
  assert.equal(estimateSpeechMs('Hm'), 380 + 150);
});
