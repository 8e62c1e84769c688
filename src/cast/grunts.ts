/** The last resort of the last resort: a sound that each kind makes when the cast has no line at all. */
import type { KINDS } from './persona.ts';

const GRUNTS: Readonly<Record<(typeof KINDS)[number], readonly string[]>> = {
  zombie: ['Unnh.', 'Hhhnn.', 'Mmuh.', 'Ohhhh.'],
  ghoul: ['Heh.', 'Tss.', 'Hnf.', 'Mmm, mmm.'],
  vampire: ['Hmm.', 'Tch.', 'Ah.', 'Mm.'],
  werewolf: ['Grrh.', 'Hrrm.', 'Hff.', 'Rrr.'],
  lich: ['Hhh.', 'Mmh.', 'Ahh.', 'Hm.'],
  human: ['Hm.', 'Uh.', 'Huh.', 'Ah.'],
};
const ANY: readonly string[] = ['Hm.', 'Hrm.', 'Mm.', 'Hh.'];

/** Sounds of a kind, at least four; a kind that is not ours gets neutral ones. */
export function gruntsOf(kind: string): readonly string[] {
  return Object.hasOwn(GRUNTS, kind) ? GRUNTS[kind as keyof typeof GRUNTS] : ANY;
}
