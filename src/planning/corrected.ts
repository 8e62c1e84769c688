/**
 * The naive row put right, step by step, for the game that is planned: each step changes one assumption, names its reason
 * and shows the month it gives. The last one is the plan itself.
 */
import { DEFAULT_CLOUD_PRICE } from './cloud.ts';
import { MEAN_DAYS_PER_MONTH } from './cost.ts';
import type { NaiveInput, NaiveRow } from './naive.ts';
import type { Plan } from './plan.ts';

export interface Correction {
  readonly step: string;
  readonly usdPerMonth: number;
  readonly reason: string;
}

/** All in US dollars a month. The naive rows are for the naive game; corrections are for the planned one. */
export function corrections(plan: Plan, naive: NaiveInput, row: NaiveRow): readonly Correction[] {
  const { figures, input, cost } = plan;
  const { options } = input;
  const dialogues = options.players * options.hoursPerDay * options.dialoguesPerHour * MEAN_DAYS_PER_MONTH;
  const tokens = figures.promptTokens + figures.completionTokens;
  const price = input.cloud?.price ?? DEFAULT_CLOUD_PRICE;
  const cloudUsd = (share: number) =>
    (dialogues *
      share *
      (figures.promptTokens * price.inputUsd + figures.completionTokens * price.outputUsd)) /
    1_000_000;
  const generated = 1 - figures.sources.cache - figures.sources.written;
  const steps: Correction[] = [
    {
      step: 'cloud only, as the source document has it',
      usdPerMonth: row.cloudOnlyUsdPerMonth,
      reason: `${row.dialoguesPerDay.toLocaleString('en-US')} dialogues a day × ${naive.tokensPerDialogue} tokens × $${naive.usdPerThousandTokens} for a thousand × ${naive.daysPerMonth} days`,
    },
    {
      step: 'hybrid, as the source document has it',
      usdPerMonth: row.hybridUsdPerMonth,
      reason: `${Math.round((1 - naive.localShare) * 100)} % cloud and a server of $${naive.serverUsd.toLocaleString('en-US')} over ${naive.serverMonths} months (−${Math.round(row.savedShare * 100)} %): no burst, no idle hours, no spare, no power, a server that is never too small`,
    },
    {
      step: 'cloud only, with the prompts counted',
      usdPerMonth: (dialogues * tokens * naive.usdPerThousandTokens) / 1_000,
      reason: `a line reads ${Math.round(figures.promptTokens)} tokens and speaks ${Math.round(figures.completionTokens)}: ${Math.round(tokens)} where the document counts ${naive.tokensPerDialogue}`,
    },
    {
      step: "cloud only, at today's prices",
      usdPerMonth: cloudUsd(1),
      reason: `${price.model}: $${price.inputUsd} in and $${price.outputUsd} out for a million tokens; a prompt token costs less than an answer token`,
    },
    {
      step: 'cloud only, lines that need no model taken out',
      usdPerMonth: cloudUsd(generated),
      reason: `${percent(figures.sources.cache)} come from the dialogue cache and ${percent(figures.sources.written)} are written`,
    },
  ];
  if (cost === null || !plan.holds) return steps;
  return [
    ...steps,
    {
      step: 'this plan',
      usdPerMonth: cost.usdPerDay * MEAN_DAYS_PER_MONTH,
      reason: `${plan.engines} engines for a burst of ${options.burst} times the mean and ${plan.spare} spare, paid ${options.engineHoursPerDay} hours a day, busy ${percent(figures.utilisation)} of the time even in the burst; prompts ${percent(figures.cachedTokens)} read from the prefix cache`,
    },
  ];
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}
