/** Validation by zod, with an error that names the field, the value and what was expected. */
import type { z } from 'zod';
import { ServiceError } from '../core/errors.ts';
import { expectedOf } from '../lib/text/expected.ts';

const SHOWN_LENGTH_MAX = 60;

type Issue = z.core.$ZodIssue;

/** fastify's validator: the parsed value, or `bad_request` for the first thing that is wrong. */
export function validator(
  schema: z.ZodType,
): (data: unknown) => { value: unknown } | { error: ServiceError } {
  return (data) => {
    const result = schema.safeParse(data);
    if (result.success) return { value: result.data };
    return { error: explain(result.error.issues, data) };
  };
}

function explain(issues: readonly Issue[], data: unknown): ServiceError {
  const issue = deepest(issues);
  const keys = issue.code === 'unrecognized_keys' ? issue.keys : [];
  const path = [...issue.path, ...keys.slice(0, 1)];
  const field = path.map(String).join('.');
  const name = field === '' ? 'the body' : field.slice(0, 200);
  const message =
    keys.length > 0
      ? `${name} is not a field of this call; see /openapi.json for those that are`
      : `${name} is ${shownValue(valueAt(data, issue.path))}; ${expectedOf(issue.message)}`;
  return new ServiceError('bad_request', message, { details: { field } });
}

/** In a union the branch that got furthest is the one that was meant. */
function deepest(issues: readonly Issue[]): Issue {
  let found = issues[0] as Issue;
  for (const issue of issues) {
    if (issue.code !== 'invalid_union') continue;
    const inner = issue.errors
      .filter((branch) => branch.length > 0)
      .map((branch) => deepest(branch))
      .toSorted((a, b) => b.path.length - a.path.length)[0];
    if (inner !== undefined && issue === found) found = { ...inner, path: [...issue.path, ...inner.path] };
  }
  return found;
}

function valueAt(data: unknown, path: readonly PropertyKey[]): unknown {
  let value = data;
  for (const key of path) {
    if (typeof value !== 'object' || value === null) return undefined;
    value = (value as Record<PropertyKey, unknown>)[key];
  }
  return value;
}

function shownValue(value: unknown): string {
  if (value === undefined || value === null) return value === null ? 'null' : 'missing';
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === 'object') return 'an object';
  if (typeof value === 'string' && value.length > SHOWN_LENGTH_MAX)
    return `a string of ${value.length} characters`;
  return JSON.stringify(value);
}
