/** Generated from labelled.jsonl by `node bench/meaning.ts --write`; do not edit. */
import type { Calibration } from './calibrate.ts';

export const CALIBRATED: Calibration = {
  setSha256: '6eabbc0a9d43523921b5d80500cf38f4856aa51559a528598b3097106665c8ff',
  threshold: 0.55,
  calibration: { same: 522, met: 278, different: 937, falselyMet: 0 },
  heldOut: { same: 300, met: 86, different: 479, falselyMet: 2 },
};
