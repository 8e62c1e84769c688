/**
 * What the gateway says, as the console reads it (the public contract, v1). The console shares no code with the
 * service, only this wire; fields that an older or newer gateway may leave out are optional here.
 */

export interface NpcSummary {
  readonly npc_id: string;
  readonly name: string;
  readonly kind: string;
  readonly tier: number;
  readonly summary?: string;
}

export interface Sentence {
  readonly index: number;
  readonly text: string;
  readonly est_ms?: number;
  readonly source?: string;
  readonly line_id?: string;
}

export interface Action {
  readonly name: string;
  readonly params?: Readonly<Record<string, unknown>>;
  readonly ttl_ms?: number;
}

export interface Source {
  readonly kind: string;
  readonly engine: string;
  readonly model?: string | null;
  readonly model_version?: string | null;
  /** The adapter that spoke, `lich@8`; null: the base. */
  readonly adapter?: string | null;
  /** Rises whenever another version comes to the name. */
  readonly adapter_generation?: number;
  /** The adapter that was wanted and did not speak, and why. */
  readonly adapter_missing?: { readonly adapter: string; readonly reason: string };
  /** The prompt was kept short, so that the first sentence came in time. */
  readonly lean_prompt?: boolean;
  readonly rung: number;
  readonly cause?: string | null;
}

export interface Outcome {
  readonly id: string;
  readonly npc_id: string;
  readonly finish_reason: string;
  readonly tier: number;
  readonly source: Source;
  readonly usage: {
    readonly prompt_tokens: number;
    readonly cached_tokens: number;
    readonly completion_tokens: number;
    readonly cost_usd: number;
  };
  readonly timing: {
    readonly queue_ms: number;
    readonly ttft_ms: number | null;
    readonly ttfs_ms: number | null;
    readonly total_ms: number;
  };
  readonly conversation?: {
    readonly id: string;
    readonly timeline_id?: string;
    readonly turn?: number;
    readonly stored?: boolean;
  };
}

export interface WireError {
  readonly code: string;
  readonly message: string;
  readonly retryable?: boolean;
}

export type DialogueEvent =
  | { readonly type: 'accepted'; readonly data: { readonly id: string; readonly tier: number } }
  | { readonly type: 'filler'; readonly data: { readonly line_id?: string; readonly text: string } }
  | { readonly type: 'sentence'; readonly data: Sentence }
  | { readonly type: 'action'; readonly data: Action }
  | { readonly type: 'done'; readonly data: Outcome }
  | { readonly type: 'error'; readonly data: WireError };

export interface DialogueBody {
  readonly npc_id: string;
  readonly prompt: string;
  readonly trigger?: string;
  readonly tier?: number;
  /** Without one nothing is remembered. */
  readonly conversation_id?: string;
  readonly context?: { readonly player_id?: string; readonly location?: string; readonly mood?: string };
  readonly temperature?: number;
  readonly deadline_ms?: number;
  /** Instead of the persona's own; null: the base. For operators. */
  readonly adapter?: string | null;
}

export interface Readiness {
  readonly ready: boolean;
  readonly stage: string;
  readonly detail?: string | null;
  readonly percent?: number | null;
}

export interface EngineStatus {
  readonly name: string;
  readonly kind?: string;
  readonly stage?: string;
  readonly model?: string | null;
  readonly model_version?: string | null;
  /** Of the engine itself, as it says. */
  readonly version?: string | null;
  readonly breaker?: string;
  /** Why no line may go there now; null when one may. */
  readonly unusable?: string | null;
  readonly running?: number;
  readonly waiting?: number;
  readonly restarts?: number;
  readonly pid?: number | null;
  readonly reason?: string | null;
}

export interface ServiceStatus {
  readonly version?: string;
  readonly uptime_s?: number;
  readonly engines?: readonly EngineStatus[];
  readonly dialogues?: { readonly active: number };
  readonly store?: { readonly kind: string; readonly healthy: boolean; readonly failure?: string | null };
  readonly event_loop_delay_ms_p99?: number | null;
}

