/**
 * A line's way from players' ears into the pool: what is offered and what never is, what a designer may make of it, and
 * that it serves at once. Over a real SQLite store.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import type { LineChanges } from '../core/learned-line.ts';
import { realRuntime } from '../runtime.ts';
import { openStore } from '../store/store.ts';
import { silentLogger } from '../telemetry/log.ts';
import { anOutcome } from '../testing/a-turn.ts';
import { aSmallCast, hearing, learningOver, said } from '../testing/line-learning.ts';
import { rejectsWith } from '../testing/store-conformance.ts';
import { HeardLines } from './heard-lines.ts';
import type { LinePool } from './line-pool.ts';

const never = new AbortController().signal;
const root = mkdtempSync(path.join(tmpdir(), 'greenroom-learned-'));
after(() => rmSync(root, { recursive: true, force: true }));
let places = 0;
const freshPlace = () => `place${places++}`;

/** One gateway: its cast, its learning and its store. The same place is the same store. */
async function aGateway(place = freshPlace()) {
  const cast = aSmallCast();
  const { clock, random } = realRuntime;
  const directory = path.join(root, place);
  const store = await openStore({ url: undefined, directory, clock, random, log: silentLogger }, never);
  const learning = learningOver(store, cast);
  return { cast, store, learning, [Symbol.asyncDispose]: () => store[Symbol.asyncDispose]() };
}
type TheGateway = Awaited<ReturnType<typeof aGateway>>;

async function offered({ learning }: TheGateway) {
  const { candidates, refused } = await learning.offer({ limit: 100 });
  return { texts: candidates.map(({ evidence }) => evidence.text), refused, candidates };
}

async function idOf(gateway: TheGateway, text: string): Promise<string> {
  const { candidates } = await offered(gateway);
  const found = candidates.find(({ evidence }) => evidence.text === text);
  assert.ok(found, `${text} is not offered`);
  return found.evidence.id;
}

/** Everything that a player who stays long enough hears. */
function heardFrom(lines: LinePool, npcId = 'ilse'): readonly string[] {
  const heard = new HeardLines(realRuntime.clock);
  const texts = new Set<string>();
  for (let turn = 0; turn < 40; turn += 1) {
    const scene = { trigger: 'greet', cause: null, mood: null, facts: [], committed: [] } as const;
    const line = lines.pick({ npcId, tier: 2, playerId: 'p', ...scene }, heard);
    heard.record('player p', npcId, line.text, line.id);
    texts.add(line.text);
  }
  return [...texts];
}

const WINE = 'Sit down, the wine will not drink itself.';

