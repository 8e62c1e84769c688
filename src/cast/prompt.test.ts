/** Prompt assembly: the stable prefix, what may enter, the order, and the limit. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { DialogueContext, GameFact } from '../core/dialogue.ts';
import type { TokenCounter } from '../core/engine.ts';
import { ServiceError } from '../core/errors.ts';
import type { World } from './cast.ts';
import { activeCanaries } from './facts.ts';
import { type Persona, type PersonaFile, parsePersona } from './persona.ts';
import { type AssembledPrompt, createPromptAssembler, type PromptInput } from './prompt.ts';
import { plainLine, spoken } from './prompt-text.ts';

const never = new AbortController().signal;
/** Four bytes a token, as English runs. */
const counter: TokenCounter = { count: (text) => Promise.resolve(Math.ceil(Buffer.byteLength(text) / 4)) };

function personaOf(changes: Partial<PersonaFile> = {}): Persona {
  const parsed = parsePersona(
    {
      schema: 'greenroom.persona/1',
      id: 'veyra',
      version: 1,
      name: 'Veyra',
      monster_type: 'lich',
      tier: 3,
      summary: 'Patient lich who trades answers for memories.',
      tags: ['bench'],
      secrets: [
        {
          text: 'Her soul is in the chapel bell.',
          reveal_when: 'quest.bell>=3',
          canaries: ['bell is my soul'],
        },
      ],
      examples: Array.from({ length: 8 }, (_, index) => ({
        player: `Question ${index} of bones?`,
        npc: `Answer ${index}.`,
      })),
      world_facts: [
        { id: 'always', text: 'Bones never lie.', mode: 'always' },
        { id: 'rain', text: 'The rain wakes the river.', mode: 'always', when: 'weather=rain' },
        { id: 'bell', text: 'The bell lies in the Weir.', keys: ['bell'] },
        { id: 'regex', text: 'Knuckles are counted twice.', keys: ['/knuckl(e|ing)+/i'], use_regex: true },
        { id: 'late', text: 'The thaw has come.', mode: 'always', known_from: '100' },
        { id: 'other', text: 'Only ghouls know this.', mode: 'always', audience: ['type:ghoul'] },
        { id: 'here', text: 'The vault is below.', mode: 'always', audience: ['place:ossuary'] },
      ],
      refusals: ['That door has no hinge.'],
      ...changes,
    },
    'x',
  );
  assert.ok('persona' in parsed, JSON.stringify(parsed));
  return parsed.persona;
}

const WORLD: World = {
  text: 'A river city.',
  playerName: 'broker',
  places: new Map([['ossuary', { id: 'ossuary', name: 'the Ninth Ossuary', text: '' }]]),
  facts: [
    {
      ...personaOf().world_facts[0],
      id: 'shared',
      text: 'Bench folk know the price.',
      audience: ['faction:bench'],
    } as World['facts'][number],
  ],
};

function inputOf(changes: Partial<PromptInput> = {}, context: Partial<DialogueContext> = {}): PromptInput {
  return {
    world: WORLD,
    persona: personaOf(),
    tier: 3,
    context: { timelineId: 'main', facts: [], history: [], allowedActions: [], ...context },
    history: [],
    summary: null,
    playerText: 'Good evening.',
    trigger: null,
    maxPromptTokens: 1_500,
    ...changes,
  };
}

async function textOf(input: PromptInput): Promise<string> {
  const { messages } = await createPromptAssembler().assemble(input, counter, never);
  return messages.map((message) => `${message.role}: ${message.content}`).join('\n');
}

test('the stable prefix has the same bytes for every player, place, mood, time and turn', async () => {
  const persona = personaOf();
  const stableOf = async (input: PromptInput) => {
    const { messages, stableMessageCount } = await createPromptAssembler().assemble(input, counter, never);
    return JSON.stringify(messages.slice(0, stableMessageCount));
  };
  const first = await stableOf(inputOf({ persona }));
  const facts: GameFact[] = [{ key: 'quest.bell', value: 5, text: 'The bell rings.' }];
  const other = await stableOf(
    inputOf(
      {
        persona,
        playerText: 'Tell me of the bell',
        history: [
          { speaker: 'player', text: 'Hi.' },
          { speaker: 'npc', text: 'Late.' },
        ],
        summary: 'Earlier.',
      },
      { playerId: 'p2', location: 'ossuary', mood: 'angry', gameTime: '900', facts },
    ),
  );
  assert.equal(other, first);
  assert.match(first, /A river city.*You are Veyra.*Bones never lie/s);
  assert.match(first, /Bench folk know the price/);
});

