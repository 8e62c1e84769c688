/**
 * How near two frames are. Each item looks for its counterpart in the other; what finds none costs its weight, whatever
 * else the two share: a long sentence that differs in one thing differs. Some differences cost everything: a denial, a
 * number, a direction, who does it to whom. Symmetric: the two are put in order first.
 */
import type { Frame, Item } from './item.ts';

/** "Stands" for "is": said, though less well than by itself. */
const LOOSE_COST = 0.05;

/**
 * 0: never the same; else 1 / (1 + cost of what differs); 1 when nothing does. Likeness below `atLeast` may be told as 0:
 * most texts differ in their first words, and a look-up need not read on.
 */
export function likeness(a: Frame, b: Frame, atLeast = 0): number {
  const costMax = atLeast <= 0 ? Number.POSITIVE_INFINITY : 1 / atLeast - 1 + ROUNDING;
  const cost = costBetween(a, b, costMax);
  return cost === null ? 0 : 1 / (1 + cost);
}

const ROUNDING = 1e-9;

interface Pair {
  readonly mine: number;
  readonly theirs: number;
}

/** Null: a difference that no likeness outweighs. */
function costBetween(a: Frame, b: Frame, costMax: number): number | null {
  if (a.key === b.key) return 0;
  if (isTimeShifted(a, b)) return null;
  if (a.items.length > b.items.length || (a.items.length === b.items.length && a.key > b.key))
    return costBetween(b, a, costMax);
  const isUsed = new Uint8Array(b.items.length);
  const pairs: Pair[] = [];
  let cost = 0;
  for (const [mine, item] of a.items.entries()) {
    let best = -1;
    let bestCost = Number.POSITIVE_INFINITY;
    for (const [theirs, other] of b.items.entries()) {
      if (isUsed[theirs] === 1) continue;
      const between = itemCost(item, other);
      if (between !== null && between < bestCost) {
        best = theirs;
        bestCost = between;
      }
    }
    if (best === -1) {
      if (item.isDecisive || item.denials > 0) return null;
      cost += item.weight;
      if (cost > costMax) return null;
      continue;
    }
    isUsed[best] = 1;
    if (item.denials !== b.items[best]?.denials) return null;
    pairs.push({ mine, theirs: best });
    cost += bestCost;
  }
  for (const [theirs, other] of b.items.entries()) {
    if (isUsed[theirs] === 1) continue;
    if (other.isDecisive || other.denials > 0) return null;
    cost += other.weight;
  }
  if (cost > costMax) return null;
  return isSwapped(a, b, pairs) ? null : cost;
}

/** "Was here" and "is here". */
function isTimeShifted(a: Frame, b: Frame): boolean {
  return (
    (a.isPast && !a.isPresent && b.isPresent && !b.isPast) ||
    (b.isPast && !b.isPresent && a.isPresent && !a.isPast)
  );
}

/** Null: they are not counterparts. */
function itemCost(a: Item, b: Item): number | null {
  if (a.isPlural !== null && b.isPlural !== null && a.isPlural !== b.isPlural) return null;
  if (a.gender !== null && b.gender !== null && a.gender !== b.gender) return null;
  if (!meets(a.ties, b.ties)) return null;
  if (meets(a.concepts, b.concepts)) {
    if (a.written === null || b.written === null || a.written === b.written)
      return a.isBeing === b.isBeing ? 0 : LOOSE_COST;
    return /s$/.test(a.written) === /s$/.test(b.written) ? 0 : VERB_OR_MANY_COST;
  }
  return null;
}

/** "wobbles" and "wobbled" are one verb, "urchins" and "urchin" are not one child; without a list nobody can tell. */
const VERB_OR_MANY_COST = 0.6;

function meets(a: readonly string[], b: readonly string[]): boolean {
  for (const one of a) if (b.includes(one)) return true;
  return false;
}

/** Whether two things that are tied alike stand in another order here than there: who did it to whom. */
function isSwapped(a: Frame, b: Frame, pairs: readonly Pair[]): boolean {
  const last = new Map<string, number>();
  for (const { mine, theirs } of pairs) {
    if (a.items[mine]?.isBeing === true || b.items[theirs]?.isBeing === true) continue;
    const tie = (a.items[mine]?.ties[0] ?? 'core').replace(/^of /, '');
    if (tie === 'manner') continue;
    if (theirs < (last.get(tie) ?? -1)) return true;
    last.set(tie, theirs);
  }
  return false;
}
