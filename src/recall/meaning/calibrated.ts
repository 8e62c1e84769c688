/** Generated from labelled.jsonl by `node bench/meaning.ts --write`; do not edit. */
import type { Calibration } from './calibrate.ts';

export const CALIBRATED: Calibration = {
  setSha256: 'e5bfd11da3c2bb7713b28044d0d9bfa925b5e5790d721203e4bbe0ee301a82a6',
  threshold: 0.55,
  calibration: { same: 822, met: 376, different: 1416, falselyMet: 0 },
  heldOut: { same: 342, met: 123, different: 538, falselyMet: 0 },
};