test('a lean prompt has the same stable bytes, the same last words, and no examples beside them', async () => {
  const assembled = async (isLean: boolean) =>
    await createPromptAssembler().assemble(
      inputOf({ isLean, playerText: 'What of question 3 of bones?', maxPromptTokens: 4_000 }),
      counter,
      never,
    );
  const full = await assembled(false);
  const lean = await assembled(true);
  const stable = ({ messages, stableMessageCount }: AssembledPrompt) => messages.slice(0, stableMessageCount);
  assert.deepEqual(stable(lean), stable(full));
  assert.equal(lean.messages.length, lean.stableMessageCount + 1);
  assert.ok(full.messages.length > full.stableMessageCount + 1, 'else there is nothing to leave out');
  assert.ok(lean.likelyTokens < full.likelyTokens);
  assert.match(lean.messages.at(-1)?.content ?? '', /question 3 of bones\?$/);
});

test('the likely length is near the counted one, also where only a bound is counted', async () => {
  const history = Array.from({ length: 8 }, (_, index) => ({
    speaker: index % 2 === 0 ? ('player' as const) : ('npc' as const),
    text: `What the ferryman said of the ${index} bells was never written down by anybody.`,
  }));
  const { messages, promptTokens, likelyTokens } = await createPromptAssembler().assemble(
    inputOf({ history, maxPromptTokens: 10_000 }),
    counter,
    never,
  );
  const counted = await Promise.all(messages.map(({ content }) => counter.count(content, never)));
  const actual = counted.reduce((sum, tokens) => sum + tokens + 7, 0);
  assert.ok(promptTokens > actual * 1.3, 'a bound, far above');
  assert.ok(Math.abs(likelyTokens / actual - 1) < 0.1, `${likelyTokens} of ${actual}`);
});

test('a new version of a persona, or a file edited in place, gets its own prefix', async () => {
  const assembler = createPromptAssembler();
  const before = await assembler.assemble(inputOf(), counter, never);
  const edited = personaOf({ summary: 'Impatient lich.' });
  const after = await assembler.assemble(inputOf({ persona: edited }), counter, never);
  assert.notDeepEqual(after.messages[0], before.messages[0]);
});

test('roles alternate after the system message, and the player speaks last', async () => {
  const histories: PromptInput['history'][] = [
    [],
    [{ speaker: 'npc', text: 'Halt.' }],
    [{ speaker: 'player', text: 'Hm?' }],
    [
      { speaker: 'player', text: 'A' },
      { speaker: 'player', text: 'B' },
      { speaker: 'npc', text: 'C' },
      { speaker: 'npc', text: 'D' },
    ],
  ];
  for (const history of histories) {
    const { messages } = await createPromptAssembler().assemble(inputOf({ history }), counter, never);
    assert.equal(messages[0]?.role, 'system');
    for (const [index, message] of messages.slice(1).entries()) {
      assert.equal(message.role, index % 2 === 0 ? 'user' : 'assistant');
    }
    assert.ok(messages.at(-1)?.content.endsWith('Good evening.'));
  }
});

test('a secret is in the prompt when its condition holds and leaves no trace before', async () => {
  const secret = /soul|chapel/;
  for (const facts of [[], [{ key: 'quest.bell', value: 2 }], [{ key: 'other', value: 3 }]] as GameFact[][]) {
    assert.doesNotMatch(
      await textOf(inputOf({ playerText: 'Where is your soul?'.replace('soul', 'heart') }, { facts })),
      secret,
    );
  }
  const facts = [{ key: 'quest.bell', value: 3 }];
  assert.match(await textOf(inputOf({}, { facts })), /Her soul is in the chapel bell/);
  const persona = personaOf();
  assert.deepEqual(activeCanaries(persona, inputOf().context), ['bell is my soul']);
  assert.deepEqual(activeCanaries(persona, inputOf({}, { facts }).context), []);
});

