/**
 * The naive row put right, step by step, for the game that is planned: each step changes one assumption, names its reason
 * and shows the month it gives. The last one is the plan itself.
 */
import { DEFAULT_CLOUD_PRICE } from './cloud.ts';
import { MEAN_DAYS_PER_MONTH } from './cost.ts';
import { naiveOf, type Plan } from './plan.ts';

export interface Correction {
  readonly step: string;
  readonly usdPerMonth: number;
  readonly reason: string;
}

/** All in US dollars a month of the planned game. */
export function corrections(plan: Plan): readonly Correction[] {
  const { figures, input, cost, naive: row } = plan;
  const naive = naiveOf(input);
  const { options } = input;
  const { workload } = input;
  const dialogues = row.dialoguesPerDay * MEAN_DAYS_PER_MONTH;
  const tokens = figures.promptTokens + figures.completionTokens;
  const price = input.cloud?.price ?? DEFAULT_CLOUD_PRICE;
  const cloudUsd = (lines: number) =>
    (lines * (figures.promptTokens * price.inputUsd + figures.completionTokens * price.outputUsd)) /
    1_000_000;
  const asked = figures.tiers.reduce((sum, tier) => sum + tier.asked, 0) / Math.max(1, figures.lines);
  const generated =
    (workload.turnsMean * (figures.sources.engine + figures.sources.cloud)) / Math.max(0.001, asked);
  const steps: Correction[] = [
    {
      step: 'cloud only, naively',
      usdPerMonth: row.cloudOnlyUsdPerMonth,
      reason: `${row.dialoguesPerDay.toLocaleString('en-US')} dialogues a day × ${naive.tokensPerDialogue} tokens × $${naive.usdPerThousandTokens} for a thousand × ${naive.daysPerMonth} days`,
    },
    {
      step: 'hybrid, naively',
      usdPerMonth: row.hybridUsdPerMonth,
      reason: `${Math.round((1 - naive.localShare) * 100)} % cloud and a server of $${naive.serverUsd.toLocaleString('en-US')} over ${naive.serverMonths} months (−${Math.round(row.savedShare * 100)} %): no burst, no idle hours, no spare, no power, a server that is never too small`,
    },
    {
      step: 'cloud only, prompts counted',
      usdPerMonth: (dialogues * tokens * naive.usdPerThousandTokens) / 1_000,
      reason: `a line reads ${Math.round(figures.promptTokens)} tokens and speaks ${Math.round(figures.completionTokens)}: ${Math.round(tokens)} where the naive sum counts ${naive.tokensPerDialogue}`,
    },
    {
      step: 'cloud only, turns counted',
      usdPerMonth: (dialogues * workload.turnsMean * tokens * naive.usdPerThousandTokens) / 1_000,
      reason: `a dialogue has ${workload.turnsMean} turns, and each reads its prompt again`,
    },
    {
      step: "cloud only, at today's prices",
      usdPerMonth: cloudUsd(dialogues * workload.turnsMean),
      reason: `${price.model}: $${price.inputUsd} in and $${price.outputUsd} out for a million tokens; a prompt token costs less than an answer token`,
    },
    {
      step: 'cloud only, lines that need no model left out',
      usdPerMonth: cloudUsd(dialogues * generated),
      reason: `${percent(figures.sources.cache / Math.max(0.001, asked))} of what is asked comes from the dialogue cache; barks are written and count nowhere here`,
    },
  ];
  if (cost === null || !plan.holds) return steps;
  return [
    ...steps,
    {
      step: 'this plan',
      usdPerMonth: cost.usdPerDay * MEAN_DAYS_PER_MONTH,
      reason: `${plan.engines} engines for a burst of ${workload.burstFactor} times the mean and ${plan.spare} spare, paid ${options.engineHoursPerDay} hours a day, busy ${percent(figures.utilisation)} of the time even in the burst; prompts ${percent(figures.cachedTokens)} read from the prefix cache`,
    },
  ];
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}
