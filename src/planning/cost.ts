/** Money of a plan: engines are paid for every hour they stand, clouds for every line. US dollars, days and hours of play. */

/** 365 / 12. */
export const MEAN_DAYS_PER_MONTH = 365 / 12;

export interface CostInput {
  readonly players: number;
  readonly dialoguesPerPlayerHour: number;
  /** Hours a day in which so many play. */
  readonly hoursPerDay: number;
  /** Engines that stand, spares included. */
  readonly engines: number;
  readonly usdPerEngineHour: number;
  /** Hours a day for which they are paid; 24 when nobody turns them off at night. */
  readonly engineHoursPerDay: number;
  readonly cloudUsdPerDialogue: number;
}

export interface Cost {
  readonly dialoguesPerDay: number;
  readonly enginesUsdPerDay: number;
  readonly cloudUsdPerDay: number;
  readonly usdPerDay: number;
  readonly usdPerPlayerHour: number;
  readonly usdPerThousandDialogues: number;
}

export function costOf(input: CostInput): Cost {
  const dialoguesPerDay = input.players * input.hoursPerDay * input.dialoguesPerPlayerHour;
  const enginesUsdPerDay = input.engines * input.usdPerEngineHour * input.engineHoursPerDay;
  const cloudUsdPerDay = dialoguesPerDay * input.cloudUsdPerDialogue;
  const usdPerDay = enginesUsdPerDay + cloudUsdPerDay;
  return {
    dialoguesPerDay,
    enginesUsdPerDay,
    cloudUsdPerDay,
    usdPerDay,
    usdPerPlayerHour: usdPerDay / (input.players * input.hoursPerDay),
    usdPerThousandDialogues: (usdPerDay / dialoguesPerDay) * 1_000,
  };
}
