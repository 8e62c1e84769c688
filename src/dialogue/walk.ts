/** What one dialogue carries from rung to rung: what it may use, what it was asked, and what is told of it at the end. */
import type { AdapterKeeper } from '../core/adapter.ts';
import type { DialogueRequest, FinishReason, Source } from '../core/dialogue.ts';
import type { Engine } from '../core/engine.ts';
import type { Clock, Logger } from '../core/runtime.ts';
import type { AttemptRecord } from '../core/turn.ts';
import type { HedgeAllowance } from '../routing/hedge.ts';
import type { BudgetOptions, HedgingOptions } from '../routing/options.ts';
import type { Pool } from '../routing/pool.ts';
import type { ModelVersions } from '../routing/versions.ts';
import type { Spending } from '../spending/spending.ts';
import type { Reply } from './reply.ts';
import type { Scene } from './scene.ts';
import type { Prompts, Script } from './script.ts';

export interface LadderParts {
  readonly pools: ReadonlyMap<string, Pool>;
  readonly versions: ModelVersions;
  readonly adapters: AdapterKeeper;
  /** Most milliseconds that a line waits for its adapter. */
  readonly adapterWaitMs: number;
  readonly written: Engine;
  readonly prompts: Prompts;
  readonly spending: Spending;
  readonly hedges: HedgeAllowance;
  readonly options: { readonly budgets: BudgetOptions; readonly hedging: HedgingOptions };
  /** Told where a prefix was read last. */
  readonly onPrefix: (prefixKey: string, replica: string) => void;
  /** Told whose line had no word in time: what its prompts begin with may never have been read to the end. */
  readonly onCold: (npcId: string) => void;
  readonly clock: Clock;
  readonly log: Logger;
}

/** What the door learns while the ladder speaks. */
export interface Told {
  queueMs: number;
  ttftMs: number | null;
  /** When the first sentence left. */
  firstSentenceMonoMs: number | null;
  source: Source | null;
  finishReason: FinishReason;
  /** The number that this turn will have in its conversation; null until the memory was asked. */
  nextTurn: number | null;
  readonly attempts: AttemptRecord[];
  /** Called with the milliseconds until the first sentence, whenever a new engine is about to be asked. */
  readonly onExpected: (firstSentenceMs: number) => void;
}

/** One dialogue on its way down. */
export interface Walk {
  readonly request: DialogueRequest;
  readonly scene: Scene;
  readonly reply: Reply;
  readonly told: Told;
  readonly script: Script;
  readonly leftMs: () => number;
  /** Until the first sentence must be out; once it is, as `leftMs`. */
  readonly sentenceLeftMs: () => number;
  /** Hosts that did not answer: a lower rung at the same host is not tried. */
  readonly deadOrigins: Set<string>;
  /** Hosts that dropped one connection, which may be one that was kept too long; a second one is no accident. */
  readonly droppedOrigins: Set<string>;
  /** A line waits for its adapter once; on a lower rung or after a failure the base speaks at once. */
  hasWaited: boolean;
}
