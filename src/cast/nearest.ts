/** Names near a mistyped one, for error messages. */

const NAME_LENGTH_MAX = 64;

/** At most `count` of `names` that look like `name`, best first; by shared letter pairs (Dice's coefficient). */
export function nearest(name: string, names: Iterable<string>, count = 3): readonly string[] {
  const wanted = pairs(name);
  const scored: { readonly candidate: string; readonly score: number }[] = [];
  for (const candidate of names) {
    const other = pairs(candidate);
    let shared = 0;
    for (const pair of wanted) if (other.has(pair)) shared += 1;
    const score = (2 * shared) / (wanted.size + other.size || 1);
    if (score >= 0.35) scored.push({ candidate, score });
  }
  scored.sort((a, b) => b.score - a.score || (a.candidate < b.candidate ? -1 : 1));
  return scored.slice(0, count).map((entry) => entry.candidate);
}

function pairs(name: string): ReadonlySet<string> {
  const text = ` ${name.slice(0, NAME_LENGTH_MAX).toLowerCase()} `;
  const result = new Set<string>();
  for (let at = 0; at < text.length - 1; at++) result.add(text.slice(at, at + 2));
  return result;
}
