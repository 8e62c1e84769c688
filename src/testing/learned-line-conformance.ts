/**
 * What every store must do with learned lines: no gateway's counts are lost, a line is decided about once, an id is given
 * once, and what was decided survives the evidence.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { EVIDENCE_NAMES_MAX, evidenceId, type LineEvidence, type LineVerdict } from '../core/learned-line.ts';
import type { Store } from '../core/store.ts';
import { DistinctSketch } from '../lib/distinct-sketch.ts';
import { realRuntime } from '../runtime.ts';
import { ManualClock } from './manual-clock.ts';
import type { StoreOpening } from './store-conformance.ts';

export function anEvidence(text: string, changes: Partial<LineEvidence> = {}): LineEvidence {
  const spoken = { kind: 'vampire', occasion: 'greet' as const, locale: 'en', text };
  const id = evidenceId({ ...spoken, ...changes });
  return {
    id,
    ...spoken,
    heard: 12,
    interrupted: 1,
    cached: 7,
    clean: 12,
    listeners: listeners(id, ['a', 'b', 'c', 'd', 'e', 'f']),
    npcs: { ilse: 12 },
    places: { salon: 8 },
    voice: 'smollm2 + vampire@1',
    firstAtMs: 1_760_000_000_000,
    lastAtMs: 1_760_000_100_000,
    ...changes,
  };
}

export function listeners(id: string, names: readonly string[]): string {
  const sketch = new DistinctSketch();
  for (const name of names) sketch.add(id, name);
  return sketch.toString();
}

export function anApproval(
  text: string,
  changes: Partial<LineVerdict & { verdict: 'approved' }> = {},
): LineVerdict {
  return {
    verdict: 'approved',
    idPrefix: 'vampire.greet.learned-',
    numbersTaken: 0,
    wish: { text, speaker: 'vampire', trigger: 'greet', when: ['health<30'], mood: null, locale: 'en' },
    players: 6,
    ...changes,
  };
}

/** Registers the suite. `runs` is the number of random histories. */
export function learnedLineConformance(
  openAt: (place: string, opening: StoreOpening) => Promise<AsyncDisposable & Pick<Store, 'learnedLines'>>,
  runs: number,
): void {
  let places = 0;
  const freshPlace = () => `lines${places++}`;
  const open = (place: string) =>
    openAt(place, { clock: new ManualClock(), random: realRuntime.random, turnRetentionDays: 30 });

  describe('learned lines', () => {
    it('come back as they were noted, whatever stands in them, and notes add up', async () => {
      const place = freshPlace();
      const odd = anEvidence('Sit; "quotes", ünïcode \u0000 \ud800 and {player}.', {
        places: { '\u0000': 1 },
      });
      {
        await using store = await open(place);
        await store.learnedLines.note([odd, anEvidence('Other.')]);
      }
      await using store = await open(place);
      const { learnedLines } = store;
      assert.deepEqual(await learnedLines.evidence(odd.id), odd);
      assert.equal(await learnedLines.evidence("x' or 1=1 --\u0000"), null);
      await learnedLines.note([
        {
          ...odd,
          heard: 3,
          clean: 1,
          listeners: listeners(odd.id, ['f', 'g']),
          npcs: { vey: 3 },
          voice: 'later',
          lastAtMs: odd.lastAtMs + 5,
        },
      ]);
      const both = await learnedLines.evidence(odd.id);
      assert.equal(both?.heard, 15);
      assert.equal(both?.clean, 13);
      assert.deepEqual(both?.npcs, { ilse: 12, vey: 3 });
      assert.equal(both?.voice, 'later');
      assert.equal(DistinctSketch.parse(both?.listeners ?? '').count(), 7);
      assert.equal(await learnedLines.count(), 2);
      await learnedLines.note([]);
    });

    it('lose no count when gateways note the same lines at one instant', async () => {
      const place = freshPlace();
      await using first = await open(place);
      await using second = await open(place);
      const lines = Array.from({ length: 150 }, (_, at) => anEvidence(`Line number ${at}.`, { heard: 1 }));
      await Promise.all(
        Array.from({ length: 6 }, (_, round) => (round % 2 === 0 ? first : second).learnedLines.note(lines)),
      );
      for (const line of [lines[0], lines[149]])
        assert.equal((await first.learnedLines.evidence(line?.id ?? ''))?.heard, 6);
    });

    it('are what adding in any order and any batches gives', async () => {
      await using store = await open(freshPlace());
      let run = 0;
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.record({ line: fc.nat(3), heard: fc.nat(5), player: fc.nat(30), npc: fc.nat(11) }), {
            minLength: 1,
            maxLength: 30,
          }),
          fc.nat(5),
          async (hearings, batch) => {
            run += 1;
            const notes = hearings.map(({ line, heard, player, npc }) => {
              const { id } = anEvidence(`Run ${run} line ${line}.`);
              return anEvidence(`Run ${run} line ${line}.`, {
                heard,
                npcs: { [`npc${npc}`]: 1 },
                listeners: listeners(id, [`p${player}`]),
              });
            });
            for (let at = 0; at < notes.length; at += batch + 1)
              await store.learnedLines.note(notes.slice(at, at + batch + 1));
            for (let line = 0; line <= 3; line += 1) {
              const mine = hearings.filter((hearing) => hearing.line === line);
              const { id } = anEvidence(`Run ${run} line ${line}.`);
              const kept = await store.learnedLines.evidence(id);
              if (mine.length === 0) {
                assert.equal(kept, null);
                continue;
              }
              assert.equal(
                kept?.heard,
                mine.reduce((sum, hearing) => sum + hearing.heard, 0),
              );
              assert.equal(
                kept?.listeners,
                listeners(
                  id,
                  mine.map((hearing) => `p${hearing.player}`),
                ),
              );
              assert.ok(Object.keys(kept?.npcs ?? {}).length <= EVIDENCE_NAMES_MAX);
            }
          },
        ),
        { numRuns: runs },
      );
    });

    it('are listed by how often they were heard, until somebody decides', async () => {
      await using store = await open(freshPlace());
      const { learnedLines } = store;
      const [often, seldom, once] = [
        anEvidence('Often.', { heard: 50 }),
        anEvidence('Seldom.', { heard: 20 }),
        anEvidence('Once.', { heard: 1 }),
      ];
      await learnedLines.note([seldom, once, often]);
      const texts = async (limit = 9) =>
        (await learnedLines.undecided({ heardMin: 10, limit })).map((line) => line.text);
      assert.deepEqual(await texts(), ['Often.', 'Seldom.']);
      assert.deepEqual(await texts(1), ['Often.']);
      await learnedLines.decide(often, { verdict: 'rejected' }, 'Mara', 5);
      assert.deepEqual(await texts(), ['Seldom.']);
    });

    it('are decided about once: of two designers at one instant one wins and the other is told', async () => {
      const place = freshPlace();
      await using first = await open(place);
      await using second = await open(place);
      const line = anEvidence('Sit.');
      await first.learnedLines.note([line]);
      const decided = await Promise.all(
        ['Mara', 'Ivo', 'Lena', 'Tom'].map((by, at) =>
          (at % 2 === 0 ? first : second).learnedLines.decide(
            line,
            at === 3 ? { verdict: 'rejected' } : anApproval(`By ${by}.`),
            by,
            1_000 + at,
          ),
        ),
      );
      assert.equal(decided.filter(({ isFirst }) => isFirst).length, 1);
      const winner = decided.find(({ isFirst }) => isFirst)?.decision;
      for (const { decision } of decided) assert.deepEqual(decision, winner);
      assert.deepEqual(await second.learnedLines.decisions(), [winner]);
      assert.deepEqual(await first.learnedLines.decision(line.id), winner);
      assert.equal(await first.learnedLines.decision('none\u0000'), null);
    });

    it('have ids that are given once, also at one instant and after they were retired', async () => {
      const place = freshPlace();
      await using first = await open(place);
      await using second = await open(place);
      const lines = Array.from({ length: 12 }, (_, at) => anEvidence(`Line ${at}.`));
      const approve = async (line: LineEvidence, at: number, numbersTaken = 0) => {
        const { learnedLines } = at % 2 === 0 ? first : second;
        const { decision } = await learnedLines.decide(
          line,
          anApproval(line.text, { numbersTaken }),
          'Mara',
          at,
        );
        return decision.line?.id ?? '';
      };
      const ids = await Promise.all(lines.map((line, at) => approve(line, at)));
      assert.deepEqual(
        [...ids].sort(),
        lines.map((_, at) => `vampire.greet.learned-${String(at + 1).padStart(3, '0')}`),
      );
      const newest = 'vampire.greet.learned-012';
      const retired = await first.learnedLines.retire(newest, 'Ivo', 77);
      assert.equal(retired?.status, 'retired');
      assert.equal(await approve(anEvidence('Next.'), 1), 'vampire.greet.learned-013');
      assert.equal(await approve(anEvidence('Far.'), 1, 40), 'vampire.greet.learned-041');
      const again = await second.learnedLines.retire(newest, 'Lena', 99);
      assert.deepEqual([again?.retiredBy, again?.retiredAtMs], ['Ivo', 77], 'the first word stays');
      for (const nobody of ['vampire.greet.learned-999', 'vampire.greet.001', '', "x'-001"])
        assert.equal(await first.learnedLines.retire(nobody, 'Ivo', 1), null);
    });

    it('come back with who approved them, from what, and when', async () => {
      const place = freshPlace();
      const line = anEvidence('Sit down.');
      {
        await using store = await open(place);
        await store.learnedLines.decide(
          line,
          anApproval('Sit. \ud800'),
          'Mara "M" \u0000',
          1_760_000_200_000,
        );
      }
      await using store = await open(place);
      const [decision] = await store.learnedLines.decisions();
      assert.equal(decision?.by, 'Mara "M" \ufffd');
      assert.deepEqual(decision?.line, {
        id: 'vampire.greet.learned-001',
        evidenceId: line.id,
        status: 'approved',
        text: 'Sit. \ud800',
        speaker: 'vampire',
        trigger: 'greet',
        when: ['health<30'],
        mood: null,
        locale: 'en',
        original: 'Sit down.',
        heard: 12,
        players: 6,
        approvedBy: 'Mara "M" \ufffd',
        approvedAtMs: 1_760_000_200_000,
        retiredBy: null,
        retiredAtMs: null,
      });
    });

    it('change the stamp with every decision and with nothing else', async () => {
      const place = freshPlace();
      await using first = await open(place);
      await using second = await open(place);
      const stamps = [await second.learnedLines.stamp()];
      await first.learnedLines.note([anEvidence('Sit.')]);
      assert.equal(await second.learnedLines.stamp(), stamps[0]);
      await first.learnedLines.decide(anEvidence('Sit.'), anApproval('Sit.'), 'Mara', 1);
      stamps.push(await second.learnedLines.stamp());
      await first.learnedLines.decide(anEvidence('No.'), { verdict: 'rejected' }, 'Mara', 1);
      stamps.push(await second.learnedLines.stamp());
      await first.learnedLines.retire('vampire.greet.learned-001', 'Mara', 2);
      stamps.push(await second.learnedLines.stamp());
      await first.learnedLines.retire('vampire.greet.learned-001', 'Mara', 3);
      assert.equal(await second.learnedLines.stamp(), stamps.at(-1));
      assert.equal(new Set(stamps).size, stamps.length);
    });

    it('are forgotten by age and beyond a number, but what was decided stays decided', async () => {
      await using store = await open(freshPlace());
      const { learnedLines } = store;
      const lines = Array.from({ length: 20 }, (_, at) =>
        anEvidence(`Line ${at}.`, { lastAtMs: 1_000 + at }),
      );
      await learnedLines.note(lines);
      await learnedLines.decide(lines[0] ?? anEvidence(''), { verdict: 'rejected' }, 'Mara', 1);
      assert.equal(await learnedLines.forget({ lastBeforeMs: 1_005, countMax: 100 }), 5);
      assert.equal(await learnedLines.forget({ lastBeforeMs: 0, countMax: 10 }), 5);
      assert.equal(await learnedLines.forget({ lastBeforeMs: 0, countMax: 10 }), 0);
      assert.equal(await learnedLines.count(), 10);
      assert.equal(await learnedLines.evidence(lines[9]?.id ?? ''), null, 'the oldest go');
      assert.notEqual(await learnedLines.evidence(lines[10]?.id ?? ''), null);
      await learnedLines.note(lines.slice(0, 1));
      assert.ok(
        !(await learnedLines.undecided({ heardMin: 1, limit: 99 })).some((line) => line.text === 'Line 0.'),
      );
    });
  });
}
