/**
 * A story of adapters, told step by step against the real keeper and publisher over engines that know which weights stand
 * behind which name. Whatever the steps, the rules hold; each that broke is named. It is a property's whole world: the same
 * steps give the same story.
 */

import { changeDesired, inOrder, moveTag, publishVersion, unpublishVersion } from '../adapters/desired.ts';
import { type AdapterTag, adapterId, engineNameOf, type ResolvedAdapter } from '../core/adapter.ts';
import type { Logger } from '../core/runtime.ts';
import type { AdapterEngine, LoadFault } from './adapter-engine.ts';
import { AdapterHouse, aRecord } from './adapter-house.ts';

export const STORY_IDS = ['lich@1', 'lich@2', 'lich@3', 'ghoul@1', 'ghoul@2', 'vampire@1'] as const;
export type StoryId = (typeof STORY_IDS)[number];
export const STORY_REFERENCES = ['lich', 'lich@canary', 'ghoul', 'vampire', 'lich@1', 'ghoul@2'] as const;
const ENGINES = [
  { name: 'one', slots: 1, loadMs: 40 },
  { name: 'two', slots: 2, loadMs: 60, traits: { stallsWhileLoading: true } },
  { name: 'three', slots: 3, loadMs: 20 },
] as const;
export const STORY_ENGINES = ENGINES.length;

export type StoryStep =
  | { readonly do: 'publish'; readonly id: StoryId; readonly tag: AdapterTag | null; readonly pin: boolean }
  | { readonly do: 'abort publish' }
  | { readonly do: 'unpublish'; readonly id: StoryId; readonly force: boolean }
  | { readonly do: 'pin'; readonly id: StoryId; readonly isPinned: boolean }
  | {
      readonly do: 'speak';
      readonly reference: (typeof STORY_REFERENCES)[number];
      readonly priority: 'interactive' | 'ambient' | 'hint';
      readonly waitMs: number;
      readonly speaksMs: number;
    }
  | { readonly do: 'die'; readonly engine: number; readonly isSilent: boolean }
  | { readonly do: 'lose connection'; readonly engine: number }
  | { readonly do: 'come back'; readonly engine: number }
  | { readonly do: 'fault'; readonly engine: number; readonly fault: LoadFault | 'unload refused' }
  | { readonly do: 'store'; readonly isDown: boolean }
  | { readonly do: 'elsewhere published'; readonly id: StoryId }
  | { readonly do: 'elsewhere unpublished'; readonly id: StoryId }
  | { readonly do: 'pass'; readonly ms: number };

const never = new AbortController().signal;
/** Every retry, time limit and backoff is over within it. */
const QUIET_MS = 1_800_000;
/** A timer rings at most so late on this clock, and a wish ends a turn later. */
const LATE_MS = 5;

/** Resolves to the rules that the story broke; none, if all is well. */
export async function tellStory(steps: readonly StoryStep[], seed: string): Promise<readonly string[]> {
  const story = new Story(seed);
  try {
    await story.begin();
    for (const step of steps) await story.take(step);
    await story.comeToRest();
  } finally {
    await story.end();
  }
  return [...story.broken];
}

class Story {
  readonly broken = new Set<string>();
  readonly #house: AdapterHouse;
  readonly #isUp = new Set<AdapterEngine>();
  /** Lives of engines, to tell a lease on a dead one from a wrong one. */
  readonly #lives = new Map<AdapterEngine, number>();
  readonly #spokenWith = new Map<AdapterEngine, Map<string, number>>();
  readonly #pending = new Map<string, Promise<unknown>>();
  readonly #publishes: AbortController[] = [];
  #count = 0;

