/**
 * A small true service behind the doors: it answers with its own words at the pace a test gives it, keeps what it was
 * asked, and knows when it was hung up on. Keys and idempotency come from a real store.
 */
import type { DoorLimits, PassThrough, Services } from '../api/services.ts';
import type { DialogueEvent, DialogueOutcome, DialogueRequest, Source } from '../core/dialogue.ts';
import { ServiceError } from '../core/errors.ts';
import type { Store } from '../core/store.ts';
import { abortable } from '../lib/abort.ts';
import { realRuntime } from '../runtime.ts';
import { silentLogger } from '../telemetry/log.ts';

export interface FakeServices extends Services {
  /** Every request that reached the walk. */
  readonly asked: DialogueRequest[];
  /** Why walks ended early, in order. */
  readonly stopped: unknown[];
  readonly counted: { readonly route: string; readonly status: number }[];
  readonly drain: AbortController;
}

export interface FakeOptions {
  readonly store: Store;
  readonly sentences?: readonly string[];
  /** What the answers say of where they came from. */
  readonly source?: Partial<Source>;
  /** Awaited before event number `index` (0 is `accepted`): a test holds the answer there. */
  readonly before?: (index: number) => Promise<void> | void;
  readonly passThrough?: (model: string) => PassThrough;
  readonly models?: Services['models'];
  readonly shortWork?: Services['shortWork'];
  readonly jobs?: (store: Store) => Services['jobs'];
  readonly adapters?: (store: Store) => Services['adapters'];
  readonly lines?: (store: Store) => Services['lines'];
  readonly recall?: Services['recall'];
}

export const SMALL_LIMITS: DoorLimits = {
  bodyBytesMax: 64 * 1024,
  headerBytesMax: 8 * 1024,
  connectionsMax: 100,
  requestsMax: 50,
  requestTimeoutMs: 30_000,
  heartbeatMs: 10_000,
};

export function fakeServices(options: FakeOptions): FakeServices {
  const { store } = options;
  const asked: DialogueRequest[] = [];
  const stopped: unknown[] = [];
  const counted: { route: string; status: number }[] = [];
  const drain = new AbortController();
  let isOff = false;
  const hold = async (index: number, signal: AbortSignal) => {
    await abortable(Promise.resolve(options.before?.(index)), signal);
    signal.throwIfAborted();
  };
  async function* answer(request: DialogueRequest, signal: AbortSignal): AsyncGenerator<DialogueEvent> {
    asked.push(request);
    if (request.npcId !== 'vampire_1')
      throw new ServiceError('unknown_npc', `no NPC has the id "${request.npcId}"; near: vampire_1`);
    const sentences = options.sentences ?? ['Sit.', 'The night is long.'];
    let index = 0;
    try {
      await hold(index++, signal);
      yield { type: 'accepted', id: request.id, npcId: request.npcId, tier: 2 };
      for (const [at, text] of sentences.entries()) {
        await hold(index++, signal);
        if (request.units === 'token') yield { type: 'token', index: at, text };
        yield { type: 'sentence', index: at, text, estMs: 500, source: 'engine' };
      }
      await hold(index++, signal);
      yield { type: 'done', outcome: outcomeOf(request, sentences, options.source) };
    } finally {
      if (signal.aborted) stopped.push(signal.reason);
    }
  }
  return {
    asked,
    stopped,
    counted,
    drain,
    version: '0.0.0',
    clock: realRuntime.clock,
    random: realRuntime.random,
    log: silentLogger,
    answer,
    npcs: [{ npcId: 'vampire_1', name: 'Ilse', kind: 'vampire', tier: 2, summary: 'Keeps debts.' }],
    prepare: (npcIds) =>
      Promise.resolve(
        npcIds.map((npcId) => ({
          npcId,
          adapter: npcId === 'vampire_1' ? 'vampire@1' : null,
          state: npcId === 'vampire_1' ? ('loading' as const) : ('unknown_npc' as const),
          prefix: 'cold' as const,
        })),
      ),
    describeNpc: (npcId) =>
      Promise.resolve(npcId === 'vampire_1' ? { persona: { id: npcId }, prompt: {}, line_counts: {} } : null),
    listLines: ({ speaker, trigger }) => [
      { id: 'l1', speaker: speaker ?? 'any', trigger: trigger ?? 'greet' },
    ],
    models: options.models ?? [{ id: 'small', ownedBy: 'local', maxModelTokens: 2_048 }],
    passThrough:
      options.passThrough ??
      ((model) => {
        throw new ServiceError('unknown_model', `no model has the name "${model}"; there is: small`);
      }),
    ...(options.shortWork === undefined ? {} : { shortWork: options.shortWork }),
    ...jobsOf(options),
    ...adaptersOf(options),
    ...linesOf(options),
    ...(options.recall === undefined ? {} : { recall: options.recall }),
    keys: store.keys,
    idempotency: store.idempotency,
    spending: {
      status: () => Promise.resolve({ isOff, held: 0, day: null }),
      switchOff: (off) => {
        isOff = off;
        return Promise.resolve();
      },
    },
    readiness: () => ({ ready: true, stage: 'ready', detail: 'ready' }),
    status: () => Promise.resolve({ version: '0.0.0', engines: [] }),
    expose: () => Promise.resolve({ contentType: 'text/plain; version=0.0.4', text: 'greenroom_up 1\n' }),
    countHttp: (route, status) => counted.push({ route, status }),
    draining: drain.signal,
  };
}

function outcomeOf(
  request: DialogueRequest,
  sentences: readonly string[],
  source: Partial<Source> = {},
): DialogueOutcome {
  return {
    id: request.id,
    npcId: request.npcId,
    finishReason: 'stop',
    tier: 2,
    source: {
      kind: 'engine',
      engine: 'fake',
      model: 'small',
      modelVersion: null,
      adapter: null,
      rung: 0,
      ...source,
    },
    usage: { promptTokens: 10, cachedTokens: 4, completionTokens: 6, costMicroUsd: 0 },
    timing: { queueMs: 0, ttftMs: 1, ttfsMs: 2, totalMs: 3 },
    sentences,
  };
}

function jobsOf({ jobs, store }: FakeOptions): Pick<Services, 'jobs'> {
  const made = jobs?.(store);
  return made === undefined ? {} : { jobs: made };
}

function adaptersOf({ adapters, store }: FakeOptions): Pick<Services, 'adapters'> {
  const made = adapters?.(store);
  return made === undefined ? {} : { adapters: made };
}

function linesOf({ lines, store }: FakeOptions): Pick<Services, 'lines'> {
  const made = lines?.(store);
  return made === undefined ? {} : { lines: made };
}
