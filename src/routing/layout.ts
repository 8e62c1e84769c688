/**
 * Which engines stand in which pool, and whether what the configuration names exists. A pool holds engines and an alias
 * names a version, never one another, so no circle can arise; what would be one is refused with its key.
 */
import type { ModelsOptions, PoolsOptions } from './options.ts';
import { WRITTEN_RUNG } from './plan.ts';

export interface LayoutInput {
  /** Engines by name, in the order of the file. */
  readonly engines: Readonly<
    Record<string, { readonly model: string; readonly modelVersion?: string | null }>
  >;
  readonly pools: PoolsOptions;
  readonly models: ModelsOptions;
  readonly tiers: Readonly<Record<string, { readonly rungs: readonly string[] }>>;
}

/** Engine names by pool name: the pools of the file, then each engine in no pool as a pool of its own name. */
export function poolLayout(
  engines: readonly string[],
  pools: PoolsOptions,
): ReadonlyMap<string, readonly string[]> {
  const layout = new Map<string, readonly string[]>();
  const pooled = new Set<string>();
  for (const [name, pool] of Object.entries(pools)) {
    layout.set(name, pool.engines);
    for (const engine of pool.engines) pooled.add(engine);
  }
  for (const engine of engines) if (!pooled.has(engine) && !layout.has(engine)) layout.set(engine, [engine]);
  return layout;
}

/** What is wrong, one line each: key path, value, what was expected and near names. Empty: nothing. */
export function layoutFaults({ engines, pools, models, tiers }: LayoutInput): readonly string[] {
  const engineNames = Object.keys(engines);
  const layout = poolLayout(engineNames, pools);
  return [
    ...poolFaults(engines, pools),
    ...Object.entries(tiers).flatMap(([tier, { rungs }]) =>
      rungFaults(tier, rungs, [...layout.keys()], pools),
    ),
    ...aliasFaults(engines, models),
  ];
}

function poolFaults(engines: LayoutInput['engines'], pools: PoolsOptions): string[] {
  const faults: string[] = [];
  const known = Object.keys(engines);
  for (const [name, pool] of Object.entries(pools)) {
    const at = (index: number) => `pools.${name}.engines.${index}: `;
    if (known.includes(name) && !pool.engines.includes(name))
      faults.push(`pools.${name}: is also the name of an engine that is not in it; rename one of them`);
    if (name === WRITTEN_RUNG) faults.push(`pools.${name}: the name stands for the written lines`);
    pool.engines.forEach((engine, index) => {
      if (known.includes(engine)) {
        if (pool.engines.indexOf(engine) !== index)
          faults.push(`${at(index)}${quoted(engine)} is named twice`);
      } else if (engine in pools) {
        faults.push(
          `${at(index)}${quoted(engine)} is a pool${engine === name ? ', this very one' : ''}; a pool holds engines: ${known.join(', ')}`,
        );
      } else faults.push(`${at(index)}${quoted(engine)} is no engine; expected ${expected(engine, known)}`);
    });
    const versions = new Set(
      pool.engines.flatMap((engine) => {
        const found = engines[engine];
        return found === undefined ? [] : [found.modelVersion ?? null];
      }),
    );
    if (versions.size > 1)
      faults.push(
        `pools.${name}.engines: have different model versions (${[...versions].map((each) => each ?? 'none').join(', ')}); a pool is one version of one model`,
      );
  }
  return faults;
}

function rungFaults(
  tier: string,
  rungs: readonly string[],
  known: readonly string[],
  pools: PoolsOptions,
): string[] {
  if (rungs.length === 0)
    return [
      `tiers.${tier}.rungs: is empty; name a pool (${known.join(', ')}), or ${quoted(WRITTEN_RUNG)} when written lines alone shall speak`,
    ];
  return rungs.flatMap((rung, index) => {
    const path = `tiers.${tier}.rungs.${index}: ${quoted(rung)}`;
    if (rungs.indexOf(rung) !== index) return [`${path} is named twice`];
    if (rung === WRITTEN_RUNG)
      return index === rungs.length - 1 ? [] : [`${path} is the last rung; nothing can stand below it`];
    if (known.includes(rung)) return [];
    const home = Object.entries(pools).find(([, { engines }]) => engines.includes(rung));
    if (home !== undefined) return [`${path} is an engine of pool ${home[0]}; name the pool`];
    return [`${path} is no pool; expected ${expected(rung, known)}`];
  });
}

function aliasFaults(engines: LayoutInput['engines'], models: ModelsOptions): string[] {
  const faults: string[] = [];
  for (const [model, { aliases }] of Object.entries(models)) {
    const mine = Object.values(engines).filter((engine) => engine.model === model);
    if (mine.length === 0) {
      const known = [...new Set(Object.values(engines).map((engine) => engine.model))];
      faults.push(`models.${model}: no engine has this model; expected ${expected(model, known)}`);
      continue;
    }
    const versions = [...new Set(mine.flatMap(({ modelVersion }) => modelVersion ?? []))];
    for (const [alias, version] of Object.entries(aliases)) {
      const path = `models.${model}.aliases.${alias}: ${quoted(version)}`;
      if (versions.includes(alias)) faults.push(`${path} has the name of a version; rename the alias`);
      if (versions.includes(version)) continue;
      faults.push(
        version in aliases
          ? `${path} is an alias${version === alias ? ', this very one' : ''}; an alias names a version: ${versions.join(', ')}`
          : `${path} is no version of it; expected ${expected(version, versions)}`,
      );
    }
  }
  return faults;
}

/** All names when they are few, the nearest ones first in any case. */
function expected(name: string, known: readonly string[]): string {
  if (known.length === 0) return 'none: there is none';
  const near = known.toSorted((a, b) => editDistance(name, a) - editDistance(name, b)).slice(0, 8);
  return `one of ${near.join(', ')}${known.length > near.length ? `, and ${known.length - near.length} more` : ''}`;
}

/** Levenshtein distance: insertions, deletions and replacements. */
function editDistance(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, index) => index);
  for (let i = 1; i <= one.length; i++) {
    const next = [i];
    for (let j = 1; j <= other.length; j++)
      next.push(
        Math.min(
          (next[j - 1] ?? 0) + 1,
          (row[j] ?? 0) + 1,
          (row[j - 1] ?? 0) + (one[i - 1] === other[j - 1] ? 0 : 1),
        ),
      );
    row = next;
  }
  return row[other.length] ?? 0;
}

function quoted(text: string): string {
  return JSON.stringify(text);
}
