/** One engine as the keeper of adapters sees it. Its host makes it when the engine speaks, and ends it with the connection. */
import type { AdapterAddress, AdapterCapacity, EngineAdapters } from '../core/adapter.ts';

export interface AdapterReplica {
  /** The engine's name in the configuration. */
  readonly name: string;
  /** The base model that it runs, as adapters name their base. */
  readonly base: string;
  /** Engines whose greedy text must agree: kind and model. */
  readonly scope: string;
  readonly engine: EngineAdapters;
  /** What the configuration says; goes before what the engine says. */
  readonly limits: AdapterCapacity & { readonly bytesMax: number | null };
  /** Where the engine sees the folder of an artefact; null: where we see it. */
  readonly artefactRoot: string | null;
  /** The greedy answer to one short prompt, by the adapter or by the base. */
  probe(
    prompt: string,
    adapter: AdapterAddress | null,
    maxTokens: number,
    signal: AbortSignal,
  ): Promise<string>;
  /** Tells routing which adapters answer at once here: their engine names. */
  setResident(engineNames: ReadonlySet<string>): void;
}
