/**
 * The state of one reply across all its attempts: what was said, what it cost, which rules were hit. A sentence is
 * committed when it is handed out; from then on it is history that the next attempt goes on from.
 */
import type { Cause, Usage } from '../core/dialogue.ts';
import type { GuardHit } from '../core/turn.ts';
import { countWords } from '../lib/text/words.ts';
import type { CompiledGuard, GuardRule } from './guard.ts';
import { guardSentence } from './guard.ts';
import { joinOnto } from './join.ts';
import { makeSpeakable } from './speakable.ts';

export interface ReplyLimits {
  readonly maxSentences: number;
  readonly maxWords: number;
}

export interface ReplyScene {
  readonly guard: CompiledGuard;
  readonly revealedSecrets: ReadonlySet<number>;
  readonly recentLines: readonly string[];
  readonly playerText: string;
  readonly npcName: string;
  readonly speakerNames: readonly string[];
  readonly limits: ReplyLimits;
}

/** What became of one raw sentence of an engine. */
export type Judged =
  | { readonly kind: 'say'; readonly text: string }
  /** Nothing was left to say after cleaning: a stage direction, a bare label. */
  | { readonly kind: 'nothing' }
  /** The model began to speak for somebody else: what it has said so far is the whole reply. */
  | { readonly kind: 'over' }
  | { readonly kind: 'blocked'; readonly rule: GuardRule };

export class Reply {
  readonly #scene: ReplyScene;
  readonly committed: string[] = [];
  readonly guardHits: GuardHit[] = [];
  #words = 0;
  #spent: Usage = { promptTokens: 0, cachedTokens: 0, completionTokens: 0, costMicroUsd: 0 };
  /** Whether the next sentence is the first of an engine that goes on with another's speech. */
  #isJoining = false;

  constructor(scene: ReplyScene) {
    this.#scene = scene;
  }

  /** What the next attempt goes on from. */
  get assistantPrefix(): string {
    return this.committed.join(' ');
  }

  get isFull(): boolean {
    const { maxSentences, maxWords } = this.#scene.limits;
    // Under four words left there is no sentence worth waiting for.
    return this.committed.length >= maxSentences || maxWords - this.#words < 4;
  }

  commit(text: string): void {
    this.#isJoining = false;
    this.committed.push(text);
    this.#words += countWords(text);
  }

  /** An engine begins; when something was said already, its first words are joined onto that. */
  beginAttempt(): void {
    this.#isJoining = this.committed.length > 0;
  }

  /** Cleans one raw sentence and holds it against the guard. */
  judge(raw: string): Judged {
    const { npcName, speakerNames, limits, ...context } = this.#scene;
    const { text: speakable, changed } = makeSpeakable(raw, { npcName, speakerNames });
    for (const rule of changed) this.guardHits.push({ rule, outcome: 'cleaned' });
    const isOver = changed.includes('other_speaker');
    if (speakable === '') return { kind: isOver ? 'over' : 'nothing' };
    const text = this.#isJoining ? joinOnto(this.committed, speakable) : speakable;
    if (text !== speakable)
      this.guardHits.push({ rule: 'join', outcome: text === null ? 'dropped' : 'cleaned' });
    if (text === null) return { kind: 'nothing' };
    const verdict = guardSentence(text, context.guard, {
      revealedSecrets: context.revealedSecrets,
      recentLines: context.recentLines,
      committed: this.committed,
      playerText: context.playerText,
      maxWords: Math.max(1, limits.maxWords - this.#words),
    });
    if (verdict.verdict === 'pass') {
      if (verdict.rule !== undefined) this.guardHits.push({ rule: verdict.rule, outcome: 'cleaned' });
      return { kind: 'say', text: verdict.text };
    }
    return { kind: 'blocked', rule: verdict.rule };
  }

  /** Whether these sentences, said before to whomever, may be said as this whole reply, word for word. Nothing is noted. */
  mayAllSay(sentences: readonly string[]): boolean {
    if (this.committed.length > 0) return false;
    const { guard, revealedSecrets, recentLines, playerText, limits } = this.#scene;
    let words = 0;
    return sentences.every((text, index) => {
      const maxWords = Math.max(1, limits.maxWords - words);
      words += countWords(text);
      const context = {
        revealedSecrets,
        recentLines,
        playerText,
        maxWords,
        committed: sentences.slice(0, index),
      };
      const verdict = guardSentence(text, guard, context);
      return verdict.verdict === 'pass' && verdict.text === text;
    });
  }

  /** Whether nothing of it was replaced or left out. */
  get isWhole(): boolean {
    return this.guardHits.every(({ outcome }) => outcome !== 'replaced');
  }

  /** Adds what one attempt has spent; called once for each, however it ended. */
  addSpent(spent: Usage): void {
    this.#spent = {
      promptTokens: this.#spent.promptTokens + spent.promptTokens,
      cachedTokens: this.#spent.cachedTokens + spent.cachedTokens,
      completionTokens: this.#spent.completionTokens + spent.completionTokens,
      costMicroUsd: this.#spent.costMicroUsd + spent.costMicroUsd,
    };
  }

  get usage(): Usage {
    return this.#spent;
  }
}

/** A stopped sentence as the cause that written lines are chosen by. */
export function causeOfRule(rule: GuardRule): Cause {
  return rule === 'repetition' || rule === 'loop' || rule === 'echo' ? 'repetition' : 'safety';
}
