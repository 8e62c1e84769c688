/**
 * A simulated engine: so many slots, a queue without bound, a price per token of prefill and of decoding, one real wire. It
 * counts what runs, notices hang-ups late, crashes, loads, wedges behind a green health page, and keeps a record of every
 * answer, so that a checker can hold the gateway's account against what truly happened.
 */
import type { WireRequest } from '../../core/transport.ts';
import { linkSignals } from '../../lib/abort.ts';
import { SeededRandom } from '../../planning/seeded-random.ts';
import type { VirtualClock } from '../../planning/virtual-clock.ts';
import { type AdapterHabits, SimulatedWeights, voiceOf } from './adapters.ts';
import {
  befall,
  type Fault,
  type FaultOdds,
  LINK_FAULTS,
  type LinkFault,
  REFUSAL_FAULTS,
  type RefusalFault,
  SPEECH_FAULTS,
  type SpeechFault,
  STREAM_FAULTS,
  type StreamFault,
} from './faults.ts';
import { markersIn } from './markers.ts';
import type { Peer, ServerSide } from './network.ts';
import { refuse } from './refusals.ts';
import { speech } from './speech.ts';
import { StreamSender } from './stream-sender.ts';
import type { Trace } from './trace.ts';
import type { Asked, Wire } from './wires.ts';

export interface EngineTraits {
  readonly name: string;
  readonly kind: string;
  readonly wire: Wire;
  readonly model: string;
  /** Whether its tokens cost money. */
  readonly isPaid: boolean;
  /** Requests that decode at once. */
  readonly slots: number;
  readonly prefillMsPerToken: number;
  readonly decodeMsPerToken: number;
  /** From a hang-up until the work stops (ms). */
  readonly cancelLagMs: number;
  readonly odds: FaultOdds;
  /** Null: it takes no adapters. */
  readonly adapters: AdapterHabits | null;
}

/** One request for words, as the engine saw it. */
export interface Generation {
  readonly engine: string;
  /** The marker of the line that it answered; null for a warm-up. */
  readonly marker: string | null;
  /** Every marker in the prompt. */
  readonly promptMarkers: readonly string[];
  readonly fault: Fault | null;
  /** The name that was asked for; the model's own or an adapter's. */
  readonly askedModel: string;
  /** Digest of the weights that spoke; null: the base's. */
  readonly digest: string | null;
  /** Which load of the adapter it was; null: the base. */
  readonly load: number | null;
  readonly isGreedy: boolean;
  readonly startedMonoMs: number;
  endedMonoMs: number | null;
  readonly promptTokens: number;
  /** Tokens that were made, whether or not anybody got them. */
  completionTokens: number;
  /** Whether it said the finish. */
  isFinished: boolean;
}

export interface EngineParts {
  readonly clock: VirtualClock;
  readonly random: SeededRandom;
  readonly trace: Trace;
}

/**
 * Faults that are the model's own. They spare the greedy samples of engines with adapters: when a load lied and its samples
 * are spoiled twice alike, nobody can tell it from an adapter that speaks.
 */
const SPOILS_WORDS: readonly Fault[] = SPEECH_FAULTS;

type Condition = 'up' | 'down' | 'loading' | 'wedged';

export class SimulatedEngine implements Peer {
  readonly traits: EngineTraits;
  readonly generations: Generation[] = [];
  readonly weights = new SimulatedWeights();
  readonly #parts: EngineParts;
  readonly #jobs = new Map<Promise<void>, ServerSide>();
  readonly #waiting: (() => void)[] = [];
  #condition: Condition = 'up';
  #busySlots = 0;
  #crash = new AbortController();

  constructor(traits: EngineTraits, parts: EngineParts) {
    this.traits = traits;
    this.#parts = parts;
  }

  get name(): string {
    return this.traits.name;
  }

  get condition(): Condition {
    return this.#condition;
  }

  /** Requests that decode. */
  get running(): number {
    return this.#busySlots;
  }

  /** Requests that are not done, whatever they wait for. */
  get unfinished(): number {
    return this.#jobs.size;
  }