describe('a line that players heard often and well', () => {
  it('is offered with its counts, approved with edits, and serves, here and after a restart', async () => {
    const place = freshPlace();
    {
      await using gateway = await aGateway(place);
      hearing(gateway.learning, WINE);
      const { candidates } = await offered(gateway);
      const [candidate] = candidates;
      assert.equal(candidates.length, 1);
      assert.equal(candidate?.evidence.heard, 12);
      assert.equal(candidate?.players, 6);
      assert.equal(candidate?.speaker, 'ilse', 'only one said it');
      assert.equal(candidate?.trigger, 'greet');
      assert.deepEqual(candidate?.evidence.places, { salon: 12 });
      const line = await gateway.learning.approve(
        candidate?.evidence.id ?? '',
        { text: '  Sit down. The wine\nwill not drink itself. ', speaker: 'vampire', when: ['health<30'] },
        ' Mara ',
      );
      assert.equal(line.id, 'vampire.greet.learned-005', 'numbers of the files are taken');
      assert.equal(line.text, 'Sit down. The wine will not drink itself.');
      assert.equal(line.approvedBy, 'Mara');
      assert.equal(line.original, WINE);
      assert.deepEqual((await offered(gateway)).texts, []);
    }
    await using again = await aGateway(place);
    await again.learning.refresh();
    const served = again.cast.lines.served.find((line) => line.id === 'vampire.greet.learned-005');
    assert.equal(served?.source, 'generated_approved');
    assert.equal(served?.status, 'approved');
    assert.deepEqual(
      served?.when.map((condition) => condition.text),
      ['health<30'],
    );
  });

  it('is heard by players as soon as it is approved, and no more once it is retired', async () => {
    const place = freshPlace();
    await using gateway = await aGateway(place);
    await using other = await aGateway(place);
    hearing(gateway.learning, WINE);
    assert.ok(!heardFrom(gateway.cast.lines).includes(WINE));
    const { id } = await gateway.learning.approve(await idOf(gateway, WINE), {}, 'Mara');
    assert.ok(heardFrom(gateway.cast.lines).includes(WINE));
    assert.ok(!heardFrom(gateway.cast.lines, 'vey').includes(WINE), "it is ilse's own");
    assert.ok(!heardFrom(other.cast.lines).includes(WINE));
    await other.learning.refresh();
    assert.ok(heardFrom(other.cast.lines).includes(WINE), 'the other gateway looks every few seconds');
    const retired = await other.learning.retire(id, 'Ivo');
    assert.equal(retired.retiredBy, 'Ivo');
    assert.ok(!heardFrom(other.cast.lines).includes(WINE));
    await gateway.learning.refresh();
    assert.ok(!heardFrom(gateway.cast.lines).includes(WINE));
    hearing(gateway.learning, WINE);
    assert.deepEqual((await offered(gateway)).texts, [], 'decided is decided');
  });

  it('belongs to the kind when more than one of it says it', async () => {
    await using gateway = await aGateway();
    hearing(gateway.learning, WINE, 5);
    hearing(gateway.learning, WINE, 3, { npcId: 'vey', place: 'crypt' });
    const [candidate] = (await offered(gateway)).candidates;
    assert.equal(candidate?.speaker, 'vampire');
    assert.deepEqual(candidate?.evidence.npcs, { ilse: 10, vey: 6 });
    assert.equal(candidate?.players, 5, 'a player who heard both is one player');
    assert.equal(candidate?.evidence.heard, 16);
  });

  it('is offered where many heard it out before where few did, and can be asked for by speaker', async () => {
    await using gateway = await aGateway();
    hearing(gateway.learning, 'Few of them came back that winter.', 5);
    hearing(gateway.learning, 'Mind the third stair, it remembers people.', 20, { npcId: 'vey' });
    hearing(gateway.learning, WINE, 9);
    const { texts } = await offered(gateway);
    assert.deepEqual(texts, [
      'Mind the third stair, it remembers people.',
      WINE,
      'Few of them came back that winter.',
    ]);
    const ask = async (speaker: string, limit = 9) =>
      (await gateway.learning.offer({ speaker, limit })).candidates.map(({ speaker: who }) => who);
    assert.deepEqual(await ask('vey'), ['vey']);
    assert.deepEqual(await ask('ilse', 1), ['ilse']);
    assert.equal((await ask('vampire')).length, 3);
    assert.deepEqual(await ask('nobody'), []);
  });

  it('is one line whatever its marks and case, and near variants come as one candidate', async () => {
    await using gateway = await aGateway();
    hearing(gateway.learning, 'Sit down!', 2);
    hearing(gateway.learning, 'Sit down.', 5);
    hearing(gateway.learning, 'The coats go there and the knives go in the other room.', 9);
    hearing(gateway.learning, 'The coats go there and the knives go in the next room.', 6);
    const { candidates } = await offered(gateway);
    assert.deepEqual(
      candidates.map(({ evidence: { text, heard }, variants }) => [text, heard, variants]),
      [
        [
          'The coats go there and the knives go in the other room.',
          18,
          ['The coats go there and the knives go in the next room.'],
        ],
        ['Sit down!', 14, []],
      ],
    );
    await gateway.learning.reject(candidates[0]?.evidence.id ?? '', 'Mara');
    assert.deepEqual((await offered(gateway)).texts, ['Sit down!'], 'the variant goes with it');
    assert.deepEqual((await offered(gateway)).refused, { decided_before: 1 });
  });
});

