import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { makeSpeakable } from './speakable.ts';

const names = { npcName: 'Veyra of the Ninth Ossuary', speakerNames: ['Rook', 'Mother Ilse'] };
const say = (sentence: string) => makeSpeakable(sentence, names).text;

/** What small models write, and what may be said of it. */
const golden: readonly (readonly [written: string, spoken: string])[] = [
  // Clean speech stays as it is.
  ['You are late.', 'You are late.'],
  ['No. Not tonight.', 'No. Not tonight.'],
  ["I've counted nine hundred years—and you?", "I've counted nine hundred years—and you?"],
  ['Wait... you came back?!', 'Wait... you came back?!'],
  ['...so you came back to me.', '...so you came back to me.'],
  ['…so you came back.', '…so you came back.'],
  ['Listen: the bell rings.', 'Listen: the bell rings.'],
  ['He said "run" and I ran.', 'He said "run" and I ran.'],
  ["'Tis the dancin' hour.", "'Tis the dancin' hour."],
  ['It costs 3.14 silver; pay up.', 'It costs 3.14 silver; pay up.'],
  ['你来得太晚了。', '你来得太晚了。'],
  ['¿Quién te dejó entrar?', '¿Quién te dejó entrar?'],
  ['I said: never.', 'I said: never.'],
  ['As you wish, little thief.', 'As you wish, little thief.'],
  // Actions and stress.
  ['*sighs* You are late.', 'You are late.'],
  ['You are late. *sighs*', 'You are late.'],
  ['*He turns. He looks at you.* Speak.', 'Speak.'],
  ['You are *mine*.', 'You are mine.'],
  ['I want your *bones*, thief.', 'I want your bones, thief.'],
  ['I *really* mean it.', 'I really mean it.'],
  ['*You* are late.', 'You are late.'],
  ['I am *growls* not afraid.', 'I am not afraid.'],
  ['*growling* Leave.', 'Leave.'],
  ['**Leave** this place.', 'Leave this place.'],
  ['**growls** Leave.', 'Leave.'],
  ['***Never*** come back.', 'Never come back.'],
  ['_She leans in._ Closer.', 'Closer.'],
  ['I am _very_ old.', 'I am very old.'],
  ['__Nobody__ leaves.', 'Nobody leaves.'],
  ['Leave. *looks around the', 'Leave.'],
  ['*looks around the crypt', ''],
  ['*nods*', ''],
  ['Leave* now.', 'Leave now.'],
  ['~~Sleep~~ well ~', 'Sleep well'],
  // Directions, tags, templates.
  ['(whispering) Come closer.', 'Come closer.'],
  ['Come closer (she leans in).', 'Come closer.'],
  ['[angry] Leave!', 'Leave!'],
  ['[END] Leave! [/END]', 'Leave!'],
  ['Leave (he said (quietly) and left) now.', 'Leave now.'],
  ['Leave. (the light goes', 'Leave.'],
  ['{{char}} says leave.', 'says leave.'],
  ['Hello {{user}}, sit.', 'Hello, sit.'],
  ['Leave now]', 'Leave now'],
  ['（低声）过来。', '过来。'],
  ['【系统】过来。', '过来。'],
  // Labels.
  ['Veyra: Leave.', 'Leave.'],
  ['**Veyra:** Leave.', 'Leave.'],
  ['VEYRA : Leave.', 'Leave.'],
  ['Veyra of the Ninth Ossuary: Leave.', 'Leave.'],
  ['Veyra (whispering): Leave.', 'Leave.'],
  ['"Veyra: Leave."', 'Leave.'],
  ['NPC: Leave.', 'Leave.'],
  ['assistant: Leave.', 'Leave.'],
  ['Assistant：Leave.', 'Leave.'],
  ['AI: NPC: Leave.', 'Leave.'],
  ['Response: Leave.', 'Leave.'],
  ['Leave. Player: why?', 'Leave.'],
  ['No. User: why?', 'No.'],
  ['User: tell me', ''],
  ['Rook: I will stay.', ''],
  ['Mother Ilse: hush.', ''],
  ['Hm.\nPlayer: why?', 'Hm.'],
  ['Trust the system: it works.', 'Trust the system, it works.'],
  // Markdown, HTML, code, links, tokens.
  ['# A greeting', 'A greeting'],
  ['### Veyra: Leave.', 'Leave.'],
  ['- Bring me a heart.', 'Bring me a heart.'],
  ['* Bring me a heart.', 'Bring me a heart.'],
  ['1. Bring me a heart.', 'Bring me a heart.'],
  ['> Bring me a heart.', 'Bring me a heart.'],
  ['— Bring me a heart.', 'Bring me a heart.'],
  ['---\nLeave now.', 'Leave now.'],
  ['Hm.\n- You again.', 'Hm. You again.'],
  ['See [the map](http://x.example/a) first.', 'See the map first.'],
  ['![a bat](bat.png) Leave.', 'Leave.'],
  ['Go to https://grave.example/x now.', 'Go to now.'],
  ['Say `leave` aloud.', 'Say leave aloud.'],
  ['```json\n{"text": "x"}\n``` Leave.', 'Leave.'],
  ['```text Leave.', 'Leave.'],
  ['<b>Leave</b> now.', 'Leave now.'],
  ['Leave.<br/>', 'Leave.'],
  ['<!-- mood: angry -->Leave.', 'Leave.'],
  ['Leave &amp; live, don&#39;t stay.', "Leave & live, don't stay."],
  ['&lt;b&gt;Leave.', 'Leave.'],
  ['<|im_start|>assistant\nLeave.<|im_end|>', 'Leave.'],
  ['Leave.<|im_end|><|im_start|>user\nWhy?', 'Leave.'],
  ['Leave.<end_of_turn><start_of_turn>user\nWhy?', 'Leave.'],
  ['Leave.</s>', 'Leave.'],
  ['<start_of_turn>model\nLeave.<end_of_turn>', 'Leave.'],
  ['[INST] Leave. [/INST]', 'Leave.'],
  ['<think>Be rude.</think>Leave.', 'Leave.'],
  ['Leave. <think>Now what', 'Leave.'],
  ['a < b and b > a', 'a b and b a'],
  ['| Leave | now |', 'Leave now'],
  // Emoji and faces.
  ['Leave 😀 now 👍🏽!', 'Leave now!'],
  ['Leave ❤️.', 'Leave.'],
  ['🧛‍♂️ Leave. 🏴‍☠️', 'Leave.'],
  ['Leave now :)', 'Leave now'],
  ['Leave now <3', 'Leave now'],
  ['✨Leave✨', 'Leave'],
  ['♪ Leave ♪', 'Leave'],
  ['What‼', 'What!!'],
  // "As a …".
  ['As a vampire, I thirst.', 'I thirst.'],
  ['As a lich I do not sleep.', 'I do not sleep.'],
  ['As an AI language model, I cannot bite.', 'I cannot bite.'],
  ['As an ancient keeper of bones, I wait.', 'I wait.'],
  ['As a child I saw the sun.', 'As a child I saw the sun.'],
  // Quotes.
  ['"Leave."', 'Leave.'],
  ['“Leave.”', 'Leave.'],
  ['«Pars.»', 'Pars.'],
  ['„Geh.“', 'Geh.'],
  ['「行け。」', '行け。'],
  ["'Leave now.'", 'Leave now.'],
  ['"I am Veyra.', 'I am Veyra.'],
  ['Sit down."', 'Sit down.'],
  ['"Leave," he said, "or die."', '"Leave," he said, "or die."'],
  // Marks and characters nobody sees.
  ['Le\u200bave\u202e now\u0007.', 'Leave now.'],
  ['\uFEFFLeave.', 'Leave.'],
  [', and leave.', 'and leave.'],
  ['Leave!!!!!!!!', 'Leave!!!'],
  ['Leave........', 'Leave...'],
  ['Leave ,  now .', 'Leave, now.'],
  ['  Leave\t now. ', 'Leave now.'],
  ['می‌خواهم بروم.', 'می‌خواهم بروم.'],
  ['Le\ud800ave.', 'Le\ufffdave.'],
  // Nothing to say.
  ['', ''],
  ['...', ''],
  ['***', ''],
  ['42!', ''],
  ['😀', ''],
  ['[silence]', ''],
];