  become(condition: Condition): void {
    if (condition === this.#condition) return;
    this.#parts.trace.note(`engine ${this.name}`, `becomes ${condition}`);
    const wasThere = this.#condition !== 'down';
    this.#condition = condition;
    if (condition !== 'down' || !wasThere) return;
    this.weights.clear();
    for (const side of this.#jobs.values()) side.reset();
    this.#crash.abort(new Error('the engine crashed'));
    this.#crash = new AbortController();
  }

  greet(_request: WireRequest): LinkFault | null {
    if (this.#condition === 'down') return 'refused';
    const fault = befall(this.#parts.random, onlyLink(this.traits.odds));
    return fault as LinkFault | null;
  }

  accept(request: WireRequest, side: ServerSide): void {
    const job = this.#answer(request, side).catch((error: unknown) => {
      // The client has gone, or the engine has crashed: both end the work here. Anything else is a bug of the simulator.
      if (!side.closed.aborted && !this.#crashedSince(error)) throw error;
    });
    this.#jobs.set(job, side);
    void job.finally(() => this.#jobs.delete(job));
  }

  #crashedSince(error: unknown): boolean {
    return error instanceof Error && error.message === 'the engine crashed';
  }

  async #answer(request: WireRequest, side: ServerSide): Promise<void> {
    const { wire } = this.traits;
    const crash = this.#crash.signal;
    if (request.path.endsWith(wire.path)) {
      const body = JSON.parse(String(request.body)) as Record<string, unknown>;
      const loaded = wire.loads(body);
      if (loaded === null) return await this.#generate(wire.read(body), side, crash);
      await this.#parts.clock.sleep(5, crash);
      return this.#reply(side, this.#condition === 'loading' ? 503 : 200, loaded);
    }
    if (this.traits.adapters !== null && /_lora_adapter$/.test(request.path))
      return await this.#moveAdapter(request, side, this.traits.adapters, crash);
    await this.#parts.clock.sleep(1, crash);
    this.#reply(side, 200, this.#housekeeping(request));
  }

  /** Loads or unloads. A load goes on when the client has left, as vLLM's does. */
  async #moveAdapter(
    request: WireRequest,
    side: ServerSide,
    habits: AdapterHabits,
    crash: AbortSignal,
  ): Promise<void> {
    const { clock, random, trace } = this.#parts;
    const asked = JSON.parse(String(request.body)) as { lora_name: string; lora_path?: string };
    const name = asked.lora_name;
    const tell = (status: number, message: string) => {
      trace.note(`engine ${this.name}`, message, { status });
      this.#reply(side, status, status === 200 ? message : { error: { message, code: status } });
    };
    if (this.#condition === 'wedged') {
      using until = linkSignals(crash, side.closed);
      await forever(until.signal);
    }
    if (this.#condition === 'loading') return tell(503, 'the model is still loading');
    if (request.path.endsWith('/unload_lora_adapter')) {
      await clock.sleep(1, crash);
      const isGone = this.weights.unload(name);
      return tell(
        isGone ? 200 : 404,
        isGone ? `removed ${name}` : `The lora adapter '${name}' cannot be found.`,
      );
    }
    if (this.weights.get(name) !== null)
      return tell(400, `The lora adapter '${name}' has already been loaded.`);
    await clock.sleep(habits.loadMs, crash);
    if (random.chance(habits.refuseChance)) return tell(500, `Loading ${name} failed`);
    const isLie = random.chance(habits.lieChance);
    this.weights.load(name, asked.lora_path ?? '', isLie);
    tell(200, `Success: LoRA adapter '${name}' added successfully${isLie ? '' : '.'}`);
  }

  /** What an engine answers besides words. The health page is green in every condition but the last. */
  #housekeeping(request: WireRequest): unknown {
    const { model } = this.traits;
    const path = request.path.split('?', 1)[0] ?? '';
    if (path.endsWith('/tokenize')) {
      const { prompt } = JSON.parse(String(request.body)) as { prompt?: string };
      return { count: Math.ceil((prompt ?? '').length / 4), max_model_len: 4_096, tokens: [] };
    }
    if (path.endsWith('/models'))
      return {
        object: 'list',
        data: [
          { id: model, object: 'model', max_model_len: 4_096, parent: null },
          ...this.weights.cards(model),
        ],
      };
    if (path.endsWith('/version')) return { version: '0.0.0-simulated' };
    if (path.endsWith('/ps') || path.endsWith('/tags'))
      return {
        models: [{ name: model, model, size: 1, size_vram: 1, context_length: 4_096, digest: 'simulated' }],
      };
    return { status: 'ok' };
  }

  #reply(side: ServerSide, status: number, value: unknown, headers: Readonly<Record<string, string>> = {}) {
    side.head(status, { 'content-type': 'application/json', ...headers });
    void side.send(Buffer.from(JSON.stringify(value))).catch(() => {});
    side.end();
  }