describe('a line is not offered', () => {
  const refusals: readonly {
    readonly why: string;
    readonly hear: (gateway: TheGateway) => void;
    readonly refused?: Readonly<Record<string, number>>;
  }[] = [
    {
      why: 'that too few players have heard',
      hear: ({ learning }) => {
        for (let turn = 0; turn < 40; turn += 1) learning.record(said([WINE], { player: `p${turn % 4}` }));
      },
      refused: { too_few_players: 1 },
    },
    {
      why: 'that was heard too seldom',
      hear: ({ learning }) => {
        for (let turn = 0; turn < 9; turn += 1) learning.record(said([WINE], { player: `p${turn}` }));
      },
    },
    {
      why: 'that players cut off',
      hear: ({ learning }) => {
        hearing(learning, WINE);
        const cut = { outcome: null, error: 'client_closed' as const };
        for (let turn = 0; turn < 6; turn += 1) learning.record(said([WINE], { changes: cut }));
      },
      refused: { interrupted: 1 },
    },
    {
      why: 'that the guard had to mend',
      hear: ({ learning }) =>
        hearing(learning, WINE, 6, {
          changes: { guardHits: [{ rule: 'too_long', outcome: 'cleaned' }] },
        }),
      refused: { guarded: 1 },
    },
    {
      why: 'that the pool has already, but for a mark',
      hear: ({ learning }) => hearing(learning, 'The night was yours before you came in here!'),
      refused: { near_duplicate: 1 },
    },
    {
      why: 'that holds a canary of whoever, however it is dressed',
      hear: ({ learning }) => {
        hearing(learning, 'You know, the BELL is my héart.');
        hearing(learning, 'There are nine keys and one door.');
      },
      refused: { secret: 2 },
    },
    {
      why: 'that holds what its speaker never says',
      hear: ({ learning }) => {
        hearing(learning, 'I do not pour cheap blood for anyone.');
        hearing(learning, 'Okay, take the chair by the fire.');
      },
      refused: { forbidden: 2 },
    },
    {
      why: 'with markup in it, or longer than its speaker ever is',
      hear: ({ learning }) => {
        hearing(learning, 'Come in *smiles* and close the door.');
        hearing(
          learning,
          'One two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen.',
        );
        hearing(
          learning,
          'One two three four five six seven eight nine ten eleven twelve thirteen fourteen and fifteen.',
          6,
          { occasion: 'attack' },
        );
      },
      refused: { markup: 1, 'too-long': 2 },
    },
    {
      why: 'that came under a revealed secret, whatever it says',
      hear: ({ learning }) => hearing(learning, WINE, 6, { facts: [{ key: 'quest.bell', value: 3 }] }),
    },
    {
      why: 'that a person wrote, that was cut short, that an operator asked for, or that nobody in the cast said',
      hear: ({ learning }) => {
        const source = { ...anOutcome().source, kind: 'written' as const };
        hearing(learning, WINE, 6, { changes: { outcome: anOutcome({ sentences: [WINE], source }) } });
        hearing(learning, WINE, 6, {
          changes: { outcome: anOutcome({ sentences: [WINE], finishReason: 'length' }) },
        });
        hearing(learning, WINE, 6, { npcId: 'nobody' });
        const { request } = said([WINE]);
        hearing(learning, WINE, 6, { changes: { request: { ...request, adapter: 'lich@8' } } });
      },
    },
    {
      why: 'that is no short reply',
      hear: ({ learning }) => {
        const long = Array.from({ length: 21 }, (_, at) => `word${at}`).join(' ');
        hearing(learning, `${long}.`);
        for (let turn = 0; turn < 12; turn += 1)
          learning.record(said(['One.', 'Two.', 'Three.'], { player: `p${turn}` }));
        hearing(learning, '…');
      },
    },
  ];
  for (const { why, hear, refused = {} } of refusals)
    it(why, async () => {
      await using gateway = await aGateway();
      hear(gateway);
      const offer = await offered(gateway);
      assert.deepEqual(offer.texts, []);
      assert.deepEqual(offer.refused, refused);
    });
});

