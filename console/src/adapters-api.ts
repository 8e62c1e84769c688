/** Changes of adapters. Each answers at once; long work is an operation to be followed. Throws Trouble. */

import type { AdapterAction } from './adapter-actions.ts';
import { send } from './api.ts';
import type { AdapterOperation } from './wire-adapters.ts';

const ROOT = '/admin/v1/adapters';

export interface AddBody {
  readonly source: string;
  readonly name: string;
  readonly version: string;
  readonly base?: string;
  readonly licence?: string;
  readonly notes?: string;
}

export function addAdapter(body: AddBody, signal: AbortSignal): Promise<AdapterOperation> {
  return send<AdapterOperation>('POST', ROOT, body, signal);
}

/** The operation, or null where it was done at once. */
export async function actOn(
  id: string,
  { verb, body }: Pick<AdapterAction, 'verb' | 'body'>,
  signal: AbortSignal,
): Promise<AdapterOperation | null> {
  const path = `${ROOT}/${encodeURIComponent(id)}`;
  const answer =
    verb === 'remove'
      ? await send<unknown>('DELETE', path, undefined, signal)
      : await send<unknown>('POST', `${path}/${verb}`, body, signal);
  return isOperation(answer) ? answer : null;
}

function isOperation(answer: unknown): answer is AdapterOperation {
  return typeof answer === 'object' && answer !== null && 'outcome' in answer && 'kind' in answer;
}
