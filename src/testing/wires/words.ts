/**
 * What a double says instead of a model: numbered words, or the smallest JSON that a schema allows, held to the limit and
 * the stop strings of a request as an engine holds its model to them. A word with its space is a token.
 */

type Schema = Readonly<Record<string, unknown>>;

export interface Asked {
  /** Tokens of the open last message: the answer goes on behind them. */
  readonly said: number;
  readonly tokensMax: number;
  readonly stops: readonly string[];
  /** `json` where only that is known; null: free words. */
  readonly structure: Schema | 'json' | null;
  /** The adapter's voice, which each word has; left out: the base's, which has none. */
  readonly voice?: string;
}

export interface Answer {
  /** A token each. */
  readonly pieces: readonly string[];
  readonly end: 'whole' | 'limit' | 'stop string';
}

export function answerOf({ said, tokensMax, stops, structure, voice = '' }: Asked): Answer {
  const whole = structure === null ? wordsFrom(said, tokensMax, voice) : jsonTokens(exampleOf(structure));
  const pieces = cutAt(whole.slice(0, tokensMax), stops);
  if (pieces !== null) return { pieces, end: 'stop string' };
  const isWhole = structure !== null && whole.length <= tokensMax;
  return { pieces: whole.slice(0, tokensMax), end: isWhole ? 'whole' : 'limit' };
}

export function tokens(text: string): readonly string[] {
  return text.match(/\S+\s*/g) ?? [];
}

/** They have a character of two bytes, for whoever cuts bytes. */
function wordsFrom(said: number, count: number, voice: string): readonly string[] {
  const prefix = voice === '' ? '' : `${voice}:`;
  return Array.from({ length: count }, (_, index) => `${prefix}wörd${said + index} `);
}

function jsonTokens(value: unknown): readonly string[] {
  return JSON.stringify(value).match(/[\s\S]{1,4}/g) ?? [];
}

/** The pieces before the first stop string; null when there is none in them. */
function cutAt(pieces: readonly string[], stops: readonly string[]): readonly string[] | null {
  const text = pieces.join('');
  const ends = stops.map((stop) => text.indexOf(stop)).filter((index) => index !== -1);
  if (ends.length === 0) return null;
  let rest = Math.min(...ends);
  const cut: string[] = [];
  for (const piece of pieces) {
    if (rest <= 0) break;
    cut.push(piece.slice(0, rest));
    rest -= piece.length;
  }
  return cut;
}

/** The smallest value that a plain schema allows. */
function exampleOf(schema: Schema | 'json'): unknown {
  if (schema === 'json') return { answer: 'wörd' };
  const {
    enum: values,
    type,
    properties,
  } = schema as {
    readonly enum?: readonly unknown[];
    readonly type?: string;
    readonly properties?: Readonly<Record<string, Schema>>;
  };
  if (values !== undefined) return values[0];
  if (type === 'object')
    return Object.fromEntries(
      Object.entries(properties ?? {}).map(([name, property]) => [name, exampleOf(property)]),
    );
  return type === 'string' ? 'wörd' : type === 'array' ? [] : type === 'boolean' ? true : 1;
}