describe('a designer', () => {
  it('who comes second is told who was first and how, and nothing changes', async () => {
    const place = freshPlace();
    await using one = await aGateway(place);
    await using two = await aGateway(place);
    hearing(one.learning, WINE);
    const id = await idOf(one, WINE);
    const both = await Promise.allSettled([
      one.learning.approve(id, {}, 'Mara'),
      two.learning.approve(id, { text: 'Sit down, or do not.' }, 'Ivo'),
    ]);
    assert.deepEqual(both.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
    const [line] = await one.learning.learned();
    const error = await rejectsWith('line_decided', two.learning.reject(id, 'Lena'));
    assert.match(error.message, new RegExp(`^${line?.approvedBy} approved this line as ${line?.id} at 20`));
    assert.equal((await two.learning.learned()).length, 1);
  });

  it('who approves many at one instant hears each of them at once', async () => {
    await using gateway = await aGateway();
    const rooms = ['hall', 'attic', 'cellar', 'chapel', 'crypt', 'garden'];
    for (const room of rooms) hearing(gateway.learning, `Go to the ${room}.`);
    const { candidates } = await offered(gateway);
    const served = await Promise.all(
      candidates.map(async ({ evidence }) => {
        const { id } = await gateway.learning.approve(evidence.id, {}, 'Mara');
        return gateway.cast.lines.served.some((line) => line.id === id);
      }),
    );
    assert.deepEqual(
      served,
      rooms.map(() => true),
    );
  });

  it('who gives a line another speaker, trigger or text gets the id of that place', async () => {
    await using gateway = await aGateway();
    hearing(gateway.learning, WINE, 6, { occasion: 'answer', prompt: 'What now?' });
    const [candidate] = (await offered(gateway)).candidates;
    assert.equal(candidate?.trigger, null, 'an answer');
    const error = await rejectsWith(
      'bad_request',
      gateway.learning.approve(await idOf(gateway, WINE), {}, 'M'),
    );
    assert.match(error.message, /^trigger is missing: .*expected one of spot, lose/);
    const line = await gateway.learning.approve(
      await idOf(gateway, WINE),
      { speaker: 'common', trigger: 'fallback:timeout', mood: 'alert', locale: 'de' },
      'Mara',
    );
    assert.equal(line.id, 'common.fallback.timeout.learned-001');
    const served = gateway.cast.lines.served.find(({ id }) => id === line.id);
    assert.equal(served?.mood, 'alert');
    assert.deepEqual(served?.tags, ['locale:de']);
  });

  const faults: readonly [what: string, changes: LineChanges, by: string, message: RegExp][] = [
    ['has no name', {}, ' \u200b ', /^by is empty: .*says a name/],
    [
      'lets the text say a secret',
      { text: 'The bell is my heart.' },
      'Mara',
      /says "bell is my heart", which guards/,
    ],
    [
      'lets the text say what is forbidden',
      { text: 'Okay, sit.' },
      'Mara',
      /says "okay", which ilse never says/,
    ],
    ['leaves no text', { text: ' \n ' }, 'Mara', /^the line cannot be kept: text is ""/],
    ['writes a novel', { text: 'long '.repeat(140) }, 'Mara', /at most 600 characters/],
    ['puts markup in', { text: 'Sit *there*.' }, 'Mara', /holds markup/],
    ['invents a trigger', { trigger: 'dance' }, 'Mara', /trigger is "dance"; expected one of spot/],
    ['invents a speaker', { speaker: 'dragon' }, 'Mara', /nobody in the cast is "dragon"/],
    [
      'misspells a speaker',
      { speaker: 'The Ilse!' },
      'Mara',
      /speaker is "The Ilse!"; expected a persona id/,
    ],
    ['misspells a condition', { when: ['health <'] }, 'Mara', /when is "health <"; expected condition/],
    ['contradicts oneself', { when: ['health<3', 'health>5'] }, 'Mara', /can never be said/],
    [
      'says again what is there',
      { text: 'The night was yours before you came in here.', speaker: 'vampire' },
      'Mara',
      /^vampire.greet.001 says exactly this already/,
    ],
  ];
  for (const [what, changes, by, message] of faults)
    it(`who ${what} is told so, and the candidate stays`, async () => {
      await using gateway = await aGateway();
      hearing(gateway.learning, WINE);
      const id = await idOf(gateway, WINE);
      const error = await rejectsWith('bad_request', gateway.learning.approve(id, changes, by));
      assert.match(error.message, message);
      assert.deepEqual((await offered(gateway)).texts, [WINE]);
      assert.deepEqual(await gateway.learning.learned(), []);
    });

  it('who names what is not there is told where to look', async () => {
    await using gateway = await aGateway();
    for (const work of [
      gateway.learning.approve('0'.repeat(32), {}, 'Mara'),
      gateway.learning.reject('\u0000', 'Mara'),
      gateway.learning.retire('vampire.greet.001', 'Mara'),
    ])
      await rejectsWith('unknown_line', work);
  });
});
