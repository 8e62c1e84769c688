/**
 * Which engines of a configuration cost money, and whether each of them has a price: a cap cannot hold over an engine
 * whose price nobody knows.
 */
import { ServiceError } from '../core/errors.ts';
import { DRIVERS } from '../engines/index.ts';
import type { PriceTable } from '../spending/price.ts';
import type { Config, EngineConfig } from './schema.ts';

/** Whether calls of this engine are held against spending. */
export function isPaid(config: EngineConfig): boolean {
  return config.kind !== 'embedded' && (config.isPaid ?? DRIVERS[config.kind].isPaid);
}

/** Throws `config_invalid` that names the first paid engine whose model has no price on the day of `nowMs` (epoch). */
export function requirePrices({ engines }: Pick<Config, 'engines'>, prices: PriceTable, nowMs: number): void {
  for (const [name, engine] of Object.entries(engines)) {
    if (!isPaid(engine) || prices.of(engine.model, nowMs) !== null) continue;
    throw new ServiceError(
      'config_invalid',
      `engines.${name}: its model ${JSON.stringify(engine.model)} costs money and has no price that holds today; add a row to spending.prices, or set isPaid: false`,
    );
  }
}
