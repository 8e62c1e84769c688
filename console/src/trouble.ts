/** Failures as sentences: what happened and what to do. The gateway's own detail follows where it adds something. */
import type { Trouble } from './api.ts';

const SENTENCES: Readonly<Record<string, string>> = {
  unreachable: 'The gateway does not answer. Start it with “npm start”; this page tries again by itself.',
  stream_cut: 'The connection broke in mid-line. What was heard is kept; say it again to go on.',
  unauthorized:
    'This gateway asks for an API key. Give one above, or create one with “greenroom keys create”.',
  forbidden: 'This key may not do that. Use a key with the operator scope.',
  unknown_npc: 'There is no NPC with this id. Choose one from the cast.',
  not_ready:
    'The service is still starting. The Service panel shows how far it is; try again when it is ready.',
  model_unavailable:
    'The model could not be fetched. Place the file by hand as the detail says, then restart.',
  overloaded: 'The queue is full. Wait a moment, then say it again.',
  draining: 'This instance is shutting down. Start it again, or use another one.',
  engine_unavailable: 'The engine cannot be reached. It restarts by itself; try again in a few seconds.',
  engine_error: 'The engine failed at this line. Say it again; the log holds the reason.',
  deadline_exceeded: 'The answer took longer than its deadline. Say it again, or choose a lower tier.',
  store_unavailable: 'The store cannot be reached. Check the data folder or DATABASE_URL.',
  bad_request: 'The gateway did not accept this request. Change what the detail names.',
  body_too_large: 'That was too long. Say it in fewer words.',
  not_found:
    'This gateway does not know that address. Console and gateway may be of different versions: restart it.',
  internal: 'Something failed inside the gateway that should not. Look into its log with the request id.',
};

/** Codes whose detail only repeats the sentence. */
const SAY_ALL = new Set(['unreachable', 'stream_cut', 'unauthorized']);

export interface TroubleText {
  readonly sentence: string;
  readonly detail: string | null;
}

export function troubleText(trouble: Pick<Trouble, 'code' | 'message'>): TroubleText {
  const sentence = SENTENCES[trouble.code] ?? 'The gateway refused this. The detail says why.';
  return { sentence, detail: SAY_ALL.has(trouble.code) ? null : trouble.message };
}

const CAUSES: Readonly<Record<string, string>> = {
  timeout: 'the engine was too slow for the deadline',
  overload: 'the queue was too long for the deadline',
  backend_error: 'the engine failed at this line',
  safety: 'the guard stopped what the model wrote',
  repetition: 'the model repeated itself',
  budget: 'the budget is spent',
  offline: 'no engine is up',
  disabled: 'generation is switched off',
};

/** Why a reply came from lower down the ladder. */
export function causeText(cause: string): string {
  return CAUSES[cause] ?? cause;
}
