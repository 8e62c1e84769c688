/**
 * What every store must do with adapters: a name and version stand for the bytes that came first, whoever adds at the same
 * instant; the desired state changes as a whole or not at all; long registries are read in pages.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { AdapterRecord, DesiredAdapters } from '../core/adapter.ts';
import type { Store } from '../core/store.ts';
import { realRuntime } from '../runtime.ts';
import { ManualClock } from './manual-clock.ts';
import { rejectsWith, type StoreOpening } from './store-conformance.ts';

export function anAdapter(id: string, changes: Partial<AdapterRecord> = {}): AdapterRecord {
  const [name = '', version = ''] = id.split('@');
  return {
    name,
    version,
    digest: 'a'.repeat(64),
    base: 'smollm2-135m-instruct-q4_1',
    baseDigest: null,
    architecture: 'llama',
    layers: 30,
    rank: 8,
    alpha: 16,
    targetModules: ['q_proj', 'v_proj'],
    bytes: 1_843_200,
    ggufBytes: 1_850_000,
    licence: 'CC0-1.0',
    trainingRun: null,
    notes: 'speaks of debts; "quotes", ünïcode and \u0000 come back',
    source: '/adapters/lich',
    addedBy: 'local',
    addedAtMs: 1_760_000_000_000,
    ...changes,
  };
}

const NOTHING: DesiredAdapters = { revision: 0, published: [], tags: {}, failures: [], removing: [] };

function desiredAt(revision: number, name = 'lich'): DesiredAdapters {
  return {
    revision,
    published: [
      {
        name,
        version: '7',
        digest: 'a'.repeat(64),
        isPinned: true,
        publishedAtMs: 1_760_000_000_000,
        generation: 1,
      },
    ],
    tags: { [name]: { stable: { version: '7', generation: revision } } },
    failures: [{ id: 'lich@6', reason: 'it answered as the base', atMs: 5 }],
    removing: ['lich@5'],
  };
}

/** Registers the suite. `many` is how many adapters the long registry holds. */
export function adapterStoreConformance(
  openAt: (place: string, opening: StoreOpening) => Promise<AsyncDisposable & Pick<Store, 'adapters'>>,
  many: number,
): void {
  let places = 0;
  const freshPlace = () => `adapters${places++}`;
  const open = (place: string) =>
    openAt(place, { clock: new ManualClock(), random: realRuntime.random, turnRetentionDays: 30 });

  describe('adapters', () => {
    it('come back as they were added, and a second add of the same bytes is known', async () => {
      const place = freshPlace();
      const lich = anAdapter('lich@7');
      {
        await using store = await open(place);
        assert.equal(await store.adapters.add(lich), 'added');
      }
      await using store = await open(place);
      assert.deepEqual(await store.adapters.get('lich', '7'), lich);
      assert.equal(await store.adapters.add({ ...lich, notes: 'later', addedAtMs: 9 }), 'known');
      assert.deepEqual(await store.adapters.get('lich', '7'), lich, 'the first record stays');
      assert.equal(await store.adapters.get('lich', '8'), null);
      assert.equal(await store.adapters.get("lich' or 1=1 --", '\u0000\ud800'), null);
    });

    it('refuse other bytes under a name and version that is taken, and change nothing', async () => {
      await using store = await open(freshPlace());
      const lich = anAdapter('lich@7');
      await store.adapters.add(lich);
      const error = await rejectsWith(
        'adapter_conflict',
        store.adapters.add(anAdapter('lich@7', { digest: 'b'.repeat(64) })),
      );
      assert.match(error.message, /lich@7 stands for digest aaaaaaaaaaaa….*these bytes have bbbbbbbbbbbb…/);
      assert.deepEqual(await store.adapters.get('lich', '7'), lich);
      assert.deepEqual(await store.adapters.byDigest('b'.repeat(64)), []);
    });

    it('are won by one of many that add a name with other bytes at the same instant', async () => {
      const place = freshPlace();
      await using one = await open(place);
      await using other = await open(place);
      const digests = Array.from({ length: 16 }, (_, index) => index.toString(16).repeat(64));
      const outcomes = await Promise.allSettled(
        digests.map((digest, index) =>
          (index % 2 === 0 ? one : other).adapters.add(anAdapter('lich@7', { digest })),
        ),
      );
      assert.equal(outcomes.filter((outcome) => outcome.status === 'fulfilled').length, 1);
      for (const outcome of outcomes)
        if (outcome.status === 'rejected')
          await rejectsWith('adapter_conflict', Promise.reject(outcome.reason as Error));
      const winner = outcomes.findIndex((outcome) => outcome.status === 'fulfilled');
      assert.equal((await other.adapters.get('lich', '7'))?.digest, digests[winner]);
    });

    it('may share their bytes under several names, and are found by digest', async () => {
      await using store = await open(freshPlace());
      const digest = 'c'.repeat(64);
      await store.adapters.add(anAdapter('lich@7', { digest, addedAtMs: 1 }));
      await store.adapters.add(anAdapter('ghoul@1', { digest, addedAtMs: 2 }));
      await store.adapters.add(anAdapter('ghoul@2'));
      const ids = (await store.adapters.byDigest(digest)).map(({ name, version }) => `${name}@${version}`);
      assert.deepEqual(ids, ['lich@7', 'ghoul@1']);
      assert.equal(await store.adapters.remove('lich', '7'), true);
      assert.equal(await store.adapters.remove('lich', '7'), false);
      assert.equal((await store.adapters.byDigest(digest)).length, 1);
      assert.equal(await store.adapters.add(anAdapter('lich@7', { digest: 'd'.repeat(64) })), 'added');
    });

    it('are listed by name, then by age, in pages that skip and repeat nothing', async () => {
      await using store = await open(freshPlace());
      const ids = ['a-b@1', 'a.b@1', 'a_b@1', 'ab@10', 'ab@9', 'b@2', 'b@1', '0@x'];
      for (const [index, id] of ids.entries())
        await store.adapters.add(anAdapter(id, { addedAtMs: 1_000 + Math.floor(index / 2) }));
      const sorted = ['0@x', 'a-b@1', 'a.b@1', 'a_b@1', 'ab@10', 'ab@9', 'b@2', 'b@1'];
      const listed = async (limit: number, name?: string) => {
        const seen: string[] = [];
        for (let after: string | null | undefined; after !== null; ) {
          const page = await store.adapters.list({
            limit,
            ...(after === undefined ? {} : { after }),
            ...(name === undefined ? {} : { name }),
          });
          assert.ok(page.records.length <= limit);
          seen.push(...page.records.map((record) => `${record.name}@${record.version}`));
          after = page.next;
        }
        return seen;
      };
      for (const limit of [1, 3, 8, 1_000]) assert.deepEqual(await listed(limit), sorted);
      assert.deepEqual(await listed(1, 'ab'), ['ab@10', 'ab@9']);
      assert.deepEqual(await listed(5, 'nobody'), []);
      const first = await store.adapters.list({ limit: 2 });
      await store.adapters.remove('a-b', '1');
      const second = await store.adapters.list({ limit: 2, after: first.next ?? '' });
      assert.equal(second.records[0]?.name, 'a.b', 'the place outlives its row');
      for (const after of ['', 'lich', 'lich@7', 'a@b@c', 'a@1@b@c'])
        await rejectsWith('bad_request', store.adapters.list({ limit: 2, after }));
    });

    it('are read in pages when there are very many', async () => {
      await using store = await open(freshPlace());
      for (let start = 0; start < many; start += 100)
        await Promise.all(
          Array.from({ length: 100 }, (_, index) =>
            store.adapters.add(
              anAdapter(`npc-${(start + index) % 977}@${start + index}`, { addedAtMs: start + index }),
            ),
          ),
        );
      let seen = 0;
      for (let after: string | null | undefined; after !== null; ) {
        const page = await store.adapters.list({ limit: 1_000, ...(after === undefined ? {} : { after }) });
        seen += page.records.length;
        after = page.next;
      }
      assert.equal(seen, many);
      assert.equal(await store.adapters.count(), many);
      assert.equal((await store.adapters.get('npc-5', '5'))?.version, '5');
    });

    it('are desired as one document, which the quicker of two changes', async () => {
      const place = freshPlace();
      await using one = await open(place);
      await using other = await open(place);
      assert.deepEqual(await one.adapters.desired(), NOTHING);
      assert.equal(await one.adapters.replaceDesired(desiredAt(2)), false, 'there is no revision 1');
      assert.deepEqual(await one.adapters.desired(), NOTHING);
      assert.equal(await one.adapters.replaceDesired(desiredAt(1)), true);
      assert.equal(await other.adapters.replaceDesired(desiredAt(1, 'ghoul')), false);
      assert.deepEqual(await other.adapters.desired(), desiredAt(1));
      assert.equal(await other.adapters.replaceDesired(desiredAt(2, 'ghoul')), true);
      assert.equal(await one.adapters.replaceDesired(desiredAt(2)), false);
      assert.equal(await one.adapters.replaceDesired(desiredAt(4)), false);
      assert.deepEqual(await one.adapters.desired(), desiredAt(2, 'ghoul'));
    });

    it('lose no change when many gateways change what is desired at once', async () => {
      const place = freshPlace();
      await using one = await open(place);
      await using other = await open(place);
      await Promise.all(
        Array.from({ length: 12 }, async (_, index) => {
          const { adapters } = index % 2 === 0 ? one : other;
          for (;;) {
            const now = await adapters.desired();
            const next = { ...now, revision: now.revision + 1, removing: [...now.removing, `x@${index}`] };
            if (await adapters.replaceDesired(next)) return;
          }
        }),
      );
      const { revision, removing } = await other.adapters.desired();
      assert.equal(revision, 12);
      assert.equal(new Set(removing).size, 12);
    });

    it('keep the first fingerprint for ever, letter by letter', async () => {
      await using store = await open(freshPlace());
      const first = {
        digest: 'e'.repeat(64),
        scope: 'embedded/small',
        answers: ['Kneel.\n', '', 'lone \ud800 and \u0000'],
      };
      assert.equal(await store.adapters.fingerprint(first.digest, first.scope), null);
      assert.deepEqual(await store.adapters.keepFingerprint(first), first);
      assert.deepEqual(await store.adapters.keepFingerprint({ ...first, answers: ['Other.'] }), first);
      assert.deepEqual(await store.adapters.fingerprint(first.digest, first.scope), first);
      assert.equal(await store.adapters.fingerprint(first.digest, 'vllm/small'), null);
    });

    it('say that the store is closed', async () => {
      const store = await open(freshPlace());
      await store[Symbol.asyncDispose]();
      await rejectsWith('store_unavailable', store.adapters.add(anAdapter('lich@7')));
      await rejectsWith('store_unavailable', store.adapters.desired());
      await rejectsWith('store_unavailable', store.adapters.replaceDesired(desiredAt(1)));
    });
  });
}
