import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BASE } from './sequence-table.ts';
import { SharedBeginnings } from './shared-beginnings.ts';

const persona = Array.from({ length: 60 }, (_none, index) => index);
/** Tokens that nothing else has. */
const own = (seed: number, length = 30) =>
  Array.from({ length }, (_none, index) => 1_000 + seed * 100 + index);

describe('SharedBeginnings', () => {
  it('finds the end of a persona with the third player, whatever they say', () => {
    const shared = new SharedBeginnings();
    for (const player of [1, 2]) {
      assert.equal(shared.boundary([...persona, ...own(player)], BASE), 0);
      shared.note([...persona, ...own(player)], BASE);
    }
    assert.equal(shared.boundary([...persona, ...own(3)], BASE), persona.length);
    assert.equal(shared.boundary([...persona, ...own(3)], 7), 0, 'another adapter shares nothing');
    shared.forget(BASE);
    assert.equal(shared.boundary([...persona, ...own(3)], BASE), 0);
  });

  it('does not take the turns of one conversation for a persona', () => {
    const shared = new SharedBeginnings();
    const turns = [0, 1, 2].map((turn) => [...persona, ...own(1, 20 * turn), ...own(50 + turn)]);
    for (const turn of turns) {
      assert.equal(shared.boundary(turn, BASE), 0);
      shared.note(turn, BASE);
    }
    assert.equal(shared.boundary([...persona, ...own(2)], BASE), persona.length);
  });

  it('remembers a bounded number of prompts', () => {
    const shared = new SharedBeginnings();
    for (const player of [1, 2]) shared.note([...persona, ...own(player)], BASE);
    for (let other = 0; other < 400; other++) shared.note([9_999 + other], BASE);
    assert.equal(shared.boundary([...persona, ...own(3)], BASE), 0);
  });
});
