import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { adapterId, type DesiredAdapters } from '../core/adapter.ts';
import {
  changeDesired,
  type DesiredChange,
  endRemoving,
  forgetFailure,
  inOrder,
  moveTag,
  NOTHING_DESIRED,
  noteFailure,
  pinVersion,
  publishedEntry,
  publishVersion,
  retireVersion,
  startRemoving,
  taggedVersion,
  tagsOf,
  unpublishVersion,
} from './desired.ts';

const lich = (version: string) => ({ name: 'lich', version, digest: version.padEnd(64, '0') });
const publish = (version: string) => publishVersion(lich(version), { atMs: 1 });

/** A store of one document. */
function storeOf(desired: DesiredAdapters) {
  const state = { desired, refusals: 0 };
  return {
    state,
    desired: () => Promise.resolve(state.desired),
    replaceDesired: (next: DesiredAdapters) => {
      const isNext = next.revision === state.desired.revision + 1 && state.refusals-- <= 0;
      if (isNext) state.desired = next;
      return Promise.resolve(isNext);
    },
  };
}

test('a version is published, tagged, pinned, replaced and retired', () => {
  const first = inOrder(publish('7'), moveTag('lich', 'stable', '7'))(NOTHING_DESIRED);
  assert.equal(first.revision, 1);
  assert.deepEqual(taggedVersion(first, 'lich', 'stable'), { version: '7', generation: 1 });
  const second = moveTag('lich', 'stable', '8')(publish('8')(first));
  assert.deepEqual(taggedVersion(second, 'lich', 'stable'), { version: '8', generation: 3 });
  assert.equal(publishedEntry(second, 'lich@8')?.generation, 2);
  assert.deepEqual(tagsOf(second, lich('7')), []);
  const pinned = pinVersion('lich@7', true)(second);
  assert.equal(retireVersion('lich@7')(pinned), pinned, 'a pinned one stays');
  const retired = retireVersion('lich@7')(second);
  assert.deepEqual(
    retired.published.map((each) => adapterId(each)),
    ['lich@8'],
  );
  assert.equal(retireVersion('lich@8')(retired), retired, 'a tagged one stays');
});

test('what holds already changes nothing', () => {
  const desired = inOrder(publish('7'), moveTag('lich', 'stable', '7'))(NOTHING_DESIRED);
  for (const change of [
    publish('7'),
    moveTag('lich', 'stable', '7'),
    pinVersion('lich@7', false),
    unpublishVersion('ghoul@1', { force: false }),
    forgetFailure('lich@7'),
    endRemoving('lich@7'),
    inOrder(publish('7'), forgetFailure('lich@7')),
  ])
    assert.equal(change(desired), desired);
});

test('what cannot be is refused by its name', () => {
  const desired = inOrder(publish('7'), moveTag('lich', 'stable', '7'))(NOTHING_DESIRED);
  const refused: readonly (readonly [DesiredChange, object])[] = [
    [publishVersion({ ...lich('7'), digest: 'f'.repeat(64) }, { atMs: 1 }), { code: 'adapter_conflict' }],
    [moveTag('lich', 'canary', '9'), { code: 'unknown_adapter' }],
    [pinVersion('lich@9', true), { code: 'unknown_adapter' }],
    [unpublishVersion('lich@7', { force: false }), { code: 'adapter_busy' }],
    [startRemoving('lich@7'), { code: 'adapter_busy' }],
  ];
  for (const [change, error] of refused) assert.throws(() => change(desired), error);
  const removing = startRemoving('lich@9')(desired);
  assert.throws(() => publish('9')(removing), { code: 'adapter_busy' });
  assert.deepEqual(endRemoving('lich@9')(removing).removing, []);
  const forced = unpublishVersion('lich@7', { force: true })(desired);
  assert.deepEqual([forced.published, forced.tags], [[], {}]);
});

test('a name that objects have by themselves is a name like any other', () => {
  assert.equal(taggedVersion(NOTHING_DESIRED, 'constructor', 'stable'), null);
  const record = { name: 'constructor', version: '1', digest: '1'.repeat(64) };
  const desired = inOrder(
    publishVersion(record, { atMs: 1 }),
    moveTag('constructor', 'stable', '1'),
  )(NOTHING_DESIRED);
  assert.deepEqual(tagsOf(desired, record), ['stable']);
});

test('of the failures the newest 50 are kept, one an id', () => {
  let desired = NOTHING_DESIRED;
  for (let index = 0; index < 60; index++)
    desired = noteFailure({ id: `lich@${index}`, reason: 'x', atMs: index })(desired);
  desired = noteFailure({ id: 'lich@59', reason: 'y', atMs: 60 })(desired);
  assert.equal(desired.failures.length, 50);
  assert.deepEqual(desired.failures[0], { id: 'lich@59', reason: 'y', atMs: 60 });
  assert.equal(forgetFailure('lich@59')(desired).failures.length, 49);
});

test('who was not quick enough tries again on what the quicker one left, and not for ever', async () => {
  const store = storeOf(NOTHING_DESIRED);
  store.state.refusals = 3;
  await changeDesired(store, publish('7'));
  assert.equal(store.state.desired.published.length, 1);
  store.state.refusals = 1_000;
  await assert.rejects(changeDesired(store, publish('8')), { code: 'adapter_busy' });
});

test('two publishes of one name at the same instant both stand, and the tag is with the later move', async () => {
  const store = storeOf(NOTHING_DESIRED);
  const change = (version: string) =>
    changeDesired(store, inOrder(publish(version), moveTag('lich', 'stable', version)));
  await Promise.all([change('7'), change('8')]);
  const { desired } = store.state;
  assert.equal(desired.published.length, 2);
  assert.deepEqual([desired.revision, taggedVersion(desired, 'lich', 'stable')?.generation], [2, 2]);
});

test('any order of changes leaves a document in which every tag stands at a published version', () => {
  const version = fc.constantFrom('1', '2', '3');
  const change = fc.oneof(
    version.map(publish),
    fc
      .tuple(version, fc.constantFrom('stable' as const, 'canary' as const))
      .map(([each, tag]) => moveTag('lich', tag, each)),
    version.map((each) => pinVersion(`lich@${each}`, true)),
    fc.tuple(version, fc.boolean()).map(([each, force]) => unpublishVersion(`lich@${each}`, { force })),
    version.map((each) => retireVersion(`lich@${each}`)),
    version.map((each) => startRemoving(`lich@${each}`)),
    version.map((each) => endRemoving(`lich@${each}`)),
  );
  fc.assert(
    fc.property(fc.array(change, { maxLength: 40 }), (changes) => {
      let desired = NOTHING_DESIRED;
      for (const each of changes) {
        let next = desired;
        try {
          next = each(desired);
        } catch (error) {
          assert.match(String((error as { code?: string }).code), /adapter/);
        }
        assert.equal(next.revision, next === desired ? desired.revision : desired.revision + 1);
        desired = next;
        for (const [name, tags] of Object.entries(desired.tags))
          for (const tagged of Object.values(tags)) {
            assert.notEqual(publishedEntry(desired, `${name}@${tagged.version}`), null);
            assert.ok(tagged.generation <= desired.revision);
          }
        for (const id of desired.removing) assert.equal(publishedEntry(desired, id), null);
      }
    }),
  );
});
