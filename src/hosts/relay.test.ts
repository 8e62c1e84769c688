import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Transport } from '../core/transport.ts';
import { Admission } from '../routing/admission.ts';
import { Pool } from '../routing/pool.ts';
import { aReplica } from '../testing/a-replica.ts';
import { type RelayHost, relayTarget } from './relay.ts';

function wire(): Transport {
  return {
    exchange: () => Promise.reject(new Error('not asked')),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

function aHost(name: string, changes: { isPaid?: boolean; relaysOpenAi?: boolean } = {}): RelayHost {
  const [transport, short] = [wire(), wire()];
  return {
    name,
    kind: 'vllm',
    model: `model of ${name}`,
    relaysOpenAi: changes.relaysOpenAi ?? true,
    replica: aReplica(name, { isPaid: changes.isPaid ?? false }),
    transport: () => transport,
    shortTransport: () => short,
    shortAdmission: new Admission({ engine: name, maxInFlight: 1, maxQueued: 1 }),
  };
}

function target(lane: 'generation' | 'short', ...all: readonly RelayHost[]) {
  const pool = new Pool(
    'pool',
    all.map(({ replica }) => replica),
  );
  return relayTarget(pool, lane, new Map(all.map((host) => [host.name, host])));
}

test('each lane has its own connections and places', () => {
  const host = aHost('a');
  const generation = target('generation', host);
  assert.deepEqual([generation.engine, generation.model], ['a', 'model of a']);
  assert.equal(generation.admission, host.replica.admission);
  assert.equal(generation.transport, host.transport());
  const short = target('short', host);
  assert.equal(short.admission, host.shortAdmission);
  assert.equal(short.transport, host.shortTransport());
});

test('beside engines that cost money or speak another wire the one that may is taken, whatever the order', () => {
  const others = () => [aHost('cloud', { isPaid: true }), aHost('messages', { relaysOpenAi: false })];
  for (const lane of ['generation', 'short'] as const) {
    assert.equal(target(lane, ...others(), aHost('a')).engine, 'a');
    assert.equal(target(lane, aHost('a'), ...others()).engine, 'a');
  }
});

test('where no engine may the request is refused with why, and where none can now it is told to come back', () => {
  for (const lane of ['generation', 'short'] as const) {
    assert.throws(() => target(lane, aHost('cloud', { isPaid: true })), {
      code: 'bad_request',
      message: /costs money/,
    });
    assert.throws(() => target(lane, aHost('messages', { relaysOpenAi: false })), {
      code: 'bad_request',
      message: /another wire \(vllm\)/,
    });
    const down = aHost('a');
    down.replica.setReady(false);
    assert.throws(() => target(lane, aHost('cloud', { isPaid: true }), down), { code: 'not_ready' });
  }
});
