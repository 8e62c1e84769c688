/** A plan as text for people, and as JSON for programs. The same plan gives the same bytes. */
import { corrections } from './corrected.ts';
import type { Plan } from './plan.ts';
import { linesPerSecond } from './workload.ts';

/** Lines for a terminal, at most some hundred columns wide. */
export function planAsText(plan: Plan): readonly string[] {
  const { input, figures, cost } = plan;
  const { options, engineClass, cloud } = input;
  const meanPerSecond = linesPerSecond(input.workload);
  return [
    `${options.players.toLocaleString('en-US')} players, ${options.dialoguesPerPlayerHour} dialogues of ${options.turnsMean} turns an hour each, barks beside them: ${fixed(meanPerSecond)} lines a second, ${fixed(meanPerSecond * options.burstFactor)} in a burst.`,
    '',
    plan.isTooSlow
      ? `Too slow: on ${engineClass.name} (${engineClass.machine}, ${engineClass.model}) lines are late that wait for nobody, so no number of them holds; what follows is of engines that are mostly idle. Take a faster class, or allow more with --first-sentence-ms.`
      : plan.holds
        ? `${plan.engines} × ${engineClass.name} (${engineClass.machine}, ${engineClass.model}), and ${plan.spare} spare.`
        : `Not enough: even ${plan.engines} × ${engineClass.name} (${engineClass.machine}, ${engineClass.model}) do not hold; what follows is of so many.`,
    methodOf(plan),
    '',
    ...table(
      [
        'tier',
        'lines',
        'barks',
        'TTFT p50',
        'TTFT p95',
        'TTFS p50',
        'TTFS p95',
        'limit',
        'in time',
        'stand-ins',
      ],
      figures.tiers.map((tier) => [
        String(tier.tier),
        String(tier.lines),
        String(tier.lines - tier.asked),
        ms(tier.ttftP50Ms),
        ms(tier.ttftP95Ms),
        ms(tier.ttfsP50Ms),
        ms(tier.ttfsP95Ms),
        ms(tier.limitMs),
        percent(tier.inTime),
        percent(tier.standIns),
      ]),
    ),
    '',
    `Lines from: engines ${percent(figures.sources.engine)}, dialogue cache ${percent(figures.sources.cache)}, written ${percent(figures.sources.written)} (barks are written lines by design), cloud ${percent(figures.sources.cloud)}.`,
    `Prompt tokens from a prefix cache: ${percent(figures.cachedTokens)} of ${Math.round(figures.promptTokens)} a line; an answer has ${Math.round(figures.completionTokens)}. Engines busy in the burst: ${percent(figures.utilisation)}.`,
    '',
    ...(cost === null
      ? [
          `Cost: an hour of ${engineClass.name} has no price here (${engineClass.priceSource}); give --usd-per-engine-hour.`,
        ]
      : [
          `Cost: ${usd(cost.usdPerDay)} a day (engines ${usd(cost.enginesUsdPerDay)}, cloud ${usd(cost.cloudUsdPerDay)}), $${cost.usdPerPlayerHour.toFixed(5)} a player-hour, ${usd(cost.usdPerThousandDialogues)} for a thousand dialogues.`,
          `  ${options.engineHoursPerDay} engine hours and ${options.hoursPerDay} hours of play a day; $${engineClass.usdPerHour} an hour: ${engineClass.priceSource}.`,
        ]),
    ...(cloud === null
      ? []
      : [
          `  ${cloud.model}: $${cloud.price.inputUsd} in, $${cloud.price.outputUsd} out a million: ${cloud.priceSource}.`,
        ]),
    '',
    'Beside it, the naive arithmetic of a month, and what is wrong with it:',
    ...corrections(plan).map(
      ({ step, usdPerMonth, reason }) => `  ${usd(usdPerMonth).padStart(10)}  ${step}: ${reason}`,
    ),
    '',
    `Pace of ${engineClass.name}, ${engineClass.origin}: ${engineClass.paceSource}.`,
  ];
}

