/** Failures as sentences: what happened and what to do. The gateway's own detail follows where it adds something. */
import type { Trouble } from './api.ts';
import { words } from './format.ts';

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
  spending_off: 'All paid calls are stopped. Allow them again on the Service page.',
  budget_exceeded:
    'A spending cap is reached. Raise it in the configuration, or wait for the next day (UTC).',
  engine_account:
    'The engine refuses our account. Check its API key, credit and spend limit at the provider.',
  interrupted:
    'The process that worked on it ended. It may have been billed, so it is not run again: submit it anew.',
  unknown_job: 'There is no job with this id any more.',
  adapter_invalid:
    'This is no sound LoRA adapter: nothing was kept of it. The detail names what is wrong with it.',
  adapter_incompatible:
    'It was made for another base model. Add it for that base, or train it again for this one.',
  adapter_unavailable: 'It could not be fetched from there. Check the address or the folder, then try again.',
  unknown_adapter: 'There is no such adapter, or it is not published. The table shows what there is.',
  adapter_conflict:
    'This name and version stand for other weights, and always will. Add it as the next version.',
  adapter_busy: 'Something else is under way with this adapter. Wait for its end, then try again.',
  adapter_failed: 'The engine did not load it, or it did not answer as itself. What spoke before goes on.',
  no_room: 'It does not fit onto the engines. Unload or unpin another one, or give the engine more places.',
  unknown_line: 'This line is not there any more. The list shows what is.',
  line_decided: 'Somebody else was first with this line. Nothing was changed.',
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
  overload: 'the engine was full, or had asked for a pause',
  backend_error: 'the engine failed at this line, or is taken out after failures',
  safety: 'the guard stopped what the model wrote',
  repetition: 'the model repeated itself',
  budget: 'no more may be spent: a cap is reached, or paid calls are stopped',
  offline: 'the engine above is not up',
  disabled: 'the engine is switched off, or its account was refused',
};

/** Why a reply came from lower down the ladder; `kind` is that of its source. */
export function causeText(cause: string, kind: string): string {
  if (cause === 'offline' && kind !== 'engine') return 'no engine is up';
  return CAUSES[cause] ?? words(cause);
}