interface Amounts {
  readonly spent_usd: number;
  /** The most that calls under way may cost. */
  readonly held_usd: number;
}

export interface SpendingStatus {
  /** Whether the operator stopped all paid calls. */
  readonly off: boolean;
  /** Of this gateway. */
  readonly calls_in_flight: number;
  /** Today (UTC) over all gateways of the store; null while the store cannot be asked. */
  readonly day:
    | (Amounts & { readonly date: string; readonly tiers: Readonly<Record<string, Amounts>> })
    | null;
}

export interface JobBody {
  readonly prompt: string;
  readonly tier: number;
  readonly npc_id?: string;
  readonly max_tokens?: number;
}

export interface Job {
  readonly id: string;
  readonly status: string;
  readonly npc_id?: string;
  readonly tier: number;
  /** Epoch milliseconds, as the other two. */
  readonly created_at: number;
  readonly started_at?: number;
  readonly ended_at?: number;
  readonly result?: {
    readonly text: string;
    readonly finish_reason: string;
    readonly engine: string;
    readonly model: string | null;
    readonly usage: Outcome['usage'];
  };
  readonly error?: { readonly code: string; readonly reason?: string; readonly message: string };
}

export type JobEvent =
  | { readonly type: 'status'; readonly data: Pick<Job, 'id' | 'status'> }
  | { readonly type: 'done'; readonly data: Job }
  | { readonly type: 'error'; readonly data: WireError };

export interface Persona {
  readonly id: string;
  readonly version?: number;
  readonly name: string;
  readonly nickname?: string;
  readonly pronouns?: string;
  readonly tags?: readonly string[];
  readonly monster_type?: string;
  readonly tier?: number;
  readonly summary?: string;
  readonly identity?: {
    readonly role?: string;
    readonly age?: string;
    readonly era?: string;
    readonly background?: string;
    readonly appearance?: string;
  };
  readonly personality?: {
    readonly traits?: readonly string[];
    readonly flaws?: readonly string[];
    readonly fears?: readonly string[];
  };
  readonly goals?: readonly { readonly text: string; readonly when?: string }[];
  readonly voice?: {
    readonly register?: string;
    readonly rhythm?: string;
    readonly tics?: readonly string[];
    readonly words_use?: readonly string[];
    readonly words_avoid?: readonly string[];
    readonly language?: string;
  };
  readonly style?: {
    readonly max_words?: number;
    readonly combat_max_words?: number;
    readonly first_sentence_max_words?: number;
    readonly person?: string;
  };
  readonly examples?: readonly {
    readonly situation?: string;
    readonly player: string;
    readonly npc: string;
  }[];
  readonly knowledge?: {
    readonly knows?: readonly string[];
    readonly unknown?: readonly string[];
    readonly time_point?: string;
    readonly deflections?: readonly string[];
  };
  readonly secrets?: readonly {
    readonly text: string;
    readonly reveal_when?: string;
    readonly canaries?: readonly string[];
  }[];
  readonly relationships?: readonly {
    readonly target: string;
    readonly stance?: number;
    readonly facts?: readonly string[];
  }[];
  readonly forbidden?: {
    readonly topics?: readonly string[];
    readonly phrases?: readonly string[];
    readonly behaviours?: readonly string[];
  };
  readonly refusals?: readonly string[];
  readonly greetings?: readonly string[];
}

export interface NpcDetail {
  readonly persona: Persona;
  readonly prompt: {
    readonly messages: readonly { readonly role: string; readonly content: string }[];
    readonly prompt_tokens: number;
  };
  /** Speaker, then trigger: how many written lines there are. */
  readonly line_counts: Readonly<Record<string, Readonly<Record<string, number>>>>;
}

export interface WrittenLine {
  readonly id: string;
  readonly speaker: string;
  readonly trigger: string;
  readonly text: string;
  readonly when?: readonly string[] | string | null;
  readonly mood?: string | null;
  readonly status?: string | null;
}
