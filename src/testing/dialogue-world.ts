/** One NPC, scripted engines and everything between them: what the tests of the walk speak to. */
import assert from 'node:assert/strict';
import { createCast } from '../cast/cast.ts';
import { HeardLines } from '../cast/heard-lines.ts';
import { ConversationMemory } from '../cast/memory.ts';
import { parsePersona } from '../cast/persona.ts';
import { parseLinesCsv } from '../cast/written-lines.ts';
import type { AdapterKeeper } from '../core/adapter.ts';
import type { ConversationStore, ConversationTurn } from '../core/conversation.ts';
import type { DialogueEvent, DialogueOutcome, DialogueRequest } from '../core/dialogue.ts';
import { ServiceError } from '../core/errors.ts';
import type { RecallEvent } from '../core/recall.ts';
import type { SpendingStore } from '../core/store.ts';
import type { Turn } from '../core/turn.ts';
import { type AnswerParts, answer } from '../dialogue/answer.ts';
import { Ladder } from '../dialogue/ladder.ts';
import { RecentPrefixes } from '../dialogue/recent-prefixes.ts';
import { Prompts } from '../dialogue/script.ts';
import { Voices } from '../dialogue/voices.ts';
import { voicesOptionsSchema } from '../dialogue/voices-options.ts';
import { createWritten } from '../engines/written.ts';
import { TaskGroup } from '../lib/async.ts';
import { recallOptionsSchema } from '../recall/options.ts';
import { Recall } from '../recall/recall.ts';
import type { SharedTier } from '../recall/shared-tier.ts';
import type { Admission } from '../routing/admission.ts';
import { HedgeAllowance } from '../routing/hedge.ts';
import {
  budgetOptionsSchema,
  DEFAULT_BREAKER,
  DEFAULT_COOLDOWN,
  DEFAULT_PACE,
  hedgingOptionsSchema,
  modelsSchema,
} from '../routing/options.ts';
import { Pool } from '../routing/pool.ts';
import { Replica } from '../routing/replica.ts';
import { tiersSchema } from '../routing/tiers.ts';
import { ModelVersions } from '../routing/versions.ts';
import { realRuntime } from '../runtime.ts';
import { spendingOptionsSchema } from '../spending/options.ts';
import { Spending } from '../spending/spending.ts';
import { silentLogger } from '../telemetry/log.ts';
import { NO_ADAPTERS } from './no-adapters.ts';
import { ScriptedEngine, type ScriptStep } from './scripted-engine.ts';

export const never = new AbortController().signal;

function persona({ adapter, examples }: Pick<WorldOptions, 'adapter' | 'examples'>) {
  const parsed = parsePersona(
    {
      schema: 'greenroom.persona/1',
      id: 'vey',
      version: 3,
      name: 'Madame Vey',
      nickname: 'Vey',
      monster_type: 'vampire',
      tier: 3,
      summary: 'A hostess who sells secrets.',
      secrets: [{ text: 'She is the bell.', reveal_when: 'quest.bell>=3', canaries: ['bell is my heart'] }],
      style: { max_words: 24, combat_max_words: 6 },
      examples: examples ?? [{ player: 'Who are you?', npc: 'I keep the salon.' }],
      ...(adapter === undefined ? {} : { model: { adapter } }),
    },
    'vey.json',
  );
  assert.ok('persona' in parsed, JSON.stringify(parsed));
  return parsed.persona;
}

const LINES = [
  'id,speaker,trigger,text,when',
  'v.b1,vampire,fallback:backend_error,The bells took my answer.,',
  'v.b2,vampire,fallback:backend_error,Another night perhaps.,',
  'v.t1,vampire,fallback:timeout,I was elsewhere.,',
  'v.s1,vampire,fallback:safety,That stays behind the curtain.,',
  'v.r1,vampire,fallback:repetition,Let us talk of gloves instead.,',
  'v.o1,vampire,fallback:offline,The salon is closed.,',
  'v.v1,vampire,fallback:overload,One at a time please.,',
  'v.spot1,vampire,spot,There you are at last.,',
  'v.f1,vampire,thinking,One moment.,',
].join('\n');

