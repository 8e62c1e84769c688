/**
 * What a frame is made of: items, each with what it means and how it is tied to the rest.
 */

export interface Item {
  readonly concepts: readonly string[];
  /** What it costs when the other text has no such item. */
  readonly weight: number;
  /** Without a counterpart the two texts never mean the same. */
  readonly isDecisive: boolean;
  readonly isPlural: boolean | null;
  readonly gender: 'm' | 'f' | null;
  /** Of a word that no list knows: how it is written. */
  readonly written: string | null;
  /** How it is tied to the rest; `core`: who, what is done, to whom, in this order. */
  readonly ties: readonly string[];
  readonly denials: number;
  /** "Is" as the verb: where it stands says nothing. */
  readonly isBeing: boolean;
}

export interface Frame {
  readonly items: readonly Item[];
  readonly isPast: boolean;
  readonly isPresent: boolean;
  /** Equal for frames that are equal in everything. */
  readonly key: string;
}

/** An item while the text is read: what the word order is set right by. */
export type Draft = { -readonly [K in keyof Item]: Item[K] } & {
  isVerb: boolean;
  isThing: boolean;
  isPassive: boolean;
  isGiving: boolean;
  isInflected: boolean;
  /** Comes, stands, lies: what may come before who does it. */
  isStanding: boolean;
  /** Told by "of", behind what is owned. */
  isBehind: boolean;
  isOwning: boolean;
  owned: Draft | null;
  clause: number;
};

export const CORE: readonly string[] = ['core'];
export const OWNER: readonly string[] = ['of'];
export const WITHOUT: readonly string[] = ['without'];
export const TO_WHOM: readonly string[] = ['to'];
export const MANNER: readonly string[] = ['manner'];