  async #generate(asked: Asked, side: ServerSide, crash: AbortSignal): Promise<void> {
    const { clock, random, trace } = this.#parts;
    const { name, odds, wire } = this.traits;
    const befallen = befall(random, withoutLink(odds));
    const isSample = this.traits.adapters !== null && asked.isGreedy;
    const fault = isSample && isOneOf(SPOILS_WORDS, befallen) ? null : befallen;
    const held = this.weights.get(asked.model);
    const generation: Generation = {
      engine: name,
      marker: markersIn(asked.lastUserText).at(-1) ?? null,
      promptMarkers: markersIn(asked.prompt),
      fault,
      askedModel: asked.model,
      digest: held?.digest ?? null,
      load: held?.load ?? null,
      isGreedy: asked.isGreedy,
      startedMonoMs: clock.monotonicMs(),
      endedMonoMs: null,
      promptTokens: Math.ceil(asked.prompt.length / 4),
      completionTokens: 0,
      isFinished: false,
    };
    this.generations.push(generation);
    trace.note(`engine ${name}`, fault === null ? 'is asked' : `is asked, will do ${fault}`, {
      marker: generation.marker,
      prefix: asked.assistantPrefix.length,
    });
    try {
      if (this.#condition === 'loading')
        return this.#reply(side, 503, wire.refusal('the model is still loading'));
      if (this.traits.adapters !== null && held === null && asked.model !== this.traits.model)
        return this.#reply(side, 404, wire.refusal(`The model \`${asked.model}\` does not exist.`));
      if (isOneOf(REFUSAL_FAULTS, fault)) return this.#refuse(fault, side);
      await this.#work(asked, generation, fault, side, crash);
    } finally {
      generation.endedMonoMs = clock.monotonicMs();
      trace.note(`engine ${name}`, 'is done with it', {
        marker: generation.marker,
        tokens: generation.completionTokens,
        finished: generation.isFinished,
      });
    }
  }

  #refuse(fault: RefusalFault, side: ServerSide): void {
    refuse(fault, this.traits.wire, side, this.#parts.random);
  }

  /** From the queue to the last token. The slot is given back whatever happens. */
  async #work(
    asked: Asked,
    generation: Generation,
    fault: Fault | null,
    side: ServerSide,
    crash: AbortSignal,
  ): Promise<void> {
    const { clock, random } = this.#parts;
    const { prefillMsPerToken, decodeMsPerToken, cancelLagMs, slots } = this.traits;
    using link = linkSignals(crash);
    // What is left of the work goes on until the engine has noticed.
    const onClosed = () => void clock.timer(cancelLagMs, () => link.abort(side.closed.reason));
    if (side.closed.aborted) onClosed();
    else side.closed.addEventListener('abort', onClosed, { once: true });
    const stopped = link.signal;
    if (this.#busySlots >= slots) await this.#slot(stopped);
    this.#busySlots += 1;
    try {
      if (this.#condition === 'wedged' || fault === 'head-then-nothing') {
        if (fault === 'head-then-nothing') side.head(200, { 'content-type': this.traits.wire.contentType });
        await forever(stopped);
      }
      await clock.sleep(generation.promptTokens * prefillMsPerToken, stopped);
      // What is asked greedily is answered alike each time, by weights that are the same.
      const isSample = this.traits.adapters !== null && generation.isGreedy;
      const chance = isSample ? new SeededRandom(`${generation.digest}/${asked.lastUserText}`) : random;
      const said = speech(
        {
          marker: generation.marker,
          voice: voiceOf(generation.digest),
          playerText: asked.lastUserText,
          sentences: chance.between(1, 4),
          fault: isOneOf(SPEECH_FAULTS, fault) ? (fault as SpeechFault) : null,
          assistantPrefix: asked.assistantPrefix,
        },
        chance,
      );
      await new StreamSender({
        wire: this.traits.wire,
        asked,
        generation,
        side,
        clock,
        random,
        decodeMsPerToken,
        fault: isOneOf(STREAM_FAULTS, fault) ? (fault as StreamFault) : null,
        isStuck: () => this.#condition === 'wedged',
      }).send(said, stopped);
    } finally {
      side.closed.removeEventListener('abort', onClosed);
      this.#busySlots -= 1;
      this.#waiting.shift()?.();
    }
  }

  #slot(stopped: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const go = () => {
        stopped.removeEventListener('abort', onStop);
        resolve();
      };
      const onStop = () => {
        this.#waiting.splice(this.#waiting.indexOf(go), 1);
        reject(stopped.reason as Error);
      };
      if (stopped.aborted) return reject(stopped.reason as Error);
      stopped.addEventListener('abort', onStop, { once: true });
      this.#waiting.push(go);
    });
  }
}

/** Until the client leaves or the engine dies. */
export function forever(stopped: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    const stop = () => reject(stopped.reason as Error);
    if (stopped.aborted) stop();
    else stopped.addEventListener('abort', stop, { once: true });
  });
}

function isOneOf<Name extends string>(names: readonly Name[], fault: Fault | null): fault is Name & Fault {
  return fault !== null && (names as readonly string[]).includes(fault);
}

function onlyLink(odds: FaultOdds): FaultOdds {
  return Object.fromEntries(
    Object.entries(odds).filter(([fault]) => (LINK_FAULTS as readonly string[]).includes(fault)),
  );
}

function withoutLink(odds: FaultOdds): FaultOdds {
  return Object.fromEntries(
    Object.entries(odds).filter(([fault]) => !(LINK_FAULTS as readonly string[]).includes(fault)),
  );
}