export interface World {
  readonly parts: AnswerParts;
  readonly engine: ScriptedEngine;
  /** NPCs whose line had no word in time. */
  readonly cold: readonly string[];
  readonly recall: Recall;
  readonly recallEvents: readonly RecallEvent[];
  readonly turns: Turn[];
  readonly stored: ConversationTurn[];
  readonly admission: Admission;
  readonly spending: Spending;
  readonly replica: Replica;
  readonly twins: readonly Replica[];
}

/** The ledger of a store, in memory. */
export function countingLedger(): SpendingStore & { held: number; spent: number } {
  return {
    held: 0,
    spent: 0,
    hold(held, caps) {
      if (caps.total !== null && this.held + this.spent + held.microUsd > caps.total)
        return Promise.resolve(false);
      this.held += held.microUsd;
      return Promise.resolve(true);
    },
    settle(held, spentMicroUsd) {
      this.held -= held.microUsd;
      this.spent += spentMicroUsd;
      return Promise.resolve();
    },
    day: () => Promise.reject(new Error('not asked')),
    isOff: () => Promise.resolve(false),
    switchOff: () => Promise.resolve(),
  };
}

interface WorldOptions {
  twins?: readonly ScriptedEngine[];
  beside?: readonly ScriptedEngine[];
  versions?: Readonly<Record<string, string>>;
  contexts?: Readonly<Record<string, number>>;
  spending?: object;
  ledger?: SpendingStore;
  hedging?: object;
  budgets?: object;
  ready?: boolean;
  storeFails?: boolean;
  /** The store keeps nothing before this. */
  storeAnswers?: Promise<void>;
  fillerAfterMs?: number;
  firstSentenceMs?: number;
  maxQueued?: number;
  spare?: ScriptedEngine;
  spareReady?: boolean;
  adapters?: AdapterKeeper;
  /** The adapter that the persona names. */
  adapter?: string;
  /** Options of the dialogue cache; left out: it is off. */
  recall?: object;
  sharedTier?: SharedTier;
  voices?: object;
  /** Of the persona; left out: one. */
  examples?: readonly { readonly player: string; readonly npc: string }[];
}

