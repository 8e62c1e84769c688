/** A keeper with nothing to keep: what a dialogue meets where no adapter was ever registered. */
import type { AdapterKeeper } from '../core/adapter.ts';

export const NO_ADAPTERS: AdapterKeeper = {
  resolve: () => 'unknown',
  want: () => Promise.resolve('unknown'),
  lease: () => null,
};
