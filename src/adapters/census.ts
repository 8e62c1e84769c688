/**
 * What engines hold, against what we believe. Asked when an engine comes, and now and then: an engine may restart behind its
 * address, forget, or finish a load that we had given up. What did not move while we asked is put right; the rest is looked
 * at the next time.
 */
import type { AdapterEvent } from '../core/adapter-event.ts';
import type { Clock, Logger } from '../core/runtime.ts';
import { adapterNumber } from './address.ts';
import { type Holdings, loadsByCall } from './holdings.ts';
import type { KeptReplica } from './kept-replica.ts';
import type { Place } from './place.ts';

export interface CensusParts {
  readonly holdings: Holdings;
  readonly clock: Clock;
  readonly log: Logger;
  /** Reads the desired document. */
  readonly refresh: () => Promise<void>;
  readonly onEvent: (event: AdapterEvent) => void;
  readonly onMove: () => void;
}

export class Census {
  readonly #parts: CensusParts;

  constructor(parts: CensusParts) {
    this.#parts = parts;
  }

  /**
   * Of an engine that has just come: what should be back before traffic. It is what it holds, what is pinned, what it had
   * before, and what is tagged and nowhere else; as many as there are slots. Aborting rejects.
   */
  async restores(
    kept: KeptReplica,
    before: ReadonlySet<string>,
    signal: AbortSignal,
  ): Promise<ReadonlySet<string>> {
    const { holdings } = this.#parts;
    await kept.learnCapacity(signal);
    const held = (await this.#ask(kept, signal)) ?? [];
    this.#adopt(kept, held);
    const rank = (engineName: string) =>
      held.includes(engineName) ? 0 : holdings.isPinned(engineName) ? 1 : before.has(engineName) ? 2 : 3;
    const wanted = [...holdings.snapshot.adapters]
      .filter(([, { record }]) => record?.base === kept.replica.base)
      .filter(
        ([engineName, { isTagged, published }]) =>
          held.includes(engineName) ||
          before.has(engineName) ||
          ((isTagged || published.isPinned) && holdings.isNowhere(engineName)),
      )
      .map(([engineName]) => engineName)
      .sort((a, b) => rank(a) - rank(b));
    const { slots, foreign } = kept.size();
    return new Set(wanted.slice(0, Math.max(0, slots - foreign)));
  }

  /** Compares, and puts right what did not move meanwhile. False when the engine does not say. Never throws. */
  async audit(kept: KeptReplica): Promise<boolean> {
    const before = new Map([...kept.places.values()].map((place) => [place, place.moves]));
    const known = new Set(kept.places.keys());
    // What another gateway has just published is not left over from another life.
    await this.#parts.refresh();
    const list = await this.#ask(kept, kept.signal).catch(() => null);
    if (list === null || kept.signal.aborted) return false;
    const held = new Set(list);
    // What had a place and has none now was given up while the engine answered.
    this.#adopt(
      kept,
      list.filter((engineName) => !known.has(engineName)),
    );
    for (const [place, moves] of before)
      if (place.moves === moves) this.#putRight(kept, place, held.has(place.engineName));
    this.#parts.onMove();
    return true;
  }

  /** The engine does not hold what we believed. */
  lost(kept: KeptReplica, place: Place): void {
    if (place.stage !== 'resident') return;
    place.move('gone', 'the engine does not hold it any more');
    this.#parts.onEvent({ type: 'lost', engine: kept.name, id: place.id });
    this.#parts.log.warn('adapter.lost', { engine: kept.name, adapter: place.engineName });
    this.#parts.onMove();
  }

  #putRight(kept: KeptReplica, place: Place, isThere: boolean): void {
    const isOut = place.stage === 'gone' || place.stage === 'failed';
    if (!isThere) {
      this.lost(kept, place);
      return;
    }
    if (!isOut) return;
    // From an engine that takes none by a call none can be taken either: it is verified again, or left alone.
    if (loadsByCall(kept.replica)) kept.drain(place, place.reason ?? 'the engine holds what it should not');
    else if (place.stage === 'gone' && this.#parts.clock.monotonicMs() >= place.notBeforeMonoMs)
      kept.load(place);
  }

  /** What is there although nobody here asked for it (it was loaded before we came, or late) is verified and used. */
  #adopt(kept: KeptReplica, held: readonly string[]): void {
    const { holdings } = this.#parts;
    for (const engineName of held) {
      const record = holdings.record(engineName);
      if (record === null || kept.places.has(engineName)) continue;
      const place = holdings.newPlace(kept, record);
      place.payer = 'restore';
      place.move('loading', 'the engine holds it already');
      kept.load(place);
    }
  }

  /** What it holds of ours; null when it does not answer. What nobody publishes any more is dismissed. */
  async #ask(kept: KeptReplica, signal: AbortSignal): Promise<readonly string[] | null> {
    const { holdings } = this.#parts;
    const list = await kept.list([...holdings.addresses(kept).values()], signal);
    if (list === null) return null;
    // Who does not know what is published would take from every gateway what all of them serve.
    const mayDismiss = kept.replica.engine.traits.unloads !== 'never' && holdings.snapshot.isCurrent;
    for (const engineName of list.stale) {
      const isOurs = kept.places.has(engineName) || holdings.isPublished(engineName);
      if (mayDismiss && !isOurs && holdings.keptTargets(engineName) === null)
        await kept.dismiss({ engineName, number: adapterNumber(engineName.slice(-8)) }, signal);
    }
    return list.held;
  }
}
