/** JSON Schema as the pages read it: the keywords that our schemas produce. */
import { code } from './markdown.ts';

export interface SchemaNode {
  /** A list names alternatives: `["string", "null"]`. */
  readonly type?: string | readonly string[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly default?: unknown;
  readonly description?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly pattern?: string;
  readonly items?: SchemaNode;
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: SchemaNode | boolean;
  readonly anyOf?: readonly SchemaNode[];
  readonly oneOf?: readonly SchemaNode[];
}

/** The type as a reader says it, with its bounds. */
export function typeText(option: SchemaNode): string {
  if (option.const !== undefined) return code(JSON.stringify(option.const));
  if (option.enum !== undefined) return option.enum.map((value) => code(String(value))).join(', ');
  const alternatives = option.anyOf ?? option.oneOf;
  if (alternatives !== undefined) return alternatives.map(typeText).join(' or ');
  if (option.type === 'array')
    return `list of ${option.items === undefined ? 'values' : typeText(option.items)}`;
  if (typeof option.type === 'object') return option.type.map((type) => typeText({ type })).join(' or ');
  const name = { integer: 'integer', string: 'text', boolean: 'true or false' }[option.type ?? ''];
  return [name ?? option.type ?? 'value', rangeText(option)].filter((part) => part !== '').join(', ');
}

/** The bounds of safe integers stand for none. */
function rangeText({ minimum, maximum, maxLength }: SchemaNode): string {
  const number = (value: number) => value.toLocaleString('en-US');
  if (maxLength !== undefined) return `at most ${number(maxLength)} characters`;
  const hasMaximum = maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER;
  const hasMinimum = minimum !== undefined && minimum > Number.MIN_SAFE_INTEGER;
  if (hasMinimum && hasMaximum) return `${number(minimum)} to ${number(maximum)}`;
  if (hasMinimum) return `at least ${number(minimum)}`;
  return hasMaximum ? `at most ${number(maximum)}` : '';
}
