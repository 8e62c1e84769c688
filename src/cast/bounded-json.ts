/**
 * JSON from strangers: depth and size are limited before the parser builds anything, and `__proto__` keys are dropped,
 * so a hostile card can neither exhaust the stack nor reach a prototype.
 */

/** Deepest nesting of arrays and objects that is read. */
export const JSON_DEPTH_MAX = 64;

/** Parses JSON text. Throws an Error that says what is wrong; never returns partial data. */
export function parseBoundedJson(text: string, depthMax = JSON_DEPTH_MAX): unknown {
  const content = text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
  checkDepth(content, depthMax);
  return JSON.parse(content, (key, value: unknown) => (key === '__proto__' ? undefined : value)) as unknown;
}

function checkDepth(text: string, depthMax: number): void {
  let depth = 0;
  let isInString = false;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (isInString) {
      if (code === 0x5c) at += 1;
      else if (code === 0x22) isInString = false;
    } else if (code === 0x22) {
      isInString = true;
    } else if (code === 0x5b || code === 0x7b) {
      depth += 1;
      if (depth > depthMax) throw new Error(`nested deeper than ${depthMax} levels`);
    } else if (code === 0x5d || code === 0x7d) {
      depth -= 1;
    }
  }
}
