/**
 * An engine with slots for adapters on a virtual clock: steps as vLLM makes them. Each step decodes one token of every line
 * that runs and prefills new ones; a load stops all of them for as long as it reads (engines.md §3.6, vllm#31941). It knows
 * which weights stand behind a name, so that a line can be asked who spoke it.
 */
import { hash32 } from '../../src/cast/seeded.ts';
import type {
  AdapterAddress,
  AdapterCapacity,
  AdapterTraits,
  EngineAdapters,
  HeldAdapters,
} from '../../src/core/adapter.ts';
import { ServiceError } from '../../src/core/errors.ts';
import type { Clock } from '../../src/core/runtime.ts';

export interface EngineModel {
  /** Time of a step in which nothing is prefilled: so much, and more for each line in it (ms). */
  readonly stepMs: number;
  readonly stepMsPerLine: number;
  readonly prefillTokensPerSecond: number;
  /** Prompt tokens of one step at most, over all lines (vLLM's chunked prefill). */
  readonly prefillTokensPerStep: number;
  readonly linesAtOnce: number;
  /** A load holds all lines for so long (ms). */
  readonly loadMs: number;
  readonly slots: number;
}

export interface SpokenAs {
  /** Digest of the weights that spoke; null: the base. */
  readonly digest: string | null;
  /** The greedy words, the same for the same weights and prompt. */
  readonly words: string;
}

interface Job {
  readonly engineName: string | null;
  prefillLeft: number;
  tokensLeft: number;
  readonly onFirst: () => void;
  readonly settle: (error: unknown) => void;
  hasBegun: boolean;
}

const WORDS = ['ash', 'bone', 'crypt', 'dusk', 'ember', 'frost', 'grave', 'howl', 'iron', 'jaw'] as const;

export class SteppingEngine implements EngineAdapters {
  readonly traits: AdapterTraits = {
    loads: 'call',
    unloads: 'call',
    mixesInBatch: true,
    isCacheIsolated: true,
    stallsWhileLoading: true,
  };
  /** Engine name → digest. */
  readonly #weights = new Map<string, string>();
  readonly #model: EngineModel;
  readonly #clock: Clock;
  readonly #waiting: Job[] = [];
  readonly #running = new Set<Job>();
  readonly #loads: (() => void)[] = [];
  readonly #ending = new AbortController();
  #isStepping = false;
  /** Fractions of milliseconds that the clock's timers do not know. */
  #owedMs = 0;
  loads = 0;

  constructor(model: EngineModel, clock: Clock) {
    this.#model = model;
    this.#clock = clock;
  }

  end(): void {
    this.#ending.abort(new Error('the engine ends'));
  }

  async capacity(): Promise<AdapterCapacity> {
    return { slots: this.#model.slots, rankMax: 64 };
  }

  /** Between two steps, alone. */
  async load({ engineName, path }: AdapterAddress): Promise<void> {
    if (this.#weights.has(engineName)) return;
    await new Promise<void>((resolve) => {
      this.#loads.push(resolve);
      this.#go();
    });
    if (this.#weights.size >= this.#model.slots)
      throw new ServiceError('no_room', `${this.#weights.size} of ${this.#model.slots} slots`);
    this.#weights.set(engineName, path.split('/').at(-1) ?? '');
    this.loads += 1;
  }

  async unload({ engineName }: Pick<AdapterAddress, 'engineName'>): Promise<void> {
    for (const { engineName: spoken } of this.#running)
      if (spoken === engineName) throw new Error(`${engineName} was unloaded while a line spoke with it`);
    this.#weights.delete(engineName);
  }

  async list(known: readonly AdapterAddress[]): Promise<HeldAdapters> {
    const names = new Set(known.map(({ engineName }) => engineName));
    const held = [...this.#weights.keys()];
    return {
      held: held.filter((name) => names.has(name)),
      stale: held.filter((name) => !names.has(name)),
      foreign: 0,
    };
  }

  /** Throws `unknown_model` when the name is not loaded. */
  async speak(
    ask: {
      readonly engineName: string | null;
      readonly prompt: string;
      readonly promptTokens: number;
      readonly tokens: number;
    },
    onFirst: () => void,
  ): Promise<SpokenAs> {
    const { engineName, prompt } = ask;
    const digest = engineName === null ? null : this.#weights.get(engineName);
    if (digest === undefined) throw new ServiceError('unknown_model', `${engineName} is not loaded`);
    await new Promise<void>((resolve, reject) => {
      this.#waiting.push({
        engineName,
        prefillLeft: ask.promptTokens,
        tokensLeft: ask.tokens,
        onFirst,
        settle: (error) => (error === null ? resolve() : reject(error as Error)),
        hasBegun: false,
      });
      this.#go();
    });
    const voice = digest ?? 'base';
    const words = Array.from({ length: 6 }, (_, at) => WORDS[hash32(`${voice}/${prompt}/${at}`) % 10]);
    return { digest, words: words.join(' ') };
  }

  #go(): void {
    if (this.#isStepping) return;
    this.#isStepping = true;
    this.#steps().catch((error: unknown) => {
      for (const job of [...this.#running, ...this.#waiting.splice(0)]) job.settle(error);
      this.#running.clear();
    });
  }

  async #steps(): Promise<void> {
    for (;;) {
      const load = this.#loads.shift();
      if (load !== undefined) {
        await this.#pass(this.#model.loadMs);
        load();
        // What the load was for may be told before the next step begins.
        await Promise.resolve();
        continue;
      }
      while (this.#running.size < this.#model.linesAtOnce) {
        const job = this.#waiting.shift();
        if (job === undefined) break;
        this.#running.add(job);
      }
      if (this.#running.size === 0) {
        this.#isStepping = false;
        return;
      }
      await this.#step();
    }
  }

  async #step(): Promise<void> {
    const { stepMs, stepMsPerLine, prefillTokensPerSecond, prefillTokensPerStep } = this.#model;
    let budget = prefillTokensPerStep;
    const lines = [...this.#running];
    for (const job of lines) {
      const part = Math.min(budget, job.prefillLeft);
      job.prefillLeft -= part;
      budget -= part;
    }
    const prefillMs = ((prefillTokensPerStep - budget) * 1_000) / prefillTokensPerSecond;
    await this.#pass(stepMs + stepMsPerLine * lines.length + prefillMs);
    for (const job of lines) {
      if (job.prefillLeft > 0) continue;
      job.tokensLeft -= 1;
      if (!job.hasBegun) {
        job.hasBegun = true;
        job.onFirst();
      }
      if (job.tokensLeft > 0) continue;
      this.#running.delete(job);
      job.settle(null);
    }
  }

  async #pass(durationMs: number): Promise<void> {
    this.#owedMs += durationMs;
    const whole = Math.floor(this.#owedMs);
    this.#owedMs -= whole;
    if (whole >= 1) await this.#clock.sleep(whole, this.#ending.signal);
  }
}
