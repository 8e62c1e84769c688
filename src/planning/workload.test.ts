/** The lines that are drawn have the shares that were asked for, and a talk goes on with what was heard. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeededRandom } from './seeded-random.ts';
import { barksOf, DEFAULT_WORKLOAD, LineSource, linesPerSecond, type PlannedLine } from './workload.ts';

function draw(count: number, workload = DEFAULT_WORKLOAD): readonly PlannedLine[] {
  const source = new LineSource(workload, new SeededRandom('workload'));
  return Array.from({ length: count }, () => {
    const line = source.next();
    source.heard(line, `Heard ${line.number}.`);
    return line;
  });
}

const share = (lines: readonly PlannedLine[], is: (line: PlannedLine) => boolean) =>
  lines.filter(is).length / lines.length;
const near = (found: number, wanted: number, within: number) =>
  assert.ok(Math.abs(found - wanted) <= within, `${found} is not ${wanted} ± ${within}`);

test('tiers, barks and repeats come as often as they should', () => {
  const lines = draw(20_000);
  near(
    share(lines, ({ tier }) => tier === 1),
    0.6,
    0.01,
  );
  near(
    share(lines, ({ tier }) => tier === 4),
    0.05,
    0.005,
  );
  near(
    share(lines, ({ prompt }) => prompt === ''),
    barksOf(DEFAULT_WORKLOAD),
    0.01,
  );
  const said = lines.filter(({ prompt }) => prompt !== '');
  near(
    share(said, ({ prompt }) => !/\d/.test(prompt)),
    DEFAULT_WORKLOAD.repeats,
    0.015,
  );
  near(
    share(said, ({ context }) => context.history.length === 0),
    1 / DEFAULT_WORKLOAD.turnsMean,
    0.03,
  );
});

test('the first NPC of a tier is sought most, by Zipf', () => {
  const lines = draw(20_000).filter(({ tier }) => tier === 1);
  const first = share(lines, ({ npcId }) => npcId === 'npc_1_0');
  const second = share(lines, ({ npcId }) => npcId === 'npc_1_1');
  near(first / second, 2 ** DEFAULT_WORKLOAD.zipfNpcs, 0.35);
});

test('a talk goes on with what was said and heard, to the same NPC, and ends', () => {
  const lines = draw(5_000).filter(({ context }) => context.history.length > 0);
  for (const { context, talk, npcId, playerId } of lines) {
    assert.equal(talk?.npcId, npcId);
    assert.equal(talk?.playerId, playerId);
    assert.ok(context.history.length <= 2 * (DEFAULT_WORKLOAD.turnsMax - 1));
    assert.match(context.history.at(-1)?.text ?? '', /^Heard \d+\.$/);
  }
});

test('a thousand players begin 5.6 talks a second, which with their turns and barks are 21 lines', () => {
  near(linesPerSecond(DEFAULT_WORKLOAD), (5.556 * 2.2) / (1 - barksOf(DEFAULT_WORKLOAD)), 0.01);
  near(linesPerSecond({ ...DEFAULT_WORKLOAD, players: 2_000 }), 2 * linesPerSecond(DEFAULT_WORKLOAD), 1e-9);
});
