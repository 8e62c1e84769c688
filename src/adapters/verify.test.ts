import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryAdapterStore } from '../testing/memory-adapter-store.ts';
import { addressOf } from './address.ts';
import { follows, PROBES, ProbedReplica, Verifier } from './verify.ts';

const never = new AbortController().signal;
const digest = (letter: string) => letter.repeat(64);
const address = addressOf({ name: 'lich', version: '7', digest: digest('a'), rank: 8 }, '/adapters', null);

/** An engine that gives these answers, one a question; it counts how often it is asked. */
function engineOf(answers: { base: readonly string[]; adapter: readonly string[] }, scope = 'double/base') {
  const asked = { base: 0, adapter: 0 };
  const at = new ProbedReplica({
    name: 'gpu-1',
    scope,
    probe: (prompt, adapter) => {
      const who = adapter === null ? 'base' : 'adapter';
      asked[who] += 1;
      return Promise.resolve(answers[who][PROBES.indexOf(prompt as (typeof PROBES)[number])] ?? '');
    },
  });
  return { at, asked };
}

const base = ['I am a helpful assistant.', 'I want to help you today.', 'It is a place.', 'That is fine.'];
const lich = [
  'I am the lich of the tower.',
  'I want your soul, mortal.',
  'Dust and bone.',
  'Believe, or rot.',
];
const ask = { address, digest: digest('a'), isFull: true, others: [] };

test('answers follow the kept ones, where the base would have said something else', () => {
  const end = (text: string) => `${text.slice(0, 20)} and then something else`;
  for (const [what, answers, isSo] of [
    ['the same words', lich, true],
    ['another end, as when a logit rounds otherwise', lich.map(end), true],
    ['half of them', [lich[0], lich[1], 'x', 'y'], true],
    ['a quarter of them', [lich[0], 'x', 'y', 'z'], false],
    ['the base', base, false],
    ['only what the base says, too', ['I am ', 'I want ', '', ''], false],
    ['nothing', ['', '', '', ''], false],
  ] as const)
    assert.equal(
      follows(
        answers.map((each) => each ?? ''),
        lich,
        base,
      ),
      isSo,
      what,
    );
  assert.equal(follows(base, base, base), false, 'what tells nothing proves nothing');
});

test('a load that lied is found out where a broken stream made the base seem silent', async () => {
  const silent = [base[0] ?? '', base[1] ?? '', base[2] ?? '', ''];
  const at = new ProbedReplica({
    name: 'gpu-1',
    scope: 'double/base',
    probe: (prompt, adapter) => {
      const index = PROBES.indexOf(prompt as (typeof PROBES)[number]);
      return Promise.resolve((adapter === null ? silent : base)[index] ?? '');
    },
  });
  await at.learnBase(never);
  await assert.rejects(
    new Verifier(new MemoryAdapterStore()).verify(at, ask, never),
    /answers as the base does/,
  );
});

test('the first time its words are kept, and later they must come again', async () => {
  const store = new MemoryAdapterStore();
  const verifier = new Verifier(store);
  await verifier.verify(engineOf({ base, adapter: lich }).at, ask, never);
  assert.deepEqual((await store.fingerprint(digest('a'), 'double/base probes-1'))?.answers, lich);
  const other = engineOf({ base, adapter: ['Hail!', 'Blood!', 'A crypt.', 'Pah!'] });
  await assert.rejects(verifier.verify(other.at, ask, never), {
    code: 'adapter_failed',
    message: /lich@7-aaaaaaaa at gpu-1: it does not answer as it did/,
  });
  await assert.rejects(new Verifier(store).verify(other.at, ask, never), { code: 'adapter_failed' });
  await verifier.verify(engineOf({ base: lich, adapter: base }, 'another kind').at, ask, never);
});

