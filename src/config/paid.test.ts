import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PriceTable } from '../spending/price.ts';
import { isPaid, requirePrices } from './paid.ts';
import { configSchema } from './schema.ts';

const TODAY_MS = Date.UTC(2026, 10, 21);
const BASE = { model: 'big', baseUrl: 'https://cloud.example' };

function enginesOf(engines: Readonly<Record<string, object>>) {
  return configSchema.parse({ engines, tiers: {} }).engines;
}

test('clouds cost money, servers of your own do not, unless the configuration says otherwise', () => {
  const engines = enginesOf({
    own: { kind: 'vllm', ...BASE },
    rented: { kind: 'vllm', ...BASE, isPaid: true },
    cloud: { kind: 'openai', ...BASE },
    inside: { kind: 'embedded' },
  });
  assert.deepEqual(
    Object.entries(engines).flatMap(([name, engine]) => (isPaid(engine) ? [name] : [])),
    ['rented', 'cloud'],
  );
});

test('a paid engine needs a price that holds on the day', () => {
  const engines = enginesOf({ cloud: { kind: 'openai', ...BASE } });
  const price = (effectiveFrom: string) =>
    new PriceTable([{ model: 'big', effectiveFrom, inputUsd: 1, outputUsd: 2 }]);
  requirePrices({ engines }, price('2026-11-21'), TODAY_MS);
  assert.throws(
    () => requirePrices({ engines }, price('2026-11-22'), TODAY_MS),
    /engines\.cloud: its model "big" costs money and has no price that holds today; add a row to spending\.prices/,
  );
});
