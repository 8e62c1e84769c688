/**
 * The tiny safe language of conditions that written lines, secrets, goals and world facts share: `health<30`,
 * `quest.bell >= 3 and not weather=rain`. Comparisons and and/or/not over game facts; no calls, no arithmetic.
 * Invariant: parsing and evaluation are linear in the text, and a fact that the game did not name never makes a
 * condition true, not even under `not` (Kleene's three values; unknown ends as false), so a missing fact leaks nothing.
 */

export type FactValue = string | number | boolean;

/** Looks a fact up by its key; undefined when the game did not name it. */
export type FactLookup = (key: string) => FactValue | undefined;

export type ComparisonOperator = '<' | '<=' | '>' | '>=' | '=' | '!=';

type Node =
  | {
      readonly kind: 'compare';
      readonly key: string;
      readonly operator: ComparisonOperator;
      readonly value: FactValue;
    }
  | { readonly kind: 'truthy'; readonly key: string }
  | { readonly kind: 'not'; readonly inner: Node }
  | { readonly kind: 'all' | 'any'; readonly parts: readonly Node[] };

/** A parsed condition. `text` is its source, kept for messages and export. */
export interface Condition {
  readonly text: string;
  readonly root: Node;
}

/** One comparison that must hold for the whole condition to hold; what the lint looks for contradictions in. */
export interface RequiredComparison {
  readonly key: string;
  readonly operator: ComparisonOperator;
  readonly value: FactValue;
}

/** Longest condition that is read, in UTF-16 units. */
export const CONDITION_LENGTH_MAX = 400;
/** Deepest nesting of parentheses and `not`. */
const DEPTH_MAX = 16;

interface Token {
  readonly kind: 'word' | 'string' | 'operator' | 'open' | 'close';
  readonly text: string;
  readonly at: number;
}

const WORD_START = /[\p{L}\p{N}_+.-]/u;
const WORD_PART = /[\p{L}\p{N}_.:/+-]/u;

/** A condition that cannot be read: the message names the place and what was expected there. */
export class ConditionSyntaxError extends Error {
  constructor(text: string, at: number, expected: string) {
    const found = at >= text.length ? 'the end' : `"${text.slice(at, at + 12)}"`;
    super(`condition "${text.slice(0, 80)}": at ${at} found ${found}, expected ${expected}`);
    this.name = 'ConditionSyntaxError';
  }
}

function tokenise(text: string): readonly Token[] {
  const tokens: Token[] = [];
  let at = 0;
  while (at < text.length) {
    const character = text.charAt(at);
    if (/\s/.test(character)) {
      at += 1;
    } else if (character === '(' || character === ')') {
      tokens.push({ kind: character === '(' ? 'open' : 'close', text: character, at });
      at += 1;
    } else if (character === '"' || character === "'") {
      const end = text.indexOf(character, at + 1);
      if (end < 0) throw new ConditionSyntaxError(text, at, `a closing ${character}`);
      tokens.push({ kind: 'string', text: text.slice(at + 1, end), at });
      at = end + 1;
    } else {
      const operator = /^(?:<=|>=|==|!=|&&|\|\||[<>=!])/.exec(text.slice(at, at + 2))?.[0];
      if (operator !== undefined) {
        tokens.push({ kind: 'operator', text: operator === '==' ? '=' : operator, at });
        at += operator.length;
      } else if (WORD_START.test(character)) {
        let end = at + 1;
        while (end < text.length && WORD_PART.test(text.charAt(end))) end += 1;
        tokens.push({ kind: 'word', text: text.slice(at, end), at });
        at = end;
      } else {
        throw new ConditionSyntaxError(text, at, 'a fact, a comparison, and, or, not, or a parenthesis');
      }
    }
  }
  return tokens;
}

const COMPARISONS: ReadonlySet<string> = new Set(['<', '<=', '>', '>=', '=', '!=']);

/** Recursive descent with one token of lookahead: or < and < not < comparison. */
class Parser {
  readonly #text: string;
  readonly #tokens: readonly Token[];
  #next = 0;

  constructor(text: string) {
    this.#text = text;
    this.#tokens = tokenise(text);
  }

  parse(): Node {
    const root = this.#chain('any', 0);
    if (this.#next < this.#tokens.length) throw this.#unexpected('and, or, or the end');
    return root;
  }

  #peek(): Token | undefined {
    return this.#tokens[this.#next];
  }

  #unexpected(expected: string): ConditionSyntaxError {
    return new ConditionSyntaxError(this.#text, this.#peek()?.at ?? this.#text.length, expected);
  }

