/**
 * What can be wrong with the shared tier. Each fault is counted every time and told once, until the tier is well again:
 * a lost cache must not fill a log. What the server says is never repeated whole, for its words can carry ours.
 */
import type { Logger } from '../../core/runtime.ts';

export const SHARED_FAULTS = {
  unreachable: 'There is no connection.',
  slow: 'It did not answer in time.',
  resting: 'It was slow before and is left alone for a while.',
  busy: 'Too many questions to it are without an answer.',
  full: 'It has no memory left.',
  refused: 'It does not accept us: the password or the rights are wrong.',
  read_only: 'It takes no writes, as a replica does.',
  loading: 'It is starting.',
  too_large: 'An entry was over the limit of bytes.',
  wrong_type: 'A key held something else than we keep there.',
  malformed: 'What it held was not what we write.',
  dropped: 'A line was not kept because too many waited.',
  failed: 'It answered with another error.',
} as const;
export type SharedFault = keyof typeof SHARED_FAULTS;

/** How servers name their errors (https://valkey.io/topics/protocol/); scripts put words of their own before it. */
const BY_CODE: Readonly<Record<string, SharedFault>> = {
  OOM: 'full',
  MISCONF: 'full',
  NOAUTH: 'refused',
  WRONGPASS: 'refused',
  NOPERM: 'refused',
  READONLY: 'read_only',
  LOADING: 'loading',
  MASTERDOWN: 'loading',
  WRONGTYPE: 'wrong_type',
};
const KNOWN_CODE = new RegExp(`\\b(${Object.keys(BY_CODE).join('|')})\\b`, 'u');

/** Of being reached at all; over with the first answer in time. */
const OF_REACH: ReadonlySet<SharedFault> = new Set([
  'unreachable',
  'slow',
  'resting',
  'busy',
  'refused',
  'loading',
  'failed',
]);
/** Of writing; over with the first line that was kept. */
const OF_WRITING: ReadonlySet<SharedFault> = new Set(['full', 'read_only', 'dropped']);

export interface NamedFault {
  readonly fault: SharedFault;
  /** The first word of the server's error, or the system's code: `OOM`, `ECONNREFUSED`. All of it that is told. */
  readonly code: string;
}

export function faultOf(error: unknown): NamedFault {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string')
    return { fault: 'unreachable', code: error.code };
  return faultOfReply(error instanceof Error ? error.message : '');
}

/** Of the words of an error reply; a script may name one of our faults itself. */
export function faultOfReply(words: string): NamedFault {
  if (Object.hasOwn(SHARED_FAULTS, words)) return { fault: words as SharedFault, code: words };
  const known = KNOWN_CODE.exec(words)?.[1];
  if (known !== undefined) return { fault: BY_CODE[known] ?? 'failed', code: known };
  return { fault: 'failed', code: /^[A-Z]{2,20}\b/u.exec(words)?.[0] ?? 'unknown' };
}

export class FaultBook {
  readonly #log: Pick<Logger, 'warn' | 'info'>;
  readonly #shown: string;
  readonly #onFault: (fault: SharedFault) => void;
  readonly #told = new Set<SharedFault>();

  constructor(parts: {
    readonly log: Pick<Logger, 'warn' | 'info'>;
    /** The address, without its password. */
    readonly shown: string;
    /** Told of each fault; must not throw. */
    readonly onFault: (fault: SharedFault) => void;
  }) {
    this.#log = parts.log;
    this.#shown = parts.shown;
    this.#onFault = parts.onFault;
  }

  count(fault: SharedFault): void {
    this.#onFault(fault);
  }

  /** Told when it is new. */
  tell(fault: SharedFault, code?: string): void {
    if (this.#told.has(fault)) return;
    this.#told.add(fault);
    this.#log.warn('recall.shared_fault', {
      fault,
      meaning: SHARED_FAULTS[fault],
      address: this.#shown,
      ...(code === undefined ? {} : { code }),
    });
  }

  note({ fault, code }: { readonly fault: SharedFault; readonly code?: string }): void {
    this.count(fault);
    this.tell(fault, code);
  }

  /** It answered in time. */
  reached(): void {
    this.#over(OF_REACH);
  }

  /** It took what we wrote. */
  written(): void {
    this.#over(OF_WRITING);
  }

  #over(group: ReadonlySet<SharedFault>): void {
    if (this.#told.size === 0) return;
    const faults = [...this.#told].filter((fault) => group.has(fault));
    if (faults.length === 0) return;
    for (const fault of faults) this.#told.delete(fault);
    this.#log.info('recall.shared_back', { address: this.#shown, faults });
  }
}
