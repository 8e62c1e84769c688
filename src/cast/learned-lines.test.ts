/**
 * A line's way from players' ears into the pool: what is offered and what never is, what a designer may make of it, and
 * that it serves at once. Over a real SQLite store.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import type { LineOccasion } from '../core/learned-line.ts';
import type { Turn } from '../core/turn.ts';
import { realRuntime } from '../runtime.ts';
import { openStore } from '../store/store.ts';
import { silentLogger } from '../telemetry/log.ts';
import { anOutcome, aRequest, aTurn } from '../testing/a-turn.ts';
import { createCast } from './cast.ts';
import { HeardLines } from './heard-lines.ts';
import { LineLearning } from './line-learning.ts';
import { parsePersona } from './persona.ts';
import { parseLinesCsv } from './written-lines.ts';

const never = new AbortController().signal;
const root = mkdtempSync(path.join(tmpdir(), 'greenroom-learned-'));
after(() => rmSync(root, { recursive: true, force: true }));
let places = 0;

function aPersona(id: string, changes: object = {}) {
  const parsed = parsePersona(
    {
      schema: 'greenroom.persona/1',
      id,
      version: 1,
      name: `The ${id}`,
      nickname: id,
      monster_type: 'vampire',
      tier: 2,
      summary: 'Keeps debts.',
      secrets: [{ text: 'It is the bell.', reveal_when: 'quest.bell>=3', canaries: ['bell is my heart'] }],
      ...changes,
    },
    `${id}.json`,
  );
  assert.ok('persona' in parsed, JSON.stringify(parsed));
  return parsed.persona;
}

const FILES = `id,speaker,trigger,text,when
vampire.greet.001,vampire,greet,The night was yours before you came in here.,
vampire.greet.learned-004,vampire,greet,An exported one.,
common.spot.001,common,spot,There!,
`;

/** A cast of two vampires, its learning and its store; both end with the test. */
async function aHouse(place = `place${places++}`) {
  const { lines, problems } = parseLinesCsv(FILES, 'lines.csv');
  assert.deepEqual(problems, []);
  const cast = createCast(
    [
      aPersona('ilse', { forbidden: { phrases: ['cheap blood'] }, voice: { words_avoid: ['okay'] } }),
      aPersona('vey', { secrets: [{ text: 'x', canaries: ['nine keys'] }] }),
    ],
    lines,
  );
  const { clock, random } = realRuntime;
  const directory = path.join(root, place);
  const store = await openStore({ url: undefined, directory, clock, random, log: silentLogger }, never);
  const learning = new LineLearning({ cast, store: store.learnedLines, clock, log: silentLogger });
  return { cast, store, learning, [Symbol.asyncDispose]: () => store[Symbol.asyncDispose]() };
}
type House = Awaited<ReturnType<typeof aHouse>>;

interface Said {
  readonly npcId?: string;
  readonly player?: string;
  readonly prompt?: string;
  readonly trigger?: LineOccasion;
  readonly facts?: Turn['request']['context']['facts'];
  readonly changes?: Partial<Turn>;
}

function said(
  sentences: readonly string[],
  { npcId = 'ilse', player = 'p1', trigger = 'greet', ...more }: Said = {},
) {
  const context = {
    timelineId: '',
    facts: more.facts ?? [],
    history: [],
    allowedActions: [],
    playerId: player,
    location: 'salon',
  };
  const request = aRequest({
    npcId,
    prompt: more.prompt ?? '',
    context,
    ...(trigger === 'answer' ? {} : { trigger }),
  });
  return aTurn({ request, outcome: anOutcome({ npcId, sentences }), ...more.changes });
}

/** As many players as asked for hear the line, each twice. */
function hearing(house: House, text: string, players = 6, options: Said = {}): void {
  for (let player = 0; player < players * 2; player += 1)
    house.learning.record(said([text], { ...options, player: `player-${player % players}` }));
}

async function offered(house: House) {
  const { candidates, refused } = await house.learning.offer({ limit: 100 });
  return { texts: candidates.map(({ evidence }) => evidence.text), refused, candidates };
}

async function idOf(house: House, text: string): Promise<string> {
  const { candidates } = await offered(house);
  const found = candidates.find(({ evidence }) => evidence.text === text);
  assert.ok(found, `${text} is not offered`);
  return found.evidence.id;
}

function picked(house: House, trigger: 'greet' | 'spot' = 'greet'): readonly string[] {
  const heard = new HeardLines(realRuntime.clock);
  const texts = new Set<string>();
  for (let turn = 0; turn < 40; turn += 1) {
    const query = {
      npcId: 'ilse',
      tier: 2 as const,
      playerId: 'p',
      trigger,
      cause: null,
      mood: null,
      facts: [],
      committed: [],
    };
    const line = house.cast.lines.pick(query, heard);
    heard.record('player p', 'ilse', line.text, line.id);
    texts.add(line.text);
  }
  return [...texts];
}

describe('a line that players heard often and well', () => {
  it('is offered, approved with edits, and serves at once, here and after a restart', async () => {
    const place = `place${places++}`;
    {
      await using house = await aHouse(place);
      hearing(house, 'Sit down, the wine will not drink itself.');
      const { candidates } = await offered(house);
      assert.equal(candidates.length, 1);
      const [candidate] = candidates;
      assert.equal(candidate?.evidence.heard, 12);
      assert.equal(candidate?.players, 6);
      assert.equal(candidate?.speaker, 'ilse', 'only one said it');
      assert.equal(candidate?.trigger, 'greet');
      assert.deepEqual(candidate?.evidence.places, { salon: 12 });
      assert.ok(!picked(house).includes('Sit down. The wine will not drink itself.'));
      const line = await house.learning.approve(
        candidate?.evidence.id ?? '',
        {
          text: '  Sit down. The wine\nwill not drink itself. ',
          speaker: 'vampire',
          when: ['health<30'],
          mood: null,
        },
        'Mara',
      );
      assert.equal(line.id, 'vampire.greet.learned-005', 'numbers of the files are taken');
      assert.equal(line.text, 'Sit down. The wine will not drink itself.');
      assert.equal(line.approvedBy, 'Mara');
      assert.equal(line.original, 'Sit down, the wine will not drink itself.');
      assert.deepEqual((await offered(house)).texts, []);
    }
    await using again = await aHouse(place);
    await again.learning.refresh();
    const served = again.cast.lines.served.find((line) => line.id === 'vampire.greet.learned-005');
    assert.equal(served?.source, 'generated_approved');
    assert.equal(served?.status, 'approved');
    assert.deepEqual(
      served?.when.map((condition) => condition.text),
      ['health<30'],
    );
  });

  it('is heard by players as soon as it is approved', async () => {
    await using house = await aHouse();
    hearing(house, 'You bring the cold in with you.');
    await house.learning.approve(await idOf(house, 'You bring the cold in with you.'), {}, 'Mara');
    assert.ok(picked(house).includes('You bring the cold in with you.'));
  });
});
