/** Adapters in the words of people who never open a terminal: who spoke and why, and what a stage means. Pure. */
import { words } from './format.ts';
import type { Source } from './wire.ts';
import type { AdapterView } from './wire-adapters.ts';

/** What an adapter is called where somebody may also choose none. */
export function voiceName(adapter: string | null): string {
  return adapter ?? 'the base';
}

const ABSENCES: Readonly<Record<string, string>> = {
  unknown: 'is not registered',
  unpublished: 'is not published',
  loading: 'is still loading',
  no_room: 'finds no free place on the engine',
  failed: 'could not be loaded, or did not pass its verification',
  unsupported: 'cannot be loaded by this engine',
};

/** Why an adapter did not speak, as the end of a sentence that begins with its name. */
export function absenceText(reason: string): string {
  return ABSENCES[reason] ?? `did not speak: ${words(reason)}`;
}

export interface Speaker {
  readonly text: string;
  /** Whether it is another one than was wanted. */
  readonly isOther: boolean;
}

/** Who really spoke a line, said plainly. */
export function speakerOf(source: Source): Speaker {
  const missing = source.adapter_missing;
  const why = missing && `: ${missing.adapter} ${absenceText(missing.reason)}`;
  if (source.kind === 'written')
    return { text: `A written line, by no model${why ? `${why}` : ''}`, isOther: true };
  if (source.adapter) {
    const generation =
      source.adapter_generation === undefined ? '' : `, generation ${source.adapter_generation}`;
    return { text: `Spoken by ${source.adapter}${generation}`, isOther: false };
  }
  return { text: `Spoken by the base${why ?? ''}`, isOther: missing !== undefined };
}

export interface StageWords {
  /** `off`: nothing is wrong and nothing is on. */
  readonly tone: 'go' | 'standby' | 'dark' | 'off';
  readonly words: string;
}

const STAGES: Readonly<Record<string, StageWords>> = {
  staged: { tone: 'standby', words: 'waits to load' },
  loading: { tone: 'standby', words: 'loading' },
  verifying: { tone: 'standby', words: 'verifying' },
  resident: { tone: 'go', words: 'resident' },
  draining: { tone: 'standby', words: 'draining' },
  gone: { tone: 'dark', words: 'gone' },
  failed: { tone: 'dark', words: 'failed' },
};

export function stageWords(stage: string): StageWords {
  return STAGES[stage] ?? { tone: 'standby', words: words(stage) };
}

/** How a registered adapter stands, over all engines. */
export function adapterState(adapter: AdapterView): StageWords {
  const { replicas, failure, is_published: isPublished } = adapter;
  const at = (stage: string): number => replicas.filter((one) => one.stage === stage).length;
  const [loading, verifying, draining, resident] = [
    at('loading') + at('staged'),
    at('verifying'),
    at('draining'),
    at('resident'),
  ];
  if (loading + verifying > 0)
    return { tone: 'standby', words: verifying > 0 && loading === 0 ? 'verifying' : 'loading' };
  if (draining > 0 && resident === 0) return { tone: 'standby', words: 'draining' };
  if (isPublished)
    return {
      tone: 'go',
      words:
        resident === 0
          ? 'published, on no engine now'
          : `published, on ${resident} ${resident === 1 ? 'engine' : 'engines'}`,
    };
  if (failure !== null) return { tone: 'dark', words: 'failed' };
  return { tone: 'off', words: 'registered' };
}
