import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { PrefixStore } from './prefix-store.ts';
import type { SequenceState } from './sequence-table.ts';
import { BASE, SequenceTable, sharedLength } from './sequence-table.ts';

interface Cell {
  readonly token: number;
  readonly adapter: number;
}

/** A copy that says what it is a copy of. */
class CellCopy {
  readonly cells: readonly Cell[];

  constructor(cells: readonly Cell[]) {
    this.cells = cells;
  }

  get bytes(): number {
    return this.cells.length;
  }

  [Symbol.dispose](): void {}
}

const persona = Array.from({ length: 40 }, (_none, index) => index);
const line = (...tail: number[]) => [...persona, ...tail];

describe('SequenceTable', () => {
  it('keeps the busy sequences one contiguous range, however lines come and go, once a hole was filled', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(7), { maxLength: 60 }), (moves) => {
        const table = new SequenceTable({ lines: 8, kept: 0, copyGainMin: 4 });
        const busy: NonNullable<ReturnType<typeof table.take>>[] = [];
        for (const move of moves) {
          const gone = busy[move];
          if (gone !== undefined) {
            table.release(gone);
            busy.splice(move, 1);
          } else if (busy.length < 8) {
            const before = new Set(busy.map((sequence) => sequence.index));
            const taken = table.take([move, 1, 2], BASE);
            assert.ok(taken !== null && !before.has(taken.index));
            if (before.size > 0) {
              const low = Math.min(...before);
              const high = Math.max(...before);
              const hadHole = high - low + 1 > before.size;
              assert.ok(
                hadHole
                  ? taken.index > low && taken.index < high
                  : taken.index === low - 1 || taken.index === high + 1,
              );
            }
            busy.push(taken);
          }
        }
        assert.equal(table.hasFree, busy.length < 8);
      }),
    );
  });

  it('keeps the lines of each adapter neighbours as far as there is room, and refuses none while one is free', () => {
    const table = new SequenceTable({ lines: 8, kept: 0, copyGainMin: 4 });
    const places = new Map<number, number[]>([
      [BASE, []],
      [7, []],
    ]);
    for (let guest = 0; guest < 8; guest++) {
      const adapter = guest % 2 === 0 ? BASE : 7;
      const taken = table.take([guest], adapter);
      assert.ok(taken !== null);
      places.get(adapter)?.push(taken.index);
    }
    for (const indexes of places.values()) {
      assert.equal(indexes.length, 4);
      assert.equal(Math.max(...indexes) - Math.min(...indexes), 3, indexes.join());
    }
    assert.equal(table.take([9], 8), null);
  });

  it('gives a conversation its own sequence back and everyone else the one used longest ago', () => {
    const table = new SequenceTable({ lines: 3, kept: 0, copyGainMin: 4 });
    for (const tail of [100, 200, 300]) {
      const sequence = table.take(line(tail), BASE);
      assert.ok(sequence !== null);
      sequence.held = line(tail);
      table.release(sequence);
    }
    assert.equal(table.take(line(200, 201), BASE)?.index, 1);
  });

  it('copies from wherever most of the prompt is held, when it saves enough, and leaves a token to evaluate', () => {
    const table = new SequenceTable({ lines: 2, kept: 1, copyGainMin: 8 });
    const first = table.take(line(1), BASE);
    const second = table.take(line(2), BASE);
    assert.ok(first !== null && second !== null);
    first.held = line(1);
    assert.deepEqual(table.reuse(second, line(2), BASE), { source: first.index, tokens: 40 });
    assert.deepEqual(table.reuse(second, persona, BASE), { source: first.index, tokens: 39 });
    second.held = persona.slice(0, 34);
    assert.deepEqual(table.reuse(second, line(2), BASE), { source: null, tokens: 34 });
    assert.deepEqual(table.reuse(first, line(1), BASE), { source: null, tokens: 40 });
  });

  it('takes what the store has when that is more than its own, and another sequence only for much more', () => {
    const table = new SequenceTable({ lines: 2, kept: 0, copyGainMin: 8 });
    const first = table.take(line(1), BASE);
    const second = table.take(line(2), BASE);
    assert.ok(first !== null && second !== null);
    first.held = line(1);
    assert.deepEqual(table.reuse(second, line(2), BASE, 33), { source: 'store', tokens: 33 });
    assert.deepEqual(table.reuse(second, line(2), BASE, 32), { source: first.index, tokens: 40 });
    second.held = persona.slice(0, 34);
    assert.deepEqual(table.reuse(second, line(2), BASE, 37), { source: null, tokens: 34 });
    assert.deepEqual(table.reuse(second, persona, BASE, 40), { source: 'store', tokens: 39 });
    assert.equal(table.mostShared(line(2), BASE), 40);
    assert.equal(table.mostShared(line(2), 7), 0);
  });

  it('goes on in the sequence that has more of a prompt than the store: that is the conversation', () => {
    const table = new SequenceTable({ lines: 2, kept: 0, copyGainMin: 8 });
    const turn = (...turns: number[]) => [...persona, ...turns.flatMap((seed) => Array(10).fill(seed))];
    for (const conversation of [100, 200]) {
      const sequence = table.take(turn(conversation, 1), BASE, persona.length);
      assert.ok(sequence !== null);
      assert.equal(sequence.isContinued, false);
      sequence.held = turn(conversation, 1);
      table.release(sequence);
    }
    // The end of the last prompt (the nearest examples, the words of the player) has gone; the talk before it is there.
    const next = table.take(turn(100, 2), BASE, persona.length);
    assert.deepEqual([next?.held[40], next?.isContinued], [100, true]);
    const stranger = table.take(turn(300), BASE, persona.length);
    assert.equal(stranger?.isContinued, false);
  });

  it('keeps each persona once and pushes out the one used longest ago', () => {
    const table = new SequenceTable({ lines: 1, kept: 2, copyGainMin: 4 });
    const other = persona.map((token) => token + 1_000);
    const third = persona.map((token) => token + 2_000);
    const keep = (prefix: number[]) => {
      const place = table.placeFor(prefix, BASE);
      if (place !== null) place.held = prefix;
      return place?.index ?? null;
    };
    const places = [keep(persona), keep(other)];
    assert.deepEqual(
      places.toSorted((a, b) => Number(a) - Number(b)),
      [1, 2],
    );
    assert.equal(keep(line(7).slice(0, 41)), null, 'as good as kept');
    assert.equal(keep([1, 2, 3]), null, 'too short to be worth it');
    assert.equal(keep(third), places[1], 'the persona was asked for since');
  });

  it('never gives one adapter what another computed, whatever lines come, go and are kept', () => {
    const move = fc.record({
      kind: fc.constantFrom('take' as const, 'release' as const, 'keep' as const, 'forget' as const),
      which: fc.nat(7),
      adapter: fc.nat(3),
      prompt: fc.array(fc.nat(2), { minLength: 1, maxLength: 12 }),
    });
    fc.assert(
      fc.property(fc.array(move, { maxLength: 80 }), (moves) => {
        const table = new SequenceTable({ lines: 4, kept: 2, copyGainMin: 2 });
        const store = new PrefixStore<CellCopy>(20);
        // What each native sequence really holds: each token with the adapter that computed it.
        const cache = new Map<number, Cell[]>();
        const cells = (index: number) => cache.get(index) ?? [];
        const busy: { sequence: SequenceState; prompt: number[]; adapter: number }[] = [];
        for (const { kind, which, adapter, prompt } of moves) {
          if (kind === 'take') {
            const sequence = table.take(prompt, adapter);
            if (sequence === null) continue;
            const found = store.find(prompt, adapter);
            const { source, tokens } = table.reuse(sequence, prompt, adapter, found.tokens);
            const from =
              source === 'store' ? (found.entry?.copy.cells ?? []) : cells(source ?? sequence.index);
            const reused = from.slice(0, tokens);
            assert.deepEqual(
              reused,
              prompt.slice(0, tokens).map((token) => ({ token, adapter })),
            );
            assert.ok(tokens < prompt.length);
            cache.set(sequence.index, [
              ...reused,
              ...prompt.slice(tokens).map((token) => ({ token, adapter })),
            ]);
            sequence.held = [...prompt];
            sequence.adapter = adapter;
            busy.push({ sequence, prompt, adapter });
          } else if (kind === 'release') {
            for (const { sequence } of busy.splice(which, 1)) table.release(sequence);
          } else if (kind === 'keep') {
            const line = busy[which];
            if (line === undefined) continue;
            store.put(
              line.prompt,
              line.adapter,
              which % 2 === 0 ? 'prefix' : 'talk',
              new CellCopy(cells(line.sequence.index).slice(0, line.prompt.length)),
            );
            const place = table.placeFor(line.prompt, line.adapter);
            if (place === null) continue;
            cache.set(place.index, cells(line.sequence.index).slice(0, line.prompt.length));
            place.held = [...line.prompt];
            place.adapter = line.adapter;
          } else if (!busy.some((line) => line.adapter === adapter)) {
            for (const sequence of table.heldUnder(adapter)) {
              cache.set(sequence.index, []);
              sequence.held = [];
            }
            store.forget(adapter);
            const left = [...cache.values(), ...store.entries().map(({ copy }) => copy.cells)];
            assert.ok(left.flat().every((cell) => cell.adapter !== adapter));
          }
        }
      }),
      { numRuns: 500 },
    );
  });

  it('measures what two lists share', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(2)), fc.array(fc.nat(2)), (a, b) => {
        const length = sharedLength(a, b);
        assert.deepEqual(a.slice(0, length), b.slice(0, length));
        assert.ok(length === a.length || length === b.length || a[length] !== b[length]);
      }),
    );
  });
});
