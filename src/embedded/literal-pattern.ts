/** A pattern that matches any of some texts, the longest first; null for none. */
export function literalPattern(texts: Iterable<string>): RegExp | null {
  const longestFirst = [...texts].filter((text) => text !== '').sort((a, b) => b.length - a.length);
  if (longestFirst.length === 0) return null;
  return new RegExp(longestFirst.map((text) => text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&')).join('|'), 'g');
}