export async function world(
  script: (call: number) => readonly ScriptStep[],
  options: WorldOptions = {},
): Promise<World> {
  const { clock } = realRuntime;
  const { lines, problems } = parseLinesCsv(LINES, 'lines.csv');
  assert.deepEqual(problems, []);
  const cast = createCast([persona(options)], lines);
  const heard = new HeardLines(clock);
  const engine = new ScriptedEngine((_request, call) => script(call));
  const stored: ConversationTurn[] = [];
  const down = () => Promise.reject(new ServiceError('store_unavailable', 'the store is down'));
  const store = {
    appendTurn: async (turn: ConversationTurn) => {
      await options.storeAnswers;
      return options.storeFails ? await down() : stored.push(turn) > 0;
    },
    loadWindow: () => (options.storeFails ? down() : Promise.resolve(stored)),
    latestTimeline: () => Promise.resolve(null),
    branch: () => Promise.resolve(),
  } as unknown as ConversationStore;
  const memory = new ConversationMemory(store);
  const replica = (each: ScriptedEngine, isReady: boolean) => {
    const made = new Replica(
      {
        engine: each,
        counter: { count: (text) => Promise.resolve(Math.ceil(text.length / 4)) },
        model: each.name === 'cloud' ? 'cloud' : 'm',
        modelVersion: options.versions?.[each.name] ?? null,
        contextTokens: options.contexts?.[each.name] ?? 2_048,
        isPaid: each.name === 'cloud',
        origin: null,
        admission: { engine: each.name, maxInFlight: 4, maxQueued: options.maxQueued ?? 8 },
        breaker: DEFAULT_BREAKER,
        cooldown: DEFAULT_COOLDOWN,
        pace: DEFAULT_PACE,
      },
      realRuntime,
    );
    made.setReady(isReady);
    return made;
  };
  const own = replica(engine, options.ready !== false);
  const twins = (options.twins ?? []).map((each) => replica(each, true));
  const { admission } = own;
  const turns: Turn[] = [];
  const pools = new Map([['local', new Pool('local', [own, ...twins])]]);
  if (options.spare !== undefined)
    pools.set('spare', new Pool('spare', [replica(options.spare, options.spareReady !== false)]));
  for (const each of options.beside ?? []) pools.set(each.name, new Pool(each.name, [replica(each, true)]));
  const spending = await Spending.open(
    spendingOptionsSchema.parse({
      prices: [{ model: 'cloud', effectiveFrom: '2020-01-01', inputUsd: 1, outputUsd: 10 }],
      ...options.spending,
    }),
    { store: options.ledger ?? countingLedger(), clock, log: silentLogger },
  );
  const hedging = hedgingOptionsSchema.parse(options.hedging ?? {});
  const ladder = new Ladder({
    pools,
    versions: new ModelVersions(pools, modelsSchema.parse({})),
    adapters: options.adapters ?? NO_ADAPTERS,
    adapterWaitMs: 1_000,
    written: createWritten((scene) => cast.lines.pick(scene, heard)),
    prompts: new Prompts({
      cast,
      defaultTemperature: 0.7,
      prefixes: new RecentPrefixes(),
    }),
    spending,
    hedges: new HedgeAllowance(hedging),
    onPrefix: () => {},
    onCold: (npcId) => void cold.push(npcId),
    options: { budgets: budgetOptionsSchema.parse(options.budgets ?? {}), hedging },
    clock,
    log: silentLogger,
  });
  const tiers = tiersSchema.parse({});
  const adapters = options.adapters ?? NO_ADAPTERS;
  const events: RecallEvent[] = [];
  const cold: string[] = [];
  const recall = new Recall({
    options: recallOptionsSchema.parse(options.recall ?? { enabled: false }),
    shared: options.sharedTier ?? null,
    clock,
    onEvent: (event) => void events.push(event),
  });
  const parts: AnswerParts = {
    cast,
    recall,
    recallKey: { cast, pools, adapters, defaultTemperature: 0.7 },
    tiers: {
      ...tiers,
      '3': {
        ...tiers['3'],
        fillerAfterMs: options.fillerAfterMs ?? 0,
        firstSentenceMs: options.firstSentenceMs ?? null,
        rungs: options.spare === undefined ? ['local'] : ['local', 'spare'],
      },
    },
    heard,
    voices: new Voices(voicesOptionsSchema.parse(options.voices), { clock }),
    playerCharsMax: 300,
    ladder,
    memory,
    clock,
    log: silentLogger,
    sinks: [{ record: (turn) => void turns.push(turn) }],
    tasks: new TaskGroup({ maxTasks: 10, onFailure: (_name, error) => assert.fail(String(error)) }),
  };
  return {
    parts,
    engine,
    cold,
    recall,
    recallEvents: events,
    turns,
    stored,
    admission,
    spending,
    replica: own,
    twins,
  };
}

export function request(changes: Partial<DialogueRequest> = {}): DialogueRequest {
  return {
    id: 'dlg_1',
    npcId: 'vey',
    prompt: 'Good evening, who are you?',
    context: { playerId: 'p1', timelineId: 'main', facts: [], history: [], allowedActions: [] },
    units: 'sentence',
    maxTokens: 512,
    temperature: null,
    mayRaiseTier: false,
    priority: 'interactive',
    receivedMonoMs: realRuntime.clock.monotonicMs(),
    ...changes,
  };
}

export async function hear(
  made: World | Promise<World>,
  changes: Partial<DialogueRequest> = {},
): Promise<{ events: DialogueEvent[]; outcome: DialogueOutcome }> {
  const world = await made;
  const events: DialogueEvent[] = [];
  for await (const event of answer(request(changes), world.parts, never)) events.push(event);
  const done = events.at(-1);
  assert.ok(done?.type === 'done');
  assert.equal(events.filter((event) => event.type === 'done').length, 1);
  assert.equal(events[0]?.type, 'accepted');
  assert.equal(world.engine.running, 0, 'nothing runs at the engine afterwards');
  assert.equal(world.admission.running, 0, 'every place was given back');
  return { events, outcome: done.outcome };
}

export const anAsk = () => ({
  priority: 'interactive' as const,
  player: null,
  source: 'local',
  promptTokens: 1,
  maxTokens: 1,
  deadlineMonoMs: Number.POSITIVE_INFINITY,
});

export const say = (...texts: string[]): ScriptStep[] => texts.map((text) => ({ say: text }));
export const broken = { fail: new ServiceError('engine_error', 'it broke') };