  #accept(...texts: readonly string[]): boolean {
    const token = this.#peek();
    if (token === undefined || token.kind === 'string' || !texts.includes(token.text.toLowerCase()))
      return false;
    this.#next += 1;
    return true;
  }

  #chain(kind: 'all' | 'any', depth: number): Node {
    const operand = () => (kind === 'any' ? this.#chain('all', depth) : this.#unary(depth));
    const parts = [operand()];
    const joins = kind === 'any' ? ['or', '||'] : ['and', '&&'];
    while (this.#accept(...joins)) parts.push(operand());
    return parts.length === 1 ? (parts[0] as Node) : { kind, parts };
  }

  #unary(depth: number): Node {
    if (depth > DEPTH_MAX) throw this.#unexpected(`at most ${DEPTH_MAX} levels of nesting`);
    if (this.#accept('not', '!')) return { kind: 'not', inner: this.#unary(depth + 1) };
    if (this.#accept('(')) {
      const inner = this.#chain('any', depth + 1);
      if (!this.#accept(')')) throw this.#unexpected('")"');
      return inner;
    }
    return this.#comparison();
  }

  #comparison(): Node {
    const key = this.#peek();
    if (key?.kind !== 'word' || ['and', 'or', 'not'].includes(key.text.toLowerCase())) {
      throw this.#unexpected('the key of a fact, such as health or quest.bell');
    }
    this.#next += 1;
    const operator = this.#peek();
    if (operator?.kind !== 'operator' || !COMPARISONS.has(operator.text))
      return { kind: 'truthy', key: key.text };
    this.#next += 1;
    const value = this.#peek();
    if (value?.kind !== 'word' && value?.kind !== 'string')
      throw this.#unexpected('a value after the comparison');
    this.#next += 1;
    return {
      kind: 'compare',
      key: key.text,
      operator: operator.text as ComparisonOperator,
      value: value.kind === 'string' ? value.text : literal(value.text),
    };
  }
}

function literal(word: string): FactValue {
  if (word === 'true') return true;
  if (word === 'false') return false;
  const number = Number(word);
  return /^[+-]?\d/.test(word) && Number.isFinite(number) ? number : word;
}

/**
 * Reads one condition of at most CONDITION_LENGTH_MAX characters. Throws ConditionSyntaxError, which names the place.
 * A bare word right of a comparison is text (`weather=rain`); `true`, `false` and numbers are themselves.
 */
export function parseCondition(text: string): Condition {
  const trimmed = text.trim();
  if (trimmed === '') throw new ConditionSyntaxError(text, 0, 'a comparison such as health<30');
  if (trimmed.length > CONDITION_LENGTH_MAX) {
    throw new ConditionSyntaxError(
      trimmed,
      CONDITION_LENGTH_MAX,
      `at most ${CONDITION_LENGTH_MAX} characters`,
    );
  }
  return { text: trimmed, root: new Parser(trimmed).parse() };
}

/** Whether the condition holds. False when it hangs on a fact that `lookup` does not know. */
export function holds(condition: Condition, lookup: FactLookup): boolean {
  return evaluate(condition.root, lookup) === true;
}

/** Kleene's strong logic; undefined is "unknown". */
function evaluate(node: Node, lookup: FactLookup): boolean | undefined {
  switch (node.kind) {
    case 'compare': {
      const fact = lookup(node.key);
      return fact === undefined ? undefined : compare(fact, node.operator, node.value);
    }
    case 'truthy': {
      const fact = lookup(node.key);
      return fact === undefined ? undefined : fact !== false && fact !== 0 && fact !== '';
    }
    case 'not': {
      const inner = evaluate(node.inner, lookup);
      return inner === undefined ? undefined : !inner;
    }
    case 'all':
    case 'any': {
      const decisive = node.kind === 'any';
      let result: boolean | undefined = !decisive;
      for (const part of node.parts) {
        const value = evaluate(part, lookup);
        if (value === decisive) return decisive;
        if (value === undefined) result = undefined;
      }
      return result;
    }
  }
}

/** Numbers compare as numbers, also when the game sent "30"; texts compare without case; order needs two numbers. */
function compare(fact: FactValue, operator: ComparisonOperator, value: FactValue): boolean {
  const left = numeric(fact);
  const right = numeric(value);
  if (left !== null && right !== null) {
    switch (operator) {
      case '<':
        return left < right;
      case '<=':
        return left <= right;
      case '>':
        return left > right;
      case '>=':
        return left >= right;
      case '=':
        return left === right;
      case '!=':
        return left !== right;
    }
  }
  const isEqual = String(fact).toLowerCase() === String(value).toLowerCase();
  return operator === '=' ? isEqual : operator === '!=' ? !isEqual : false;
}

function numeric(value: FactValue): number | null {
  if (typeof value === 'number') return value;
  if (typeof value === 'boolean' || value.trim() === '') return null;
  const number = Number(value);
  return Number.isFinite(number) ? number : null;
}

/** How many comparisons the condition makes: its specificity when lines compete (npc-domain §9, rule 2). */
export function comparisonCount(condition: Condition): number {
  const count = (node: Node): number => {
    switch (node.kind) {
      case 'not':
        return count(node.inner);
      case 'all':
        return node.parts.reduce((sum, part) => sum + count(part), 0);
      // A choice satisfies as little as its least demanding branch.
      case 'any':
        return Math.min(...node.parts.map(count));
      default:
        return 1;
    }
  };
  return count(condition.root);
}

/** The comparisons that every way of satisfying the condition includes (its top-level conjunction). */
export function requiredComparisons(condition: Condition): readonly RequiredComparison[] {
  const found: RequiredComparison[] = [];
  const visit = (node: Node): void => {
    if (node.kind === 'compare') found.push(node);
    else if (node.kind === 'all') for (const part of node.parts) visit(part);
  };
  visit(condition.root);
  return found;
}
