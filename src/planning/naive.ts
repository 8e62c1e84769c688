/**
 * The arithmetic that everybody does first, as the project's source documents did it: dialogues × tokens × one price, engines
 * at full use and free. It stands beside each plan so that the difference can be seen, and why it is there.
 */

export interface NaiveInput {
  readonly players: number;
  readonly hoursPerDay: number;
  readonly dialoguesPerPlayerHour: number;
  /** Prompt and answer together. */
  readonly tokensPerDialogue: number;
  /** One price for both. */
  readonly usdPerThousandTokens: number;
  readonly daysPerMonth: number;
  /** Share of dialogues that engines of one's own answer (0..1). */
  readonly localShare: number;
  readonly serverUsd: number;
  readonly serverMonths: number;
}

export interface NaiveRow {
  readonly dialoguesPerDay: number;
  readonly cloudOnlyUsdPerMonth: number;
  readonly hybridCloudUsdPerMonth: number;
  readonly hardwareUsdPerMonth: number;
  readonly hybridUsdPerMonth: number;
  readonly savedUsdPerMonth: number;
  /** 0..1 */
  readonly savedShare: number;
}

/** The assumptions of the source document "Cost analysis: hybrid vs cloud-only": GPT-4-turbo at $0.03 for a thousand tokens. */
export const SEEDS_ASSUMPTIONS: NaiveInput = {
  players: 1_000,
  hoursPerDay: 12,
  dialoguesPerPlayerHour: 20,
  tokensPerDialogue: 150,
  usdPerThousandTokens: 0.03,
  daysPerMonth: 30,
  localShare: 0.8,
  serverUsd: 30_000,
  serverMonths: 36,
};

/** In cents within, so that the seeds' round dollars come out to the dollar. */
export function naiveRow(input: NaiveInput): NaiveRow {
  const dialoguesPerDay = input.players * input.hoursPerDay * input.dialoguesPerPlayerHour;
  const centsAMonth = (dialogues: number) =>
    Math.round((dialogues * input.tokensPerDialogue * input.usdPerThousandTokens * input.daysPerMonth) / 10);
  const cloudOnly = centsAMonth(dialoguesPerDay);
  const hybridCloud = centsAMonth(dialoguesPerDay * (1 - input.localShare));
  const hardware = Math.round((input.serverUsd * 100) / input.serverMonths);
  const hybrid = hybridCloud + hardware;
  return {
    dialoguesPerDay,
    cloudOnlyUsdPerMonth: cloudOnly / 100,
    hybridCloudUsdPerMonth: hybridCloud / 100,
    hardwareUsdPerMonth: hardware / 100,
    hybridUsdPerMonth: hybrid / 100,
    savedUsdPerMonth: (cloudOnly - hybrid) / 100,
    savedShare: (cloudOnly - hybrid) / cloudOnly,
  };
}
