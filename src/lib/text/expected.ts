/**
 * What a schema expected, as a clause that can follow a value: `tier is 9; expected one of 1, 2, 3, 4`. The library says
 * it in several ways; people who read it know neither the library nor the word "discriminator".
 */

const WHOLE: Readonly<Record<string, string>> = {
  'Invalid URL': 'expected an address with its scheme: http://127.0.0.1:8000, https://name.example/path',
  'Invalid ISO date': 'expected a date: 2026-11-21',
};

/** The message of one fault, without its lead-in and without what was received, which the caller shows. */
export function expectedOf(message: string): string {
  const known = WHOLE[message];
  if (known !== undefined) return known;
  const clause = message
    .replace(/^(?:Invalid [a-z ]+|Too (?:small|big))[:.] (?=expected|must)/i, '')
    .replace(/^must match pattern /, 'expected text like ')
    .replace(/, received [\w ]+$/, '')
    .replace(/^(expected )(?:one of )?("[^"]*"|'[^']*'|\d+)((?: ?\| ?(?:"[^"]*"|'[^']*'|\d+))+)$/i, listed);
  return clause.charAt(0).toLowerCase() + clause.slice(1);
}

function listed(_whole: string, _lead: string, first: string, rest: string): string {
  const values = [first, ...rest.split('|').slice(1)].map((value) =>
    value.trim().replace(/^["']|["']$/g, ''),
  );
  return `expected one of ${values.join(', ')}`;
}
