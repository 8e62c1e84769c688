/** Text that both databases keep alike. Ids and game times come from outside and may hold anything. */

/**
 * The text with what PostgreSQL cannot keep, NUL and lone surrogates, replaced by U+FFFD. Applied to keys when written
 * and when looked up, so both sides agree.
 */
export function storable(text: string): string {
  return text.toWellFormed().replaceAll('\0', '\ufffd');
}
