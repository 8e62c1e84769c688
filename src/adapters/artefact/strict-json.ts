/**
 * JSON from strangers: nesting is bounded before the parser builds anything, and a key that stands in one object twice is
 * refused. `JSON.parse` would take the last one, and another reader the first.
 */

/** Parses JSON. Throws an Error that says what is wrong; never returns partial data. */
export function parseStrictJson(bytes: Uint8Array, depthMax: number): unknown {
  const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  checkKeys(text, depthMax);
  return JSON.parse(text) as unknown;
}

export function isJsonObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** What stands open at a position; `keys` is null in an array. */
interface Open {
  readonly keys: Set<string> | null;
  isKeyNext: boolean;
}

/** Only keys and depth; the grammar is the parser's. */
function checkKeys(text: string, depthMax: number): void {
  const open: Open[] = [];
  for (let at = 0; at < text.length; at++) {
    const character = text.charAt(at);
    const inner = open.at(-1);
    if (character === '"') {
      const end = stringEnd(text, at);
      if (inner?.keys != null && inner.isKeyNext) addKey(inner.keys, text.slice(at, end + 1));
      at = end;
    } else if (character === '{' || character === '[') {
      if (open.length === depthMax) throw new Error(`it is nested deeper than ${depthMax} levels`);
      const keys = character === '{' ? new Set<string>() : null;
      open.push({ keys, isKeyNext: true });
    } else if (character === '}' || character === ']') open.pop();
    else if (inner !== undefined && character === ':') inner.isKeyNext = false;
    else if (inner !== undefined && character === ',') inner.isKeyNext = true;
  }
}

/** Position of the closing quote; the text's end when there is none, which the parser then refuses. */
function stringEnd(text: string, from: number): number {
  for (let at = from + 1; at < text.length; at++) {
    const character = text.charAt(at);
    if (character === '\\') at++;
    else if (character === '"') return at;
  }
  return text.length;
}

function addKey(keys: Set<string>, quoted: string): void {
  const key = JSON.parse(quoted) as string;
  // An object literal's own `__proto__` is harmless, but nobody's honest name either.
  if (key === '__proto__') throw new Error('a key is named __proto__');
  if (keys.has(key)) throw new Error(`the key ${JSON.stringify(key.slice(0, 120))} stands there twice`);
  keys.add(key);
}
