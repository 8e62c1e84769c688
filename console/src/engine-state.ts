/**
 * An engine's state in the words of somebody woken at three: what it is, what happens next by itself, and whether a hand
 * is needed. Pure: what `/admin/v1/status` says of one engine in, words out.
 */
import { words } from './format.ts';
import type { EngineStatus } from './wire.ts';

export interface EngineState {
  /** `go`: it takes lines. `standby`: it will by itself. `dark`: it does not, and may need a hand. */
  readonly tone: 'go' | 'standby' | 'dark';
  readonly words: string;
  /** What happens next, or what to do; null when there is nothing to say. */
  readonly next: string | null;
}

const STARTING = new Set(['starting', 'fetching', 'loading', 'warming']);

/** Ready engines that take no line now, by the cause that the status names. */
const UNUSABLE: Readonly<Record<string, EngineState>> = {
  backend_error: {
    tone: 'dark',
    words: 'Taken out after failures',
    next: 'It comes back by itself: after a pause, one line tries it.',
  },
  overload: {
    tone: 'standby',
    words: 'Pausing: rate limit',
    next: 'It asked us to wait, and is asked again by itself. Lines go down the ladder until then.',
  },
  disabled: {
    tone: 'dark',
    words: 'Switched off: it refused our account',
    next: 'Check its API key, credit and spend limit at the provider; it is asked again every few minutes.',
  },
  offline: {
    tone: 'dark',
    words: 'No connection',
    next: 'It is tried again by itself.',
  },
};

const HALF_OPEN: EngineState = {
  tone: 'standby',
  words: 'Being tried again after failures',
  next: 'One line tries it. If that is spoken, it takes lines again.',
};

export function engineState({ stage, breaker, unusable }: EngineStatus): EngineState {
  if (stage === 'failed')
    return { tone: 'dark', words: 'Down', next: 'It is started again by itself; the reason is below.' };
  if (stage === 'restarting')
    return { tone: 'dark', words: 'Down: restarting', next: 'It takes lines again once it has spoken one.' };
  if (stage !== undefined && STARTING.has(stage))
    return { tone: 'standby', words: `Starting: ${stage}`, next: 'It takes lines once it has spoken one.' };
  if (stage !== undefined && stage !== 'ready')
    return { tone: 'standby', words: capital(words(stage)), next: null };
  if (breaker === 'half_open') return HALF_OPEN;
  if (unusable)
    return UNUSABLE[unusable] ?? { tone: 'dark', words: `Takes no lines: ${words(unusable)}`, next: null };
  return { tone: 'go', words: 'Takes lines', next: null };
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