/** What `--json` prints. */
export function planAsJson(plan: Plan): unknown {
  const { input, figures, cost, naive } = plan;
  const { options, engineClass } = input;
  return {
    players: options.players,
    engine_class: engineClass.name,
    engines: plan.engines,
    spare: plan.spare,
    holds: plan.holds,
    is_too_slow: plan.isTooSlow,
    method: {
      cells: plan.cells,
      players_per_cell: plan.cellPlayers,
      engines_per_cell: figures.engines,
      warm_up_s: options.warmUpS,
      settled_s: options.settledS,
      burst_s: options.burstS,
      seed: options.seed,
    },
    tiers: figures.tiers.map((tier) => ({
      tier: tier.tier,
      lines: tier.lines,
      barks: tier.lines - tier.asked,
      ttft_p50_ms: rounded(tier.ttftP50Ms),
      ttft_p95_ms: rounded(tier.ttftP95Ms),
      ttfs_p50_ms: rounded(tier.ttfsP50Ms),
      ttfs_p95_ms: rounded(tier.ttfsP95Ms),
      limit_ms: tier.limitMs,
      in_time: rounded(tier.inTime, 4),
      stand_ins: rounded(tier.standIns, 4),
    })),
    sources: Object.fromEntries(
      Object.entries(figures.sources).map(([source, share]) => [source, rounded(share, 4)]),
    ),
    cached_prompt_tokens: rounded(figures.cachedTokens, 4),
    prompt_tokens: rounded(figures.promptTokens),
    completion_tokens: rounded(figures.completionTokens),
    utilisation: rounded(figures.utilisation, 4),
    cost:
      cost === null
        ? null
        : {
            usd_per_day: rounded(cost.usdPerDay, 2),
            engines_usd_per_day: rounded(cost.enginesUsdPerDay, 2),
            cloud_usd_per_day: rounded(cost.cloudUsdPerDay, 2),
            usd_per_player_hour: rounded(cost.usdPerPlayerHour, 6),
            usd_per_thousand_dialogues: rounded(cost.usdPerThousandDialogues, 4),
          },
    naive: {
      cloud_only_usd_per_month: naive.cloudOnlyUsdPerMonth,
      hybrid_usd_per_month: naive.hybridUsdPerMonth,
      saved_share: rounded(naive.savedShare, 4),
      corrected: corrections(plan).map(({ step, usdPerMonth, reason }) => ({
        step,
        usd_per_month: rounded(usdPerMonth, 2),
        reason,
      })),
    },
    sources_of_figures: {
      pace: engineClass.paceSource,
      pace_origin: engineClass.origin,
      price: engineClass.priceSource,
    },
  };
}

function methodOf({ cells, cellPlayers, figures, input, linesPlayed }: Plan): string {
  const { warmUpS, settledS, burstS, burstFactor, seed } = input.options;
  const played = `${linesPlayed.toLocaleString('en-US')} lines played through the service on a simulated clock (seed ${seed}): engines counted with caches ${warmUpS} s old, as after a restart, figures with caches ${settledS} s old; both over ${burstS} s at ${burstFactor} times the mean load`;
  return cells === 1
    ? `${played}.`
    : `${cells} equal cells of ${cellPlayers.toLocaleString('en-US')} players and ${figures.engines} engines, one of them played: ${played}.`;
}

function rounded(value: number | null, digits = 1): number | null {
  return value === null ? null : Math.round(value * 10 ** digits) / 10 ** digits;
}

function ms(value: number | null): string {
  return value === null ? '–' : `${Math.round(value)} ms`;
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}

function usd(value: number): string {
  return `$${value.toLocaleString('en-US', { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`;
}

function fixed(value: number): string {
  return value.toFixed(1);
}

function table(heads: readonly string[], rows: readonly (readonly string[])[]): readonly string[] {
  const widths = heads.map((head, at) => Math.max(head.length, ...rows.map((row) => row[at]?.length ?? 0)));
  return [heads, ...rows].map((row) =>
    row
      .map((cell, at) => cell.padStart(widths[at] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}
