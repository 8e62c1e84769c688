/**
 * From the name in a request to a pool: `llama-3.1-8b@2026-05`, `llama-3.1-8b@stable`, `llama-3.1-8b` with a version in
 * x-model-version, or a pool's own name. Versions are what the pools have; aliases are the operator's.
 */
import { ServiceError } from '../core/errors.ts';
import type { ModelsOptions } from './options.ts';
import type { Pool } from './pool.ts';

/** The alias that is taken where a request names no version. */
export const DEFAULT_ALIAS = 'stable';

export interface ListedModel {
  /** As a request may name it: `model@version`, `model@alias`, `model` or the pool's name. */
  readonly id: string;
  readonly pool: Pool;
}

export class ModelVersions {
  readonly #byName = new Map<string, Map<string, Pool>>();
  readonly #aliases: ModelsOptions;
  readonly #pools: ReadonlyMap<string, Pool>;

  constructor(pools: ReadonlyMap<string, Pool>, models: ModelsOptions) {
    this.#pools = pools;
    this.#aliases = models;
    for (const pool of pools.values()) {
      if (pool.model === null) continue;
      const versions = this.#byName.get(pool.model) ?? new Map<string, Pool>();
      this.#byName.set(pool.model, versions);
      const version = pool.modelVersion ?? '';
      if (!versions.has(version)) versions.set(version, pool);
    }
  }

  /** Everything that `resolve` finds, the pools first. */
  list(): readonly ListedModel[] {
    const listed: ListedModel[] = [...this.#pools.values()].map((pool) => ({ id: pool.name, pool }));
    for (const [model, versions] of this.#byName) {
      const pool = this.#version(model, versions, null);
      if (pool !== undefined) listed.push({ id: model, pool });
      for (const [version, each] of versions)
        if (version !== '') listed.push({ id: `${model}@${version}`, pool: each });
      for (const alias of Object.keys(this.#aliases[model]?.aliases ?? {})) {
        const found = this.#version(model, versions, alias);
        if (found !== undefined) listed.push({ id: `${model}@${alias}`, pool: found });
      }
    }
    const seen = new Set<string>();
    return listed.filter(({ id }) => !seen.has(id) && seen.add(id));
  }

  /**
   * The pool for a name and the version of a header, null where there was none. Throws `unknown_model` with what exists
   * (details `available`), `bad_request` when name and header ask for different versions.
   */
  resolve(name: string, headerVersion: string | null): Pool {
    const at = name.lastIndexOf('@');
    // A model's own name may hold an @, so the whole name is looked up first.
    const isWhole = at <= 0 || this.#byName.has(name) || this.#pools.has(name);
    const model = isWhole ? name : name.slice(0, at);
    const inName = isWhole ? null : name.slice(at + 1);
    if (inName !== null && headerVersion !== null && inName !== headerVersion) {
      const [one, other] = [this.#find(model, inName), this.#find(model, headerVersion)];
      if (one !== other)
        throw new ServiceError(
          'bad_request',
          `the model name asks for version ${quoted(inName)} and x-model-version for ${quoted(headerVersion)}; name one of them`,
        );
    }
    const version = inName ?? headerVersion;
    const pool = this.#find(model, version);
    if (pool !== undefined) return pool;
    const available = this.list().map(({ id }) => id);
    const asked = version === null ? model : `${model}@${version}`;
    throw new ServiceError(
      'unknown_model',
      `no model ${quoted(asked)}; there is ${available.length === 0 ? 'none' : available.join(', ')}`,
      { details: { available } },
    );
  }

  #find(model: string, version: string | null): Pool | undefined {
    const versions = this.#byName.get(model);
    const found = versions === undefined ? undefined : this.#version(model, versions, version);
    if (found !== undefined) return found;
    // A pool's name stands for the one version that it has.
    const pool = this.#pools.get(model);
    if (pool === undefined || version === null || version === pool.modelVersion) return pool;
    const aliased = this.#aliases[pool.model ?? '']?.aliases[version];
    return aliased !== undefined && aliased === pool.modelVersion ? pool : undefined;
  }

  #version(model: string, versions: ReadonlyMap<string, Pool>, version: string | null): Pool | undefined {
    const aliases = this.#aliases[model]?.aliases ?? {};
    if (version !== null) return versions.get(version) ?? versions.get(aliases[version] ?? '\0');
    const stable = aliases[DEFAULT_ALIAS];
    if (stable !== undefined) return versions.get(stable);
    // Without an alias the first in the configuration: adding a version to a file must not move everybody.
    const [first] = versions.values();
    return first;
  }
}

function quoted(text: string): string {
  return JSON.stringify(text.length > 120 ? `${text.slice(0, 120)}…` : text);
}
