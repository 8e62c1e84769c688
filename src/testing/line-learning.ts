/** A small cast whose players hear lines: for tests of how a line is learned. Everything is real but the players. */
import assert from 'node:assert/strict';
import { type Cast, createCast } from '../cast/cast.ts';
import { LineLearning } from '../cast/line-learning.ts';
import { parsePersona } from '../cast/persona.ts';
import { parseLinesCsv } from '../cast/written-lines.ts';
import type { GameFact } from '../core/dialogue.ts';
import type { LineOccasion } from '../core/learned-line.ts';
import type { Store } from '../core/store.ts';
import type { Turn } from '../core/turn.ts';
import { realRuntime } from '../runtime.ts';
import { silentLogger } from '../telemetry/log.ts';
import { anOutcome, aRequest, aTurn } from './a-turn.ts';

const FILES = `id,speaker,trigger,text,when
vampire.greet.001,vampire,greet,The night was yours before you came in here.,
vampire.greet.learned-004,vampire,greet,An exported one.,
common.spot.001,common,spot,There!,
`;

function aPersona(id: string, changes: object) {
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
      ...changes,
    },
    `${id}.json`,
  );
  assert.ok('persona' in parsed, JSON.stringify(parsed));
  return parsed.persona;
}

/** Two vampires with a secret each, and three written lines. */
export function aSmallCast(): Cast {
  const { lines, problems } = parseLinesCsv(FILES, 'lines.csv');
  assert.deepEqual(problems, []);
  const secret = { text: 'It is the bell.', reveal_when: 'quest.bell>=3', canaries: ['bell is my heart'] };
  const ilse = aPersona('ilse', {
    secrets: [secret],
    forbidden: { phrases: ['cheap blood'] },
    voice: { words_avoid: ['okay'] },
    style: { max_words: 18 },
  });
  const vey = aPersona('vey', { secrets: [{ text: 'x', canaries: ['nine keys'] }] });
  return createCast([ilse, vey], lines);
}

export function learningOver(store: Pick<Store, 'learnedLines'>, cast: Cast = aSmallCast()): LineLearning {
  return new LineLearning({ cast, store: store.learnedLines, clock: realRuntime.clock, log: silentLogger });
}

export interface Said {
  readonly npcId?: string;
  readonly player?: string;
  readonly prompt?: string;
  readonly occasion?: LineOccasion;
  readonly place?: string;
  readonly facts?: readonly GameFact[];
  readonly changes?: Partial<Turn>;
}

/** A turn in which these sentences were heard. */
export function said(sentences: readonly string[], options: Said = {}): Turn {
  const {
    npcId = 'ilse',
    player = 'p1',
    occasion = 'greet',
    place = 'salon',
    facts = [],
    prompt = '',
  } = options;
  const request = aRequest({
    npcId,
    prompt,
    context: { timelineId: '', facts, history: [], allowedActions: [], playerId: player, location: place },
    ...(occasion === 'answer' ? {} : { trigger: occasion }),
  });
  return aTurn({ request, outcome: anOutcome({ npcId, sentences }), heard: sentences, ...options.changes });
}

/** So many players hear the line, each twice. */
export function hearing(
  learning: Pick<LineLearning, 'record'>,
  text: string,
  players = 6,
  options: Said = {},
): void {
  for (let turn = 0; turn < players * 2; turn += 1)
    learning.record(said([text], { ...options, player: `player-${turn % players}` }));
}
