/** Learned lines as the gateway tells them. */

export interface Candidate {
  readonly id: string;
  readonly text: string;
  readonly speaker: string;
  readonly kind: string;
  /** Null: it was an answer; somebody must say when to use it. */
  readonly trigger: string | null;
  readonly locale: string;
  readonly heard: number;
  readonly players: number;
  readonly interrupted: number;
  readonly interrupted_share: number;
  readonly cached: number;
  readonly clean: number;
  readonly npcs: Readonly<Record<string, number>>;
  readonly places: Readonly<Record<string, number>>;
  readonly voice: string;
  readonly variants: readonly string[];
  readonly first_heard_at_ms: number;
  readonly last_heard_at_ms: number;
}

export interface LineChoices {
  readonly speakers: readonly string[];
  readonly triggers: readonly string[];
}

export interface Offer {
  readonly data: readonly Candidate[];
  /** Lines that are being counted, offered or not. */
  readonly known: number;
  /** By reason, how many lines were heard as often and are not offered. */
  readonly refused: Readonly<Record<string, number>>;
  readonly thresholds: {
    readonly heard_min: number;
    readonly players_min: number;
    readonly interrupted_share_max: number;
  };
  readonly choices: LineChoices;
}

/** What of a candidate is approved. */
export interface LineWish {
  readonly text: string;
  readonly speaker: string;
  readonly trigger: string;
  readonly when: readonly string[];
  readonly mood: string | null;
  readonly locale: string;
}

export interface LearnedLine extends LineWish {
  readonly id: string;
  readonly status: 'approved' | 'retired';
  readonly original: string;
  readonly heard: number;
  readonly players: number;
  readonly approved_by: string;
  readonly approved_at_ms: number;
  readonly retired_by: string | null;
  readonly retired_at_ms: number | null;
}

export type ExportFormat = 'csv' | 'yarn' | 'unreal';

export interface ExportedFile {
  readonly file_name: string;
  readonly content_type: string;
  readonly count: number;
  readonly text: string;
}
