/**
 * The adapters inside a double: what it holds by what name and path, how many it takes, and, as switches, the traps that
 * real engines are known for (engines.md §14). Its files are those of the disk: a path without an `adapter_config.json` is
 * no adapter. A restart loses all of them.
 */
import { readFile } from 'node:fs/promises';
import path from 'node:path';

export interface AdapterFile {
  readonly rank: number;
}

export interface HeldAdapter {
  readonly path: string;
  /** Its number at wires that have numbers: the asker's own, or how many were loaded before it. */
  readonly id: number;
}

export interface DoubleAdaptersOptions {
  /** Adapters of one batch. */
  readonly slots?: number;
  readonly rankMax?: number;
  /** Whether adapters can be loaded and unloaded by call. */
  readonly takesCalls?: boolean;
  /** What lies at a path; null: nothing. Left out: read from the disk. */
  readonly read?: (path: string) => AdapterFile | null | Promise<AdapterFile | null>;
}

/** What the known traps of engines do to a double; all off at first. */
export interface AdapterTraps {
  /** Says that it loaded, and answers as the base (vLLM #12199). */
  answersAsBase: boolean;
  /** Answers as this one whatever it is asked for (vLLM #47724, llama-server #26207). */
  answersAs: string | null;
  /** The base answers as this one (vLLM PR #48421, on the processor: the one beside it in a batch). */
  baseAnswersAs: string | null;
  /** Says that it unloaded, and its memory stays taken (vLLM #54839): `taken` does not fall. */
  keepsUnloaded: boolean;
  /** The next loads wait for this (vLLM PR #31941). */
  loadsWaitFor: Promise<void> | null;
}

/** What every answer of an adapter begins its words with: of our names the digits of the digest, so of equal weights equal. */
export function voiceOf(name: string): string {
  return /-([0-9a-f]{8})$/.exec(name)?.[1] ?? name;
}

export class DoubleAdapters {
  readonly traps: AdapterTraps = {
    answersAsBase: false,
    answersAs: null,
    baseAnswersAs: null,
    keepsUnloaded: false,
    loadsWaitFor: null,
  };
  /** In the order of their loading. */
  readonly held = new Map<string, HeldAdapter>();
  /** The paths of all that were ever loaded, for engines that load again what is asked for. */
  readonly remembered = new Map<string, string>();
  /** Names that spoke, in the order of their first line. */
  readonly spoken: string[] = [];
  takesCalls: boolean;
  slots: number;
  rankMax: number;
  /** Places in memory that are taken; more than are held where unloading frees nothing. */
  taken = 0;
  loads = 0;
  unloads = 0;
  readonly #read: NonNullable<DoubleAdaptersOptions['read']>;

  constructor({
    slots = 4,
    rankMax = 64,
    takesCalls = true,
    read = readFromDisk,
  }: DoubleAdaptersOptions = {}) {
    this.slots = slots;
    this.rankMax = rankMax;
    this.takesCalls = takesCalls;
    this.#read = read;
  }

  /** What lies at this path, once no trap holds the load up. */
  async read(folder: string): Promise<AdapterFile | null> {
    await this.traps.loadsWaitFor;
    return await this.#read(folder);
  }

  hold(name: string, folder: string, id = this.loads): void {
    this.held.set(name, { path: folder, id });
    this.loads += 1;
    this.taken += 1;
  }

  drop(name: string): void {
    if (!this.held.delete(name)) return;
    this.unloads += 1;
    if (!this.traps.keepsUnloaded) this.taken -= 1;
  }

  /** A line of this adapter, or of the base, begins; gives its voice, or another's where a trap makes it so. Empty: none. */
  speak(name: string | null): string {
    const { answersAsBase, answersAs, baseAnswersAs } = this.traps;
    if (name === null) return baseAnswersAs === null ? '' : voiceOf(baseAnswersAs);
    if (!this.spoken.includes(name)) this.spoken.push(name);
    return answersAsBase ? '' : voiceOf(answersAs ?? name);
  }

  /** The process is another one. */
  restart(): void {
    this.held.clear();
    this.remembered.clear();
    this.spoken.length = 0;
    this.taken = 0;
  }
}

async function readFromDisk(folder: string): Promise<AdapterFile | null> {
  try {
    const config = JSON.parse(await readFile(path.join(folder, 'adapter_config.json'), 'utf8')) as {
      readonly r?: unknown;
    };
    return { rank: Number(config.r) };
  } catch {
    return null;
  }
}
