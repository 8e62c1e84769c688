/** The sides of the NPC comparison in their order: what is installed, and what is absent with the reason. */
import type { TraceHeader } from '../npc-trace/trace.ts';
import { plainSide, shippedSide } from './greenroom.ts';
import { gatewaySide, llamaServerSide, llamaServerWithCopySide, ollamaSide } from './rivals.ts';
import { type FoundSide, SIDE_KEYS, type SideKey } from './side.ts';

type FirstSentenceMs = TraceHeader['firstSentenceMs'];

const FIND: Readonly<Record<SideKey, (firstSentenceMs: FirstSentenceMs) => FoundSide>> = {
  a: llamaServerSide,
  b: ollamaSide,
  c: gatewaySide,
  d: plainSide,
  e: shippedSide,
  f: llamaServerWithCopySide,
};

/** Those named by `wanted`, as `a,e`; without it a to e. Throws on a letter that names none. */
export function findSides(wanted: string | undefined, firstSentenceMs: FirstSentenceMs): FoundSide[] {
  const keys = wanted?.split(',') ?? SIDE_KEYS;
  return keys.map((key) => {
    const find = FIND[key as SideKey];
    if (find === undefined)
      throw new Error(`--sides names "${key}"; expected some of ${Object.keys(FIND).join(',')}`);
    return find(firstSentenceMs);
  });
}
