/**
 * The real engine for `bench:adapters`: `greenroom engine` as a child, our driver for vLLM's wire before it, and seeded
 * adapters staged as the gateway stages them. It keeps what was said, so that lines can be asked again, alone, to see whether
 * the voice that claims them spoke them.
 */
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { addressOf } from '../../src/adapters/address.ts';
import { type AdapterArtefact, residentBytes, WEIGHT_BYTES } from '../../src/adapters/artefact/artefact.ts';
import { stageAdapter } from '../../src/adapters/artefact/stage.ts';
import type { AdapterReplica } from '../../src/adapters/replica.ts';
import {
  type AdapterAddress,
  type AdapterRecord,
  adapterId,
  type EngineAdapters,
  engineNameOf,
} from '../../src/core/adapter.ts';
import type { Engine } from '../../src/core/engine.ts';
import type { Transport } from '../../src/core/transport.ts';
import { EngineSupervisor } from '../../src/embedded/supervisor.ts';
import { createTransport } from '../../src/engines/transport.ts';
import { vllm } from '../../src/engines/vllm.ts';
import { answerTo } from '../../src/hosts/dummy-line.ts';
import { loadingBeside } from '../../src/hosts/embedded.ts';
import { cacheDirectory } from '../../src/models/cache.ts';
import { ensureModel } from '../../src/models/ensure.ts';
import { realRuntime } from '../../src/runtime.ts';
import { silentLogger } from '../../src/telemetry/log.ts';
import { SMOLLM2_BASE, writePeftFolder } from '../../src/testing/peft-folder.ts';
import { chat, persona, playerLine, seeded } from '../engine/prompts.ts';
import type { KnownAdapter } from './fcfs.ts';

export const REPLICA = 'local';
const MODEL = 'smollm2-135m-instruct-q4_1';
/** Personas that stay in the engine's memory; fewer would measure its cache instead of the keeping of adapters. */
const PREFIXES = 16;
const TARGETS = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'];
const RANK = 8;
export const LINE_TOKENS = 24;
/** Words that must agree when a line is asked again. Further on, another batch may let another word win (src/adapters/verify.ts). */
const TELLS_WORDS = 4;

export interface EngineRoomOptions {
  readonly adapters: number;
  readonly threads: number;
  readonly sequences: number;
  readonly seed: number;
}

interface Spoken {
  readonly by: AdapterAddress | null;
  readonly adapter: number;
  readonly player: string;
  text: string | null;
}

export interface VoiceCheck {
  readonly asked: number;
  readonly own: number;
  /** Claimed an adapter and began as the base does. */
  readonly base: number;
  /** Began as neither. */
  readonly unclear: number;
}

export class EngineRoom implements AsyncDisposable {
  readonly clock = realRuntime.clock;
  readonly records: readonly AdapterRecord[];
  readonly artefacts: readonly AdapterArtefact[];
  readonly directory: string;
  readonly adapters: EngineAdapters;
  readonly #engine: Engine;
  readonly #supervisor: EngineSupervisor;
  readonly #transport: Transport;
  readonly #folder: string;
  readonly #options: EngineRoomOptions;
  /** Every line that was spoken, so that some can be asked again. */
  readonly #spoken: Spoken[] = [];
  readonly #random: () => number;

  private constructor(parts: {
    readonly options: EngineRoomOptions;
    readonly folder: string;
    readonly artefacts: readonly AdapterArtefact[];
    readonly supervisor: EngineSupervisor;
    readonly transport: Transport;
  }) {
    this.#options = parts.options;
    this.#random = seeded(parts.options.seed);
    this.#folder = parts.folder;
    this.directory = path.join(parts.folder, 'adapters');
    this.artefacts = parts.artefacts;
    this.records = parts.artefacts.map((artefact, at) => recordOf(artefact, `voice${at}`, '1'));
    this.#supervisor = parts.supervisor;
    this.#transport = parts.transport;
    const driver = vllm.create({
      name: REPLICA,
      model: 'bench',
      options: vllm.options.parse({}),
      transport: () => parts.transport,
    });
    this.#engine = driver.engine;
    if (driver.adapters === undefined) throw new Error('the driver has no adapters');
    this.adapters = loadingBeside(driver.adapters);
  }

  /** Stages the adapters and starts the engine with a slot for each of them. */
  static async open(options: EngineRoomOptions, signal: AbortSignal): Promise<EngineRoom> {
    const { clock, random } = realRuntime;
    const model = await ensureModel(
      MODEL,
      { cacheDirectory: cacheDirectory(process.env), environment: process.env, clock },
      signal,
    );
    const supervisor = new EngineSupervisor(
      {
        engine: {
          modelPath: model.path,
          modelName: 'bench',
          threads: options.threads,
          sequences: options.sequences,
          prefixSequences: PREFIXES,
          contextTokens: 384,
          adapterSlots: options.adapters,
          adapterRankMax: RANK,
        },
        environment: process.env,
      },
      { clock, random: realRuntime.random, log: silentLogger },
    );
    supervisor.start();
    const folder = await mkdtemp(path.join(tmpdir(), 'greenroom-bench-adapters-'));
    const artefacts: AdapterArtefact[] = [];
    for (let at = 0; at < options.adapters; at++) {
      const from = await writePeftFolder(path.join(folder, `voice${at}`), {
        seed: options.seed * 1_000 + at,
        rank: RANK,
        strength: 0.25,
        targets: TARGETS,
        type: 'F16',
      });
      const root = path.join(folder, 'adapters');
      artefacts.push(await stageAdapter({ from, root, base: SMOLLM2_BASE, clock, random }, signal));
    }
    const baseUrl = await supervisor.whenReady(signal);
    const transport = createTransport({ baseUrl, connections: 64, connectTimeoutMs: 5_000 });
    return new EngineRoom({ options, folder, artefacts, supervisor, transport });
  }

