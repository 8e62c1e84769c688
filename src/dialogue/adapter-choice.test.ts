import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AdapterKeeper, ResolvedAdapter } from '../core/adapter.ts';
import { ServiceError } from '../core/errors.ts';
import { broken, hear, say, world } from '../testing/dialogue-world.ts';
import { ScriptedEngine } from '../testing/scripted-engine.ts';

/** Keeps what a test says is resident, and counts leases. */
class ScriptedKeeper implements AdapterKeeper {
  readonly resident = new Map<string, string[]>();
  readonly waits: number[] = [];
  leases = 0;
  everLeased = 0;
  version = '7';
  generation = 3;
  absence: 'loading' | 'failed' = 'loading';

  resolve(reference: string) {
    if (reference !== 'vey') return 'unknown' as const;
    const id = `vey@${this.version}`;
    return { id, engineName: `${id}-00000000`, generation: this.generation };
  }

  want(adapter: ResolvedAdapter, replicas: readonly string[], wish: { readonly waitMs: number }) {
    this.waits.push(wish.waitMs);
    const isThere = replicas.some((name) => this.resident.get(name)?.includes(adapter.engineName));
    return Promise.resolve(isThere ? null : this.absence);
  }

  lease(adapter: ResolvedAdapter, replica: string) {
    const { engineName } = adapter;
    if (this.resident.get(replica)?.includes(engineName) !== true) return null;
    this.leases += 1;
    this.everLeased += 1;
    let isHeld = true;
    return {
      adapter,
      address: { engineName, number: 1, path: '/a', localPath: '/a', rank: 8 },
      lost: () => void this.resident.delete(replica),
      [Symbol.dispose]: () => {
        if (isHeld) this.leases -= 1;
        isHeld = false;
      },
    };
  }
}

function keeping(...replicas: string[]): ScriptedKeeper {
  const keeper = new ScriptedKeeper();
  for (const name of replicas) keeper.resident.set(name, ['vey@7-00000000']);
  return keeper;
}

test('a resident adapter speaks, the engine is asked for it by its whole name, and its lease ends with the line', async () => {
  const adapters = keeping('local');
  const made = await world(() => say('The salon is open.'), { adapters, adapter: 'vey' });
  const { outcome } = await hear(made);
  assert.equal(made.engine.requests[0]?.adapter?.engineName, 'vey@7-00000000');
  assert.equal(outcome.source.adapter, 'vey@7');
  assert.equal(outcome.source.adapterGeneration, 3);
  assert.equal(outcome.source.adapterMissing, undefined);
  assert.equal(adapters.leases, 0);
  assert.equal(adapters.everLeased, 1);
});

test('while the adapter loads the base speaks, and the reply says which adapter is missing and why', async () => {
  const adapters = keeping();
  const made = await world(() => say('The salon is open.'), { adapters, adapter: 'vey' });
  const { outcome } = await hear(made);
  assert.equal(made.engine.requests[0]?.adapter, undefined);
  assert.equal(outcome.source.adapter, null);
  assert.deepEqual(outcome.source.adapterMissing, { adapter: 'vey@7', reason: 'loading' });
});

test('a persona whose adapter nobody registered speaks all the same, and says so', async () => {
  const { outcome } = await hear(world(() => say('The salon is open.'), { adapter: 'nobody' }));
  assert.deepEqual(outcome.source.adapterMissing, { adapter: 'nobody', reason: 'unknown' });
  assert.deepEqual(outcome.sentences, ['The salon is open.']);
});

test('a line waits for its adapter at most a share of its time, and once: after a failure the base speaks at once', async () => {
  const adapters = keeping();
  let calls = 0;
  const firstBreaks = () => (calls++ === 0 ? [broken] : say('The salon is open.'));
  const twin = new ScriptedEngine(firstBreaks, 'twin');
  const made = await world(firstBreaks, { adapters, adapter: 'vey', twins: [twin] });
  const { outcome } = await hear(made, { deadlineMs: 2_000 });
  assert.equal(outcome.source.kind, 'engine');
  const [first = 0, ...more] = adapters.waits;
  assert.ok(first > 0 && first <= 500, `${first} ms of 2,000 ms`);
  assert.deepEqual(more, [0]);
});

test('the adapter of the request goes before that of the persona, and null is the base', async () => {
  const adapters = keeping('local');
  const made = await world(() => say('The salon is open.'), { adapters, adapter: 'vey' });
  const { outcome } = await hear(made, { adapter: null });
  assert.equal(made.engine.requests[0]?.adapter, undefined);
  assert.equal(outcome.source.adapter, null);
  assert.equal(outcome.source.adapterMissing, undefined);
});

test('of two replicas the one where the adapter is resident speaks', async () => {
  const adapters = keeping('twin');
  const twin = new ScriptedEngine(() => say('The salon is open.'), 'twin');
  const made = await world(() => say('The base speaks.'), { adapters, adapter: 'vey', twins: [twin] });
  for (const replica of made.twins) replica.residentAdapters = new Set(['vey@7-00000000']);
  const { outcome } = await hear(made);
  assert.equal(outcome.source.engine, 'twin');
  assert.equal(outcome.source.adapter, 'vey@7');
});

test('an engine that no longer knows the adapter is asked again for its base, and the keeper is told', async () => {
  const adapters = keeping('local');
  const made = await world(
    (call) =>
      call === 0
        ? [{ fail: new ServiceError('unknown_model', 'the model does not exist') }]
        : say('The salon is open.'),
    { adapters, adapter: 'vey' },
  );
  const { outcome } = await hear(made);
  assert.equal(outcome.source.adapter, null);
  assert.deepEqual(outcome.source.adapterMissing, { adapter: 'vey@7', reason: 'loading' });
  assert.deepEqual(outcome.sentences, ['The salon is open.']);
  assert.equal(adapters.resident.has('local'), false);
  assert.equal(adapters.leases, 0);
});

test('a swap in the middle of a dialogue: what was leased speaks to its end, the next line is the new version', async () => {
  const adapters = keeping('local');
  const made = await world(
    (call) => {
      if (call === 0) {
        adapters.version = '8';
        adapters.generation = 4;
        adapters.resident.set('local', ['vey@7-00000000', 'vey@8-00000000']);
      }
      return say(call === 0 ? 'The salon is open.' : 'Gloves, and what they hide.');
    },
    { adapters, adapter: 'vey' },
  );
  assert.equal((await hear(made)).outcome.source.adapter, 'vey@7');
  const { outcome } = await hear(made, { prompt: 'And what do you sell?' });
  assert.equal(outcome.source.adapter ?? outcome.source.kind, 'vey@8');
  assert.equal(outcome.source.adapterGeneration, 4);
});