  constructor(seed: string) {
    const log: Logger = {
      debug: () => {},
      info: () => {},
      warn: () => {},
      error: (event, fields) => {
        if (event !== 'adapter.publish-not-undone') this.#break(`${event}: ${JSON.stringify(fields)}`);
      },
      child: () => log,
    };
    this.#house = new AdapterHouse({ engines: ENGINES, seed, log, options: { pollMs: 2_000 } });
    for (const engine of this.#house.engines) {
      this.#lives.set(engine, 0);
      this.#spokenWith.set(engine, new Map());
      engine.onUnload = (engineName) => {
        if ((this.#spokenWith.get(engine)?.get(engineName) ?? 0) > 0)
          this.#break(`${engineName} was unloaded while a line spoke with it`);
      };
    }
  }

  async begin(): Promise<void> {
    for (const id of STORY_IDS) await this.#house.add(id);
    await this.#house.open();
    for (const engine of this.#house.engines) this.#isUp.add(engine);
  }

  async take(step: StoryStep): Promise<void> {
    const { publisher, store, clock } = this.#house;
    switch (step.do) {
      case 'publish': {
        const controller = new AbortController();
        this.#publishes.push(controller);
        const { id, tag, pin } = step;
        this.#follow(
          `publish ${id}`,
          publisher.publish(
            versionOf(id),
            { tag, pin },
            ({ stage }) => {
              if (stage === 'switching') this.#checkSwitched(id);
            },
            controller.signal,
          ),
        );
        break;
      }
      case 'abort publish':
        this.#publishes.pop()?.abort(new Error('the operator has left'));
        break;
      case 'unpublish':
        this.#follow(
          `unpublish ${step.id}`,
          publisher.unpublish(versionOf(step.id), step, () => {}, never),
        );
        break;
      case 'pin':
        this.#follow(`pin ${step.id}`, publisher.pin(versionOf(step.id), step.isPinned));
        break;
      case 'speak':
        this.#speak(step);
        break;
      case 'die': {
        const engine = this.#engine(step.engine);
        engine.die();
        this.#newLife(engine);
        // A supervisor that is quicker than our watch: the same address, another process.
        if (step.isSilent) engine.revive();
        else this.#disconnect(engine, step.engine);
        break;
      }
      case 'lose connection':
        this.#disconnect(this.#engine(step.engine), step.engine);
        break;
      case 'come back':
        this.#comeBack(this.#engine(step.engine));
        break;
      case 'fault': {
        const engine = this.#engine(step.engine);
        if (step.fault === 'unload refused') engine.unloadFaults.push('refused');
        else engine.faults.push(step.fault);
        break;
      }
      case 'store':
        store.isDown = step.isDown;
        break;
      case 'elsewhere published': {
        const record = aRecord(step.id);
        const change = inOrder(
          publishVersion(record, { atMs: clock.nowMs() }),
          moveTag(record.name, 'stable', record.version),
        );
        this.#follow('elsewhere', changeDesired(store, change));
        break;
      }
      case 'elsewhere unpublished':
        this.#follow('elsewhere', changeDesired(store, unpublishVersion(step.id, { force: true })));
        break;
      case 'pass':
        await this.#house.pass(step.ms);
    }
    await this.#house.pass(1);
    this.#checkPlaces();
  }

  /** All is well again, and time passes: everything that was begun must have come to an end. */
  async comeToRest(): Promise<void> {
    const { store, engines, residency } = this.#house;
    store.isDown = false;
    for (const engine of engines) {
      engine.faults.length = 0;
      engine.unloadFaults.length = 0;
      this.#comeBack(engine);
    }
    await this.#house.pass(QUIET_MS);
    for (const what of this.#pending.keys()) this.#break(`never ended: ${what.replace(/^\d+ /, '')}`);
    const published = new Map(residency.desired.published.map((each) => [engineNameOf(each), each]));
    const tagged = [...published.values()].filter(({ name, version }) =>
      Object.values(residency.desired.tags[name] ?? {}).some((each) => each.version === version),
    );
    const views = residency.views();
    for (const [index, engine] of engines.entries()) {
      const view = views.find((each) => each.engine === ENGINES[index]?.name);
      if (view?.isUp !== true) this.#break('an engine did not come back');
      const isResident = (name: string) =>
        view?.adapters.some((each) => each.engineName === name && each.stage === 'resident') ?? false;
      for (const [engineName, digest] of engine.weights) {
        if (!published.has(engineName)) this.#break('what is not published stays in an engine');
        else if (!isResident(engineName)) this.#break('an engine holds what nobody keeps');
        else if (digest !== published.get(engineName)?.digest) this.#break('wrong weights stay resident');
      }
      for (const { stage } of view?.adapters ?? [])
        if (!['resident', 'failed', 'gone'].includes(stage)) this.#break(`stays ${stage} for ever`);
    }
    const failed = new Set(
      views.flatMap(({ adapters }) => adapters.filter(({ failures }) => failures > 0).map(({ id }) => id)),
    );
    const pinned = [...published.values()].filter(({ isPinned }) => isPinned);
    const places = ENGINES.reduce((sum, { slots }) => sum + slots, 0);
    // Pinned copies may lie anywhere, and fill what others would need.
    if (pinned.length === 0 && tagged.length <= places)
      for (const each of tagged)
        if (residency.residentAt(engineNameOf(each)).length === 0 && !failed.has(adapterId(each)))
          this.#break('a tagged adapter is nowhere although there is room');
  }

  async end(): Promise<void> {
    await this.#house.settle(this.#house[Symbol.asyncDispose]());
    if (this.#house.clock.waiting > 0) {
      await this.#house.pass(QUIET_MS);
      if (this.#house.clock.waiting > 0) this.#break('a timer is left behind');
    }
  }

  /** One line, as a dialogue does it: resolve, want, lease, speak, give back. */
  #speak(step: Extract<StoryStep, { do: 'speak' }>): void {
    const { residency, clock } = this.#house;
    const adapter = residency.resolve(step.reference);
    if (typeof adapter === 'string') return;
    const names = ENGINES.map(({ name }) => name);
    const startedMonoMs = clock.monotonicMs();
    const line = async () => {
      const { priority, waitMs } = step;
      const absence = await residency.want(adapter, names, { priority, waitMs, tier: 2 }, never);
      const waitedMs = clock.monotonicMs() - startedMonoMs;
      if (waitedMs > waitMs + LATE_MS) this.#break('a wish outlived its time');
      const where = residency.residentAt(adapter.engineName);
      if (absence === null && where.length === 0) this.#break('it was said to be there and is nowhere');
      const [replica] = where;
      if (replica === undefined || priority === 'hint') return;
      await this.#useLease(adapter, replica, step.speaksMs);
    };
    this.#follow('speak', line());
  }

  async #useLease(adapter: ResolvedAdapter, replica: string, speaksMs: number): Promise<void> {
    const { residency, clock } = this.#house;
    const engine = this.#engine(ENGINES.findIndex(({ name }) => name === replica));
    const lease = residency.lease(adapter, replica);
    if (lease === null) return;
    if (!this.#isUp.has(engine)) this.#break('a lease at an engine that is not connected');
    const life = this.#lives.get(engine);
    const spoken = this.#spokenWith.get(engine);
    const { engineName } = adapter;
    const check = () => {
      const digest = engine.weights.get(engineName);
      // An engine that died answers that it does not know the name: no line is wrong.
      const isLost = digest === undefined && (engine.isDead || this.#isReborn(engine, engineName));
      if (isLost) lease.lost();
      if (isLost) return false;
      if (digest !== aRecord(adapter.id).digest)
        this.#break(`a line spoke with ${digest === undefined ? 'nothing' : 'the wrong weights'}`);
      return true;
    };
    if (!check()) {
      // The engine refused the line, and whoever spoke gave up.
      lease[Symbol.dispose]();
      return;
    }
    spoken?.set(engineName, (spoken.get(engineName) ?? 0) + 1);
    if (speaksMs > 0) await clock.sleep(speaksMs, never);
    if (this.#lives.get(engine) === life) {
      spoken?.set(engineName, (spoken.get(engineName) ?? 1) - 1);
      check();
    }
    lease[Symbol.dispose]();
  }

  /** Whether it has not been loaded since the engine's process began anew. */
  #isReborn(engine: AdapterEngine, engineName: string): boolean {
    return (this.#lives.get(engine) ?? 0) > 0 && !engine.weights.has(engineName);
  }

  #checkSwitched(id: StoryId): void {
    const isVerified = this.#house.events.some((event) => event.type === 'loaded' && event.id === id);
    if (!isVerified) this.#break('a version serves that was never verified');
  }

  #checkPlaces(): void {
    if (this.#house.broken.includes('adapter.turn-broke')) this.#break('a turn broke');
    for (const { engine, slots, slotsUsed } of this.#house.residency.views())
      if (slots !== null && slotsUsed > slots) this.#break(`${engine} holds more than its slots`);
    for (const engine of this.#house.engines)
      if (engine.roomless > 0) this.#break('an engine was asked for a slot that it has not');
  }

  #disconnect(engine: AdapterEngine, index: number): void {
    this.#isUp.delete(engine);
    // Leases of a lost connection are void: what it does to them counts no longer.
    this.#newLife(engine);
    this.#house.residency.replicaDown(ENGINES[index]?.name ?? '');
  }

  #comeBack(engine: AdapterEngine): void {
    engine.revive();
    if (this.#isUp.has(engine)) return;
    this.#isUp.add(engine);
    this.#follow('replica up', this.#house.residency.replicaUp(engine.replica(), never));
  }

  #newLife(engine: AdapterEngine): void {
    this.#lives.set(engine, (this.#lives.get(engine) ?? 0) + 1);
    this.#spokenWith.get(engine)?.clear();
  }

  #engine(index: number): AdapterEngine {
    return this.#house.engines[index] as AdapterEngine;
  }

  #follow(what: string, promise: Promise<unknown>): void {
    const key = `${++this.#count} ${what}`;
    const end = () => {
      this.#pending.delete(key);
    };
    this.#pending.set(key, promise.then(end, end));
  }

  #break(rule: string): void {
    this.broken.add(rule);
  }
}

function versionOf(id: StoryId): { readonly name: string; readonly version: string } {
  const [name = '', version = ''] = id.split('@');
  return { name, version };
}