  /** Computed bytes of one adapter in the engine's memory. */
  get computedBytes(): number {
    const [artefact] = this.artefacts;
    return artefact === undefined ? 0 : residentBytes(artefact, WEIGHT_BYTES[artefact.dtype]);
  }

  address(record: AdapterRecord): AdapterAddress {
    return addressOf(record, this.directory, null);
  }

  known(count: number): ReadonlyMap<string, KnownAdapter> {
    return new Map(
      this.records.slice(0, count).map((record) => [
        record.name,
        {
          resolved: { id: adapterId(record), engineName: engineNameOf(record), generation: 1 },
          address: this.address(record),
        },
      ]),
    );
  }

  /** As the keeper sees the engine, with so many slots. */
  replica(slots: number): AdapterReplica {
    return {
      name: REPLICA,
      base: MODEL,
      scope: `embedded/${MODEL}`,
      engine: this.adapters,
      limits: { slots, rankMax: null, bytesMax: null },
      artefactRoot: null,
      probe: (prompt, adapter, maxTokens, signal) =>
        answerTo(this.#engine, 'bench', { prompt, adapter, maxTokens }, signal),
      setResident: () => {},
    };
  }

  /** A line of a player to the persona of that adapter; no two are the same. */
  async speak(
    by: AdapterAddress | null,
    adapter: number,
    onFirst: () => void,
    signal: AbortSignal,
  ): Promise<void> {
    const guest = this.#spoken.length;
    const player = `Guest ${guest}: ${playerLine(this.#random)}`;
    const ask = { by, adapter, player };
    // Its place is taken at once: the next line is another guest's.
    const spoken: Spoken = { ...ask, text: null };
    this.#spoken.push(spoken);
    spoken.text = await this.#say(ask, onFirst, signal);
  }

  /**
   * Asks some of the lines so far again, alone, of the voice that claimed them, and of the base where that does not agree.
   * `own` began alike; `other` began as the base does, or as nobody (greedy text is not bit-stable: see the few as noise
   * only if the base did not say them).
   */
  async askAgain(count: number, signal: AbortSignal): Promise<VoiceCheck> {
    await this.empty(signal);
    const lines = this.#spoken.filter(({ text }) => text !== null);
    const check = { asked: 0, own: 0, base: 0, unclear: 0 };
    for (let at = 0; at < Math.min(count, lines.length); at++) {
      const line = lines[Math.floor((at * lines.length) / count)];
      if (line === undefined) continue;
      const { by, text } = line;
      check.asked += 1;
      if (by !== null) await this.adapters.load(by, signal);
      const again = await this.#say(line, () => {}, signal);
      if (opening(again) === opening(text ?? '')) check.own += 1;
      else if (
        by !== null &&
        opening(await this.#say({ ...line, by: null }, () => {}, signal)) === opening(text ?? '')
      )
        check.base += 1;
      else check.unclear += 1;
      if (by !== null) await this.adapters.unload(by, signal);
    }
    return check;
  }

  /** Gives up whatever is loaded. */
  async empty(signal: AbortSignal): Promise<void> {
    const addresses = this.records.map((record) => this.address(record));
    const { held, stale } = await this.adapters.list(addresses, signal);
    for (const engineName of [...held, ...stale])
      await this.adapters.unload({ engineName, number: 1 }, signal);
  }

  /** Resident memory of the engine's process (bytes); null where the system does not say. */
  residentMemory(): number | null {
    try {
      const status = readFileSync(`/proc/${this.#supervisor.state.pid}/status`, 'utf8');
      const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1];
      return kilobytes === undefined ? null : Number(kilobytes) * 1_024;
    } catch {
      return null;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#transport[Symbol.asyncDispose]();
    await this.#supervisor[Symbol.asyncDispose]();
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #say(
    { by, adapter, player }: Pick<Spoken, 'by' | 'adapter' | 'player'>,
    onFirst: () => void,
    signal: AbortSignal,
  ): Promise<string> {
    let text = '';
    const messages = chat(persona(adapter, seeded(this.#options.seed + adapter), true), player);
    const request = {
      requestId: 'bench',
      model: 'bench',
      ...(by === null ? {} : { adapter: by }),
      messages,
      assistantPrefix: '',
      maxTokens: LINE_TOKENS,
      temperature: 0,
      stop: [],
      priority: 'interactive' as const,
      scene: {
        npcId: `npc${adapter}`,
        tier: 2 as const,
        playerId: null,
        trigger: null,
        cause: null,
        mood: null,
        facts: [],
        committed: [],
      },
    };
    for await (const event of this.#engine.generate(request, signal)) {
      if (event.type !== 'text' || event.text === '') continue;
      if (text === '') onFirst();
      text += event.text;
    }
    // An adapter of random weights may end at once; that is an answer, too.
    if (text === '') onFirst();
    return text;
  }
}

export function recordOf(artefact: AdapterArtefact, name: string, version: string): AdapterRecord {
  return {
    name,
    version,
    digest: artefact.digest,
    base: MODEL,
    baseDigest: null,
    architecture: artefact.architecture,
    layers: artefact.layers,
    rank: artefact.rank,
    alpha: artefact.alpha,
    targetModules: artefact.targetModules,
    bytes: artefact.bytes,
    ggufBytes: artefact.ggufBytes,
    licence: null,
    trainingRun: null,
    notes: null,
    source: 'seeded',
    addedBy: 'bench',
    addedAtMs: 0,
  };
}

function opening(text: string): string {
  return text.trim().split(/\s+/).slice(0, TELLS_WORDS).join(' ');
}
