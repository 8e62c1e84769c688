/**
 * The map that the trace's players walk: the places of examples/body-broker, the roads between them, and who is met
 * where. Whom players seek is a Zipf law over one list of all NPCs, the most sought first; a place draws as much as
 * those who stand in it.
 */

export interface Spot {
  readonly id: string;
  /** Who stands there, nearest to the road first. */
  readonly residents: readonly string[];
  readonly roads: readonly string[];
}

export const SPOTS: readonly Spot[] = [
  {
    id: 'lamp_street',
    residents: ['human_lamp_watchman', 'human_brass_merchant', 'zombie_lamplighter', 'human_old_broker'],
    roads: ['hook_market', 'registry', 'orrin_tower', 'quiet_rows'],
  },
  {
    id: 'hook_market',
    residents: ['ghoul_hook_porter', 'ghoul_market_wife'],
    roads: ['lamp_street', 'tannery_side', 'velvet_terraces', 'the_weir'],
  },
  {
    id: 'velvet_terraces',
    residents: [
      'vampire_terrace_footman',
      'vampire_debt_clerk',
      'vampire_salon_keeper',
      'vampire_tithe_lord',
    ],
    roads: ['hook_market', 'ninth_ossuary'],
  },
  {
    id: 'quiet_rows',
    residents: ['human_grave_digger', 'ghoul_bone_tout'],
    roads: ['lamp_street', 'ninth_ossuary'],
  },
  { id: 'the_weir', residents: ['zombie_weir_drifter'], roads: ['hook_market', 'tannery_side'] },
  {
    id: 'tannery_side',
    residents: ['werewolf_tannery_cutter', 'werewolf_pack_mother'],
    roads: ['hook_market', 'the_weir'],
  },
  {
    id: 'ninth_ossuary',
    residents: ['lich_ossuary_keeper', 'lich_bench_president'],
    roads: ['quiet_rows', 'velvet_terraces'],
  },
  { id: 'orrin_tower', residents: ['human_sold_man'], roads: ['lamp_street', 'registry'] },
  {
    id: 'registry',
    residents: ['human_registry_clerk', 'zombie_unclaimed_bride'],
    roads: ['lamp_street', 'orrin_tower'],
  },
];

/** Most sought first: those who buy, sell and stamp, then those met in the street, then those of a quest, last bosses. */
export const NPCS_BY_DEMAND: readonly string[] = [
  'ghoul_market_wife',
  'human_brass_merchant',
  'human_registry_clerk',
  'ghoul_hook_porter',
  'human_lamp_watchman',
  'human_grave_digger',
  'zombie_lamplighter',
  'ghoul_bone_tout',
  'werewolf_tannery_cutter',
  'vampire_terrace_footman',
  'human_old_broker',
  'zombie_unclaimed_bride',
  'vampire_debt_clerk',
  'zombie_weir_drifter',
  'lich_ossuary_keeper',
  'werewolf_pack_mother',
  'vampire_salon_keeper',
  'human_sold_man',
  'lich_bench_president',
  'vampire_tithe_lord',
];

/** How strongly each NPC is sought: 1 / rank^exponent. */
export function demandOf(exponent: number): ReadonlyMap<string, number> {
  return new Map(NPCS_BY_DEMAND.map((npcId, index) => [npcId, 1 / (index + 1) ** exponent]));
}

const spots = new Map(SPOTS.map((spot) => [spot.id, spot]));

/** Throws for a name that is on no map. */
export function spotOf(id: string): Spot {
  const spot = spots.get(id);
  if (spot === undefined)
    throw new Error(`no place is called ${id}; expected one of ${[...spots.keys()].join(', ')}`);
  return spot;
}

/** Roads between two places, 0 for the same. */
export function roadsBetween(from: string, to: string): number {
  const seen = new Set([from]);
  let edge = [from];
  for (let roads = 0; edge.length > 0; roads += 1) {
    if (edge.includes(to)) return roads;
    edge = edge.flatMap((id) => spotOf(id).roads.filter((next) => !seen.has(next)));
    for (const id of edge) seen.add(id);
  }
  throw new Error(`no road leads from ${from} to ${to}`);
}
