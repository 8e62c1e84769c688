/**
 * What every shared tier must do, whatever stands behind it. Tiers opened on one house stand for gateways; one whose clock
 * is never moved stands for a gateway that is stuck: it renews nothing.
 */
import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import { setImmediate as turnOfLoop } from 'node:timers/promises';
import fc from 'fast-check';
import { ServiceError } from '../core/errors.ts';
import type { Clock } from '../core/runtime.ts';
import type {
  FlightElsewhere,
  FlightLease,
  FlownSentence,
  SharedLook,
  SharedTier,
} from '../recall/shared-tier.ts';
import { type Variant, type VariantSource, variantOf } from '../recall/variant.ts';
import { realRuntime } from '../runtime.ts';
import { ManualClock } from './manual-clock.ts';

export interface SharedTierHouse extends AsyncDisposable {
  /** A gateway's tier, reachable when this resolves. */
  open(clock?: Clock): Promise<SharedTier>;
}

export const aSource: VariantSource = {
  engine: 'local',
  model: 'smollm2',
  modelVersion: 'q4',
  adapter: 'lich@8',
  adapterGeneration: 3,
};
const LIMITS = { variantsMax: 4, ttlMs: 60_000 };
const never = new AbortController().signal;

export function aVariant(...sentences: readonly string[]): Variant {
  const took = { promptTokens: 700, completionTokens: 20, costMicroUsd: 0, ttfsMs: 310.5 };
  return variantOf({ sentences, source: aSource, bornAtMs: 1_790_000_000_000, took });
}

export function leaseOf(look: SharedLook): FlightLease {
  assert.equal(look.kind, 'lead');
  return (look as SharedLook & { kind: 'lead' }).lease;
}

export function flightOf(look: SharedLook): FlightElsewhere {
  assert.equal(look.kind, 'join');
  return (look as SharedLook & { kind: 'join' }).flight;
}

/** All that is heard of a flight: its sentences, then how it ended. */
export async function hearAll(flight: FlightElsewhere, from = 0, signal = never): Promise<string[]> {
  const heard: string[] = [];
  const following = flight.follow(from, signal);
  for (;;) {
    const step = await following.next();
    if (step.done) return [...heard, `(${step.value})`];
    heard.push(step.value.text);
  }
}

/** Looks until the answer is of that kind: what is kept arrives in the background. */
export async function lookUntil(
  tier: SharedTier,
  key: string,
  kind: SharedLook['kind'],
): Promise<SharedLook> {
  for (;;) {
    const look = await tier.look(key, false, never);
    if (look.kind === kind) return look;
    await turnOfLoop();
  }
}

export function wordsOf(look: SharedLook): readonly string[] | null {
  return look.kind === 'variants' ? look.variants.map(({ sentences }) => sentences.join(' ')) : null;
}