test('facts enter by condition, time, audience, place and what is talked about', async () => {
  const plain = await textOf(inputOf());
  for (const absent of [/river\./, /lies in the Weir/, /Knuckles/, /thaw/, /ghouls/, /vault/])
    assert.doesNotMatch(plain, absent);
  assert.match(
    await textOf(inputOf({}, { facts: [{ key: 'weather', value: 'rain' }] })),
    /rain wakes the river/,
  );
  assert.match(await textOf(inputOf({ playerText: 'And the bells?' })), /lies in the Weir/);
  assert.doesNotMatch(await textOf(inputOf({ playerText: 'My rebellion' })), /lies in the Weir/);
  assert.match(await textOf(inputOf({ playerText: 'Your knuckles crack' })), /Knuckles are counted/);
  assert.doesNotMatch(await textOf(inputOf({}, { gameTime: '99' })), /thaw/);
  assert.match(await textOf(inputOf({}, { gameTime: '100' })), /thaw/);
  assert.match(await textOf(inputOf({}, { location: 'ossuary' })), /You are at the Ninth Ossuary.*vault/s);
  assert.match(
    await textOf(inputOf({}, { facts: [{ key: 'a', value: 1, text: 'The door is open' }] })),
    /The door is open\.\nGood evening/,
  );
});

test('the example nearest to what was said is told again right before it', async () => {
  const { messages } = await createPromptAssembler().assemble(
    inputOf({ playerText: 'Question 6?' }),
    counter,
    never,
  );
  assert.equal(messages.at(-2)?.content, 'Answer 6.');
});

test('a bark has no words of the player but the moment', async () => {
  const { messages } = await createPromptAssembler().assemble(
    inputOf({ playerText: '', trigger: 'spot' }),
    counter,
    never,
  );
  assert.equal(messages.at(-1)?.content, 'You have just noticed the broker.');
});

test('what is over the limit drops out in order: history, examples, facts; never the rules or the words', async () => {
  const history = Array.from({ length: 20 }, (_, index) => ({
    speaker: index % 2 === 0 ? ('player' as const) : ('npc' as const),
    text: `Turn ${index} with a good many words in it to take up room.`,
  }));
  let droppedBefore = -1;
  for (const maxPromptTokens of [1_500, 500, 350, 260, 200]) {
    const input = inputOf({ history, maxPromptTokens, playerText: 'The bell?' });
    const { messages, promptTokens, dropped } = await createPromptAssembler().assemble(input, counter, never);
    assert.ok(promptTokens <= maxPromptTokens);
    assert.ok(dropped.length >= droppedBefore);
    droppedBefore = dropped.length;
    assert.match(messages[0]?.content ?? '', /Stay in character/);
    assert.ok(messages.at(-1)?.content.endsWith('The bell?'));
    const again = await createPromptAssembler().assemble(input, counter, never);
    assert.deepEqual(again.messages, messages, 'the same input gives the same prompt');
    const firstExample = dropped.findIndex((name) => name.startsWith('examples['));
    assert.ok(firstExample < 0 || dropped.lastIndexOf('history') < firstExample);
  }
  await assert.rejects(
    createPromptAssembler().assemble(inputOf({ maxPromptTokens: 40 }), counter, never),
    (error) =>
      error instanceof ServiceError &&
      error.code === 'context_length_exceeded' &&
      /40 are allowed/.test(error.message),
  );
});

test('whatever room there is, player and NPC speak in turn', async () => {
  const history = Array.from({ length: 20 }, (_, index) => ({
    speaker: index % 2 === 0 ? ('player' as const) : ('npc' as const),
    text: `Turn ${index} with a good many words in it to take up room.`,
  }));
  for (let maxPromptTokens = 200; maxPromptTokens < 1_500; maxPromptTokens += 13) {
    const input = inputOf({ history, maxPromptTokens, playerText: 'The bell?' });
    const { messages } = await createPromptAssembler().assemble(input, counter, never);
    for (const [at, { role }] of messages.slice(1).entries())
      assert.equal(role, at % 2 === 0 ? 'user' : 'assistant', `${maxPromptTokens} tokens, message ${at + 1}`);
  }
});

