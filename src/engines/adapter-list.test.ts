import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { AdapterAddress } from '../core/adapter.ts';
import { heldOf, isSameArtefact } from './adapter-list.ts';

const DIGEST = '3fa9c1d2'.repeat(8);
const OTHER = '0123abcd'.repeat(8);

function address(engineName: string, path: string): AdapterAddress {
  return { engineName, number: 1, path, localPath: path, rank: 8 };
}

/** what the server tells, ours, whether they are the same */
const PATHS: readonly (readonly [string | null, string, boolean])[] = [
  [null, `/adapters/${DIGEST}`, true],
  [`/adapters/${DIGEST}`, `/adapters/${DIGEST}`, true],
  [`/adapters/${DIGEST}/`, `/adapters/${DIGEST}`, true],
  [`/mnt/a/${DIGEST}`, `/adapters/${DIGEST}`, true],
  [`C:\\adapters\\${DIGEST}`, `/adapters/${DIGEST}`, true],
  [`/adapters/${OTHER}`, `/adapters/${DIGEST}`, false],
  // A name that is no digest says nothing of what is in it.
  ['/mnt/a/lich', '/adapters/lich', false],
];

for (const [told, ours, isSame] of PATHS)
  test(`${told} is ${isSame ? 'the same as' : 'not'} ${ours}`, () => {
    assert.equal(isSameArtefact(told, ours), isSame);
  });

test('what a server lists is held, stale or foreign, each once, and nothing that it does not list is held', () => {
  const name = fc.constantFrom(
    'lich@7-3fa9c1d2',
    'lich@8-0123abcd',
    'theirs',
    'lich@7',
    'LICH@7-3fa9c1d2',
    '',
  );
  const path = fc.constantFrom(null, `/adapters/${DIGEST}`, `/adapters/${OTHER}`);
  const listed = fc.uniqueArray(fc.record({ name, path }), { selector: (each) => each.name });
  fc.assert(
    fc.property(listed, fc.boolean(), (there, asksAll) => {
      const known = [address('lich@7-3fa9c1d2', `/adapters/${DIGEST}`)];
      if (asksAll) known.push(address('lich@8-0123abcd', `/adapters/${OTHER}`));
      const { held, stale, foreign } = heldOf(known, there);
      assert.equal(held.length + stale.length + foreign, there.length);
      for (const each of held) {
        const { path: told } = there.find((entry) => entry.name === each) ?? { path: 'nowhere' };
        assert.ok(isSameArtefact(told, known.find(({ engineName }) => engineName === each)?.path ?? ''));
      }
      for (const each of stale) {
        assert.match(each, /^lich@[78]-[0-9a-f]{8}$/);
        assert.ok(!known.some(({ engineName }) => engineName === each));
      }
    }),
  );
});