/** Registers the suite. Leases of the house are `leaseMs`; `runs` is the number of random histories. */
export function sharedTierConformance(
  openHouse: (leaseMs: number) => Promise<SharedTierHouse>,
  runs: number,
): void {
  let house: SharedTierHouse;
  let brief: SharedTierHouse;
  let one: SharedTier;
  let other: SharedTier;
  let keys = 0;
  const freshKey = (npcId = 'lich') => `${npcId}:${(keys++).toString(16).padStart(64, '0')}`;
  const opened: SharedTier[] = [];
  const openAt = async (place: SharedTierHouse, clock?: Clock) => {
    const tier = await place.open(clock);
    opened.push(tier);
    return tier;
  };
  before(async () => {
    [house, brief] = await Promise.all([openHouse(30_000), openHouse(600)]);
    [one, other] = await Promise.all([openAt(house), openAt(house)]);
  });
  after(async () => {
    for (const part of [...opened, house, brief]) await part[Symbol.asyncDispose]();
  });

  it('knows nothing of a key that nobody asked for, and gives no lead to who does not want it', async () => {
    const key = freshKey();
    assert.deepEqual(await one.look(key, false, never), { kind: 'nothing' });
    assert.deepEqual(await other.look(key, false, never), { kind: 'nothing' });
    using lease = leaseOf(await other.look(key, true, never));
    assert.ok(lease);
  });

  it('lets one gateway lead and the others hear each sentence, those before they came too', async () => {
    const key = freshKey();
    const lease = leaseOf(await one.look(key, true, never));
    const early = flightOf(await other.look(key, true, never));
    const following = early.follow(0, never);
    lease.said('Who goes there?', aSource);
    const first = await following.next();
    assert.deepEqual(first, {
      done: false,
      value: { text: 'Who goes there?', source: aSource } satisfies FlownSentence,
    });
    const late = hearAll(flightOf(await other.look(key, false, never)));
    const later = hearAll(flightOf(await one.look(key, true, never)), 1);
    lease.said('Speak, mortal.', { ...aSource, adapter: null });
    lease.landed();
    assert.equal((await following.next()).done, false);
    assert.deepEqual(await following.next(), { done: true, value: 'landed' });
    assert.deepEqual(await late, ['Who goes there?', 'Speak, mortal.', '(landed)']);
    assert.deepEqual(await later, ['Speak, mortal.', '(landed)']);
  });

  it('gives what one gateway kept to the others, whole', async () => {
    const key = freshKey();
    const variant = aVariant(
      'Back so soon?',
      'Zuletzt – «größer», 火 and 🔥.',
      'A "quote", a \\ and a\nbreak.',
    );
    one.keep(key, variant, LIMITS);
    const look = await lookUntil(other, key, 'variants');
    assert.ok(look.kind === 'variants');
    assert.deepEqual(look.variants, [variant]);
    assert.ok(look.leftMs > 0 && look.leftMs <= LIMITS.ttlMs);
    assert.equal((await other.look(key, true, never)).kind, 'variants');
  });

  it('keeps the same words once, and of too many the newest', async () => {
    const key = freshKey();
    for (const words of ['a', 'b', 'a', 'c', 'd'])
      one.keep(key, aVariant(words), { ...LIMITS, variantsMax: 3 });
    one.keep(`${key}end`, aVariant('all sent'), LIMITS);
    await lookUntil(one, `${key}end`, 'variants');
    assert.deepEqual(wordsOf(await other.look(key, false, never)), ['a', 'c', 'd']);
  });

  it('forgets a variant when its time is over', async () => {
    const key = freshKey();
    one.keep(key, aVariant('Soon gone.'), { variantsMax: 4, ttlMs: 20 });
    one.keep(`${key}end`, aVariant('all sent'), LIMITS);
    await lookUntil(one, `${key}end`, 'variants');
    await lookUntil(other, key, 'nothing');
  });

  it('tells joiners that a flight is lost when its leader leaves, and lets the next lead', async () => {
    const key = freshKey();
    const lease = leaseOf(await one.look(key, true, never));
    lease.said('I was about to', aSource);
    const heard = hearAll(flightOf(await other.look(key, true, never)));
    lease[Symbol.dispose]();
    assert.deepEqual(await heard, ['I was about to', '(lost)']);
    using next = leaseOf(await other.look(key, true, never));
    lease.said('never heard', aSource);
    lease.landed();
    next.said('Now I lead.', aSource);
    const again = hearAll(flightOf(await one.look(key, true, never)));
    next.landed();
    assert.deepEqual(await again, ['Now I lead.', '(landed)']);
  });

  it('says that a flight is lost to who comes after its end', async () => {
    const key = freshKey();
    const lease = leaseOf(await one.look(key, true, never));
    const flight = flightOf(await other.look(key, true, never));
    lease[Symbol.dispose]();
    using next = leaseOf(await lookLeading(other, key));
    assert.deepEqual(await hearAll(flight), ['(lost)']);
    assert.ok(next);
  });

  it('finds by the end of its lease that a leader is stuck', async () => {
    const key = freshKey();
    const stuck = await openAt(brief, new ManualClock());
    const alive = await openAt(brief);
    const lease = leaseOf(await stuck.look(key, true, never));
    lease.said('And then', aSource);
    const heard = await Promise.all(
      [1, 2, 3].map(async () => await hearAll(flightOf(await alive.look(key, true, never)))),
    );
    assert.deepEqual(
      heard,
      [1, 2, 3].map(() => ['And then', '(lost)']),
    );
    using next = leaseOf(await lookLeading(alive, key));
    assert.ok(next);
  });

  it('holds a flight for as long as its leader lives', async () => {
    const key = freshKey();
    const [leading, following] = await Promise.all([openAt(brief), openAt(brief)]);
    const lease = leaseOf(await leading.look(key, true, never));
    const heard = hearAll(flightOf(await following.look(key, true, never)));
    await realRuntime.clock.sleep(1_500, never);
    lease.said('That took long.', aSource);
    lease.landed();
    assert.deepEqual(await heard, ['That took long.', '(landed)']);
  });

  it('gives one lead to a thousand who ask at once at two gateways', async () => {
    const key = freshKey();
    const looks = await Promise.all(
      Array.from({ length: 1_000 }, (_, index) => (index % 2 === 0 ? one : other).look(key, true, never)),
    );
    const leads = looks.filter(({ kind }) => kind === 'lead');
    assert.equal(leads.length, 1);
    const joins = looks.filter(({ kind }) => kind === 'join');
    assert.equal(joins.length, 999);
    const heard = Promise.all(joins.map((look) => hearAll(flightOf(look))));
    const lease = leaseOf(leads[0] ?? { kind: 'nothing' });
    lease.said('One at a time!', aSource);
    lease.landed();
    for (const words of await heard) assert.deepEqual(words, ['One at a time!', '(landed)']);
  });

  it('goes on for the others when a joiner hangs up, who hears why', async () => {
    const key = freshKey();
    const lease = leaseOf(await one.look(key, true, never));
    const hangUp = new AbortController();
    const stays = hearAll(flightOf(await other.look(key, true, never)));
    const leaves = hearAll(flightOf(await other.look(key, true, never)), 0, hangUp.signal);
    lease.said('Listen.', aSource);
    const reason = new Error('hung up');
    hangUp.abort(reason);
    await assert.rejects(leaves, reason);
    lease.said('All of you.', aSource);
    lease.landed();
    assert.deepEqual(await stays, ['Listen.', 'All of you.', '(landed)']);
  });

  it('leaves no lead with somebody who has gone', async () => {
    const key = freshKey();
    const hangUp = new AbortController();
    const look = one.look(key, true, hangUp.signal);
    hangUp.abort(new Error('hung up'));
    const gone = await look;
    if (gone.kind === 'lead') gone.lease[Symbol.dispose]();
    else assert.deepEqual(gone, { kind: 'away' });
    using lease = leaseOf(await lookLeading(other, key));
    assert.ok(lease);
    assert.deepEqual(await one.look(key, true, AbortSignal.abort(new Error('gone before'))), {
      kind: 'away',
    });
  });

  it('ends what a gateway leads when it is closed', async () => {
    const key = freshKey();
    const closing = await openAt(house);
    leaseOf(await closing.look(key, true, never)).said('Good', aSource);
    const heard = hearAll(flightOf(await other.look(key, true, never)));
    await closing[Symbol.asyncDispose]();
    assert.deepEqual(await heard, ['Good', '(lost)']);
    assert.deepEqual(await closing.look(key, true, never), { kind: 'away' });
  });

  it('forgets what one NPC said, and no other, whatever its name', async () => {
    const theirs = ['ghoul*', 'ghoul', 'ghoul2', 'a[b]\\?'];
    const kept = new Map(theirs.map((npcId) => [npcId, [freshKey(npcId), freshKey(npcId)]]));
    for (const [npcId, each] of kept)
      for (const key of each) one.keep(key, aVariant(`I am ${npcId}`), LIMITS);
    for (const each of kept.values()) for (const key of each) await lookUntil(other, key, 'variants');
    for (const npcId of theirs) {
      assert.equal(await other.forget(npcId, never), 2);
      assert.equal(await other.forget(npcId, never), 0);
      for (const [name, each] of kept)
        for (const key of each) {
          const isGone = theirs.indexOf(name) <= theirs.indexOf(npcId);
          assert.equal(
            (await one.look(key, false, never)).kind,
            isGone ? 'nothing' : 'variants',
            `${name} ${npcId}`,
          );
        }
    }
    const reason = new Error('no longer');
    await assert.rejects(one.forget(null, AbortSignal.abort(reason)), reason);
    assert.ok((await one.forget(null, never)) >= 0);
    assert.equal(await one.forget(null, never), 0);
  });

  it('loses to its joiners what an NPC is saying when that is forgotten', async () => {
    const key = freshKey('banshee');
    const lease = leaseOf(await one.look(key, true, never));
    await other.forget('banshee', never);
    using next = leaseOf(await lookLeading(other, key));
    lease.said('too late', aSource);
    lease.landed();
    const heard = hearAll(flightOf(await one.look(key, true, never)));
    next.said('Anew.', aSource);
    next.landed();
    assert.deepEqual(await heard, ['Anew.', '(landed)']);
  });

  it('merges what gateways keep as if one had kept it all', async () => {
    const history = fc.array(
      fc.record({
        words: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'),
        variantsMax: fc.integer({ min: 1, max: 5 }),
      }),
      { minLength: 1, maxLength: 12 },
    );
    await fc.assert(
      fc.asyncProperty(history, async (steps) => {
        const key = freshKey();
        let expected: string[] = [];
        for (const [index, { words, variantsMax }] of steps.entries()) {
          const tier = index % 2 === 0 ? one : other;
          tier.keep(key, aVariant(words), { ...LIMITS, variantsMax });
          // The other gateway's next step must come after this one.
          tier.keep(`${key}${index}`, aVariant('sent'), LIMITS);
          await lookUntil(tier, `${key}${index}`, 'variants');
          expected = [...expected.filter((each) => each !== words), words].slice(-variantsMax);
        }
        assert.deepEqual(wordsOf(await one.look(key, false, never)), expected);
      }),
      { numRuns: runs },
    );
  });

  it('refuses to forget what it cannot reach', async () => {
    const closed = await openAt(house);
    await closed[Symbol.asyncDispose]();
    await assert.rejects(
      closed.forget('lich', never),
      (error) => error instanceof ServiceError && error.code === 'store_unavailable',
    );
  });
}

/** Asks for the lead until it is given: the end of the flight before may be on its way. */
async function lookLeading(tier: SharedTier, key: string): Promise<SharedLook> {
  for (;;) {
    const look = await tier.look(key, true, never);
    if (look.kind === 'lead') return look;
    await turnOfLoop();
  }
}