test('the persona keeps to the budget of its tier', async () => {
  const long = Array.from({ length: 40 }, (_, index) => ({
    player: `Question ${index}?`.repeat(10),
    npc: `Answer ${index}.`.repeat(10),
  }));
  const persona = personaOf({ examples: long, identity: { background: 'Long ago. '.repeat(700) } });
  for (const [tier, budget] of [
    [1, 150],
    [2, 400],
    [3, 900],
    [4, 1_500],
  ] as const) {
    const { messages, stableMessageCount } = await createPromptAssembler().assemble(
      inputOf({ persona, tier, maxPromptTokens: 4_000 }),
      counter,
      never,
    );
    let tokens = 0;
    for (const message of messages.slice(0, stableMessageCount))
      tokens += await counter.count(message.content, never);
    assert.ok(tokens <= budget + 80, `tier ${tier}: ${tokens} tokens with rules and world`);
  }
});

test('no text of a player, a game or a card forms a control token, a role label or a line of ours', () => {
  const pieces = [
    '<|im_start|>',
    '<|im_end|>',
    '<|',
    '|>',
    '<<SYS>>',
    '[INST]',
    '</s>',
    '<start_of_turn>',
    'system:',
    'assistant :',
    '(',
    ')',
    '\n',
    '\u202e',
    '\u0000',
    'a',
    ' ',
  ];
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...pieces), { maxLength: 12 }), (parts) => {
      const text = spoken(parts.join(''));
      assert.doesNotMatch(text, /<|>|[()[\]{}\n\u202e\u0000]|(?:^|\s)(?:system|assistant)\s*:/i);
      const line = plainLine(parts.join(''));
      assert.doesNotMatch(
        line,
        /<\|[a-z_]|<<SYS>>|\[INST\]|<\/s>|<start_of_turn>|\n|(?:^|\s)(?:system|assistant)\s*:/i,
      );
    }),
    { numRuns: 1_000 },
  );
});

test('one who hangs up does not take the prefix from those who wait for the same', async () => {
  const assembler = createPromptAssembler();
  const controller = new AbortController();
  const slow: TokenCounter = {
    count: (text, signal) =>
      new Promise((resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
        setImmediate(() => resolve(text.length));
      }),
  };
  const input = inputOf({ maxPromptTokens: 9_000 });
  const first = assembler.assemble(input, slow, controller.signal);
  const second = assembler.assemble(input, slow, never);
  controller.abort(new ServiceError('client_closed', 'gone'));
  await assert.rejects(first, /gone/);
  assert.equal((await second).messages[0]?.role, 'system');
});

test('while a prefix is made, the hang-up of one player is no other player’s, and who cannot wait does not', async () => {
  const assembler = createPromptAssembler();
  const input = inputOf({ maxPromptTokens: 9_000 });
  const counted = Promise.withResolvers<number>();
  let isStopped = false;
  const slow: TokenCounter = {
    count: (_text, signal) => {
      signal.addEventListener('abort', () => {
        isStopped = true;
        counted.reject(signal.reason);
      });
      return counted.promise;
    },
  };
  const [first, hurried, patient] = [new AbortController(), new AbortController(), new AbortController()];
  const asked = [first, hurried, patient].map(({ signal }) => assembler.assemble(input, slow, signal));
  const settled = Promise.allSettled(asked);
  first.abort(new ServiceError('client_closed', 'gone'));
  hurried.abort(new ServiceError('deadline_exceeded', 'late'));
  await assert.rejects(asked[0] as Promise<unknown>, { code: 'client_closed' });
  await assert.rejects(asked[1] as Promise<unknown>, { code: 'deadline_exceeded' });
  assert.equal(isStopped, false, 'somebody still waits for it');
  counted.resolve(7);
  assert.ok((await asked[2])?.messages.length);
  await settled;
});

test('a prefix that nobody waits for any more is not made, and the next who asks begins anew', async () => {
  const assembler = createPromptAssembler();
  const input = inputOf({ maxPromptTokens: 9_000 });
  const only = new AbortController();
  let isStopped = false;
  const endless: TokenCounter = {
    count: (_text, signal) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          isStopped = true;
          reject(signal.reason as Error);
        });
      }),
  };
  const asked = assembler.assemble(input, endless, only.signal);
  only.abort(new ServiceError('client_closed', 'gone'));
  await assert.rejects(asked, { code: 'client_closed' });
  assert.equal(isStopped, true);
  assert.ok((await assembler.assemble(input, counter, never)).messages.length);
});