test('what a model writes becomes what a character may say', () => {
  for (const [written, spoken] of golden) assert.equal(say(written), spoken, JSON.stringify(written));
});

test('the rules that fired are named', () => {
  assert.deepEqual(makeSpeakable('You are late.', names).changed, []);
  assert.deepEqual(makeSpeakable('*sighs* "You are late" 😀', names).changed.toSorted(), [
    'action',
    'emoji',
    'quotes',
  ]);
  assert.deepEqual(makeSpeakable('As an AI, I obey.', names).changed, ['as_a']);
  assert.deepEqual(makeSpeakable('Player: hi', names).changed, ['other_speaker']);
  assert.deepEqual(makeSpeakable('42', names).changed, ['no_letter']);
});

const dirt = fc.constantFrom(
  ...'*_~`#<>[](){}|"\'“”„«»「」:;.,!?…-—–+=&/\\^ \n',
  '**',
  '***',
  '__',
  '```',
  'Veyra',
  'NPC',
  'assistant:',
  'User: ',
  'sighs',
  ' *sighs* ',
  'you',
  'As a lich, ',
  'As an AI ',
  'I',
  ' leave',
  '😀',
  '👍🏽',
  '\u200d',
  '\u202e',
  '<think>',
  '</think>',
  '<|im_end|>',
  '&lt;',
  '&amp;',
  'http://x',
  '1. ',
  '- ',
  ':)',
  '夜',
  '\ud800',
  'é',
  '7',
);
const ugly = fc.oneof(
  fc.array(dirt, { maxLength: 40 }).map((parts) => parts.join('')),
  fc
    .array(fc.constantFrom(...golden.map(([written]) => written)), { maxLength: 3 })
    .map((parts) => parts.join(' ')),
  fc.string({ unit: 'binary', maxLength: 80 }),
);

test('whatever comes, what leaves is clean, has a letter or is empty, and is left alone the second time', () => {
  fc.assert(
    fc.property(ugly, (written) => {
      const { text, changed } = makeSpeakable(written, names);
      assert.deepEqual(makeSpeakable(text, names), { text, changed: [] });
      assert.doesNotMatch(text, /[*<>[\]{}()#|`~^_\\\n\r\u200b\u202e]/u);
      assert.doesNotMatch(text, /\p{Emoji_Presentation}|\p{Extended_Pictographic}/u);
      assert.doesNotMatch(text, /\b(?:system|assistant|user|npc)\s*:/iu);
      assert.ok(text === '' || /\p{L}/u.test(text));
      assert.ok(text.isWellFormed());
      assert.equal(text, text.trim());
      assert.ok(!changed.includes('endless'), `endless: ${JSON.stringify(written)}`);
    }),
    { numRuns: 2000 },
  );
});
