/**
 * JSON Schema, cut to what a grammar can enforce. The grammar generator ignores keywords it does not know, which would
 * let wrong answers pass as checked; here every keyword is either translated, harmless, or refused by name.
 */
import { ServiceError } from '../core/errors.ts';

type Schema = Readonly<Record<string, unknown>>;

/** Deeper or larger schemas make grammars that cost more than the line they shape. */
const DEPTH_MAX = 16;
const NODES_MAX = 500;
const REPEAT_MAX = 1_000;

/** Say something about a value without restricting it. */
const ANNOTATIONS = new Set([
  '$schema',
  '$id',
  '$comment',
  'title',
  'description',
  'default',
  'examples',
  'deprecated',
  'readOnly',
  'writeOnly',
]);

const TYPES = new Set(['string', 'number', 'integer', 'boolean', 'null', 'object', 'array']);
const FORMATS = new Set(['date-time', 'time', 'date']);

/** The schema in the generator's dialect. Throws `bad_request` naming the path of what cannot be enforced. */
export function grammarSchema(schema: unknown): Schema {
  let nodes = 0;
  const refuse = (path: string, what: string): never => {
    throw new ServiceError('bad_request', `response_format: the schema at ${path} ${what}`);
  };
  const count = (path: string, value: unknown): number => {
    if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > REPEAT_MAX)
      return refuse(path, `must be an integer from 0 to ${REPEAT_MAX}`);
    return value;
  };
  const visitMap = (value: unknown, path: string, depth: number): Record<string, Schema> => {
    if (!isObject(value)) return refuse(path, 'must be an object');
    return Object.fromEntries(
      Object.entries(value).map(([key, inner]) => [key, visit(inner, `${path}/${key}`, depth + 1)]),
    );
  };
  const visitList = (value: unknown, path: string, depth: number): Schema[] => {
    if (!Array.isArray(value) || value.length === 0) return refuse(path, 'must be a list that is not empty');
    return value.map((inner, index) => visit(inner, `${path}/${index}`, depth + 1));
  };
  const visit = (value: unknown, path: string, depth: number): Schema => {
    if (!isObject(value)) return refuse(path, 'must be an object');
    nodes += 1;
    if (depth > DEPTH_MAX || nodes > NODES_MAX)
      return refuse(path, `goes over ${DEPTH_MAX} levels or ${NODES_MAX} parts`);
    const out: Record<string, unknown> = {};
    for (const [key, inner] of Object.entries(value)) {
      const at = `${path}/${key}`;
      if (ANNOTATIONS.has(key)) continue;
      switch (key) {
        case 'type': {
          const types = Array.isArray(inner) ? inner : [inner];
          if (types.length === 0 || types.some((type) => typeof type !== 'string' || !TYPES.has(type)))
            refuse(at, `must be one of ${[...TYPES].join(', ')}`);
          out['type'] = inner;
          break;
        }
        case 'enum':
          if (!Array.isArray(inner) || inner.length === 0) refuse(at, 'must be a list that is not empty');
          out['enum'] = inner;
          break;
        case 'const':
          out['const'] = inner;
          break;
        case 'properties':
          out['properties'] = visitMap(inner, at, depth);
          break;
        case '$defs':
        case 'definitions':
          out['$defs'] = visitMap(inner, at, depth);
          break;
        case '$ref':
          if (typeof inner !== 'string' || !/^#\/(\$defs|definitions)\/[^/]+$/.test(inner))
            refuse(at, 'must point into #/$defs/');
          out['$ref'] = String(inner).replace('#/definitions/', '#/$defs/');
          break;
        case 'oneOf':
        case 'anyOf':
          out['oneOf'] = visitList(inner, at, depth);
          break;
        case 'items':
          out['items'] = visit(inner, at, depth + 1);
          break;
        case 'prefixItems':
          out['prefixItems'] = visitList(inner, at, depth);
          break;
        case 'minItems':
        case 'maxItems':
        case 'minLength':
        case 'maxLength':
        case 'minProperties':
        case 'maxProperties':
          out[key] = count(at, inner);
          break;
        case 'format':
          if (typeof inner !== 'string' || !FORMATS.has(inner))
            refuse(at, `must be one of ${[...FORMATS].join(', ')}`);
          out['format'] = inner;
          break;
        case 'required':
          // The generator writes every property, in order: more than any `required` asks.
          break;
        case 'additionalProperties':
          if (isObject(inner)) out[key] = visit(inner, at, depth + 1);
          else if (isObject(value['properties'])) out[key] = false;
          else out[key] = inner;
          break;
        default:
          refuse(at, 'uses a keyword that the grammar cannot enforce; leave it out');
      }
    }
    return withType(out, path, refuse);
  };
  return visit(schema, '#', 0);
}

/** Without a type the generator would allow only null. */
function withType(
  schema: Record<string, unknown>,
  path: string,
  refuse: (path: string, what: string) => never,
): Schema {
  if (['type', 'enum', 'const', '$ref', 'oneOf'].some((key) => key in schema)) return schema;
  if ('properties' in schema || 'additionalProperties' in schema) return { ...schema, type: 'object' };
  if ('items' in schema || 'prefixItems' in schema) return { ...schema, type: 'array' };
  if ('minLength' in schema || 'maxLength' in schema || 'format' in schema)
    return { ...schema, type: 'string' };
  return refuse(path, 'needs a type');
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