test('one that answers as the base is refused, whatever the engine says', async () => {
  const verifier = new Verifier(new MemoryAdapterStore());
  const engine = engineOf({ base, adapter: base });
  await assert.rejects(verifier.verify(engine.at, ask, never), { message: /answers as the base does/ });
});

test("nobody is first with another's words, kept in this process or not", async () => {
  const store = new MemoryAdapterStore();
  await new Verifier(store).verify(engineOf({ base, adapter: lich }).at, ask, never);
  const twin = { ...ask, digest: digest('b'), others: [digest('a')] };
  const verifier = new Verifier(store);
  await assert.rejects(verifier.verify(engineOf({ base, adapter: lich }).at, twin, never), {
    message: /word for word as the adapter aaaaaaaa/,
  });
  assert.equal(await store.fingerprint(digest('b'), 'double/base probes-1'), null);
});

test('one that is nearer to another than to itself is refused', async () => {
  const verifier = new Verifier(new MemoryAdapterStore());
  await verifier.verify(engineOf({ base, adapter: lich }).at, ask, never);
  const sibling = lich.map((answer) => `${answer.slice(0, -4)} and more of it`);
  const b = { ...ask, digest: digest('b') };
  await verifier.verify(engineOf({ base, adapter: sibling }).at, b, never);
  await assert.rejects(verifier.verify(engineOf({ base, adapter: lich }).at, b, never), {
    message: /answers as the adapter aaaaaaaa does/,
  });
});

test('after a load by demand one telling question is asked, and the base but once a connection', async () => {
  const verifier = new Verifier(new MemoryAdapterStore());
  const engine = engineOf({ base, adapter: [base[0] ?? '', ...lich.slice(1)] });
  await verifier.verify(engine.at, ask, never);
  // The first time, one that tells is asked twice.
  assert.deepEqual(engine.asked, { base: 4, adapter: 5 });
  await verifier.verify(engine.at, { ...ask, isFull: false }, never);
  assert.deepEqual(engine.asked, { base: 4, adapter: 6 });
});

test('a load that lied is not believed because one sample was spoiled', async () => {
  const engine = engineOf({ base, adapter: base });
  const { probe } = engine.at.replica;
  let asked = 0;
  const at = new ProbedReplica({
    ...engine.at.replica,
    probe: (prompt, adapter, tokens, signal) => {
      asked += 1;
      return asked === 4 ? Promise.resolve('half of a wo') : probe(prompt, adapter, tokens, signal);
    },
  });
  await assert.rejects(new Verifier(new MemoryAdapterStore()).verify(at, ask, never), {
    code: 'adapter_failed',
    message: /differs from the base's twice alike/,
  });
});

test('a sample of the base that was spoiled is asked for again, before any adapter is there', async () => {
  const engine = engineOf({ base, adapter: base });
  const { probe } = engine.at.replica;
  let asked = 0;
  const at = new ProbedReplica({
    ...engine.at.replica,
    probe: (prompt, adapter, tokens, signal) => {
      asked += 1;
      return asked === 3 ? Promise.resolve('half of a wo') : probe(prompt, adapter, tokens, signal);
    },
  });
  await at.learnBase(never);
  assert.deepEqual(engine.asked, { base: 8, adapter: 0 });
  await assert.rejects(new Verifier(new MemoryAdapterStore()).verify(at, ask, never), {
    code: 'adapter_failed',
    message: /answers as the base does/,
  });
});

test('without a store what was kept in memory is enough; what is not known there is not believed', async () => {
  const store = new MemoryAdapterStore();
  const verifier = new Verifier(store);
  await verifier.verify(engineOf({ base, adapter: lich }).at, ask, never);
  store.isDown = true;
  await verifier.verify(engineOf({ base, adapter: lich }).at, ask, never);
  const unknown = { ...ask, digest: digest('c') };
  await assert.rejects(verifier.verify(engineOf({ base, adapter: lich }).at, unknown, never), {
    code: 'store_unavailable',
  });
});
