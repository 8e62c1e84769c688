/** What may be spent, as the operator writes it. */
import { z } from 'zod';
import { priceSchema } from './price.ts';

const usdADay = z.number().min(0).max(1_000_000);

export const spendingOptionsSchema = z
  .strictObject({
    dailyUsd: usdADay
      .optional()
      .describe('Most US dollars that all paid engines together may cost in a day (UTC); default: no cap.'),
    tiers: z
      .partialRecord(z.enum(['1', '2', '3', '4']), z.strictObject({ dailyUsd: usdADay }))
      .default({})
      .describe('Caps of single tiers: {"4": {"dailyUsd": 20}}.'),
    prices: z
      .array(priceSchema)
      .max(1_000)
      .default([])
      .describe('The price table. Every paid engine needs a row for its model, or it does not start.'),
  })
  .prefault({})
  .describe('Money: prices, and caps that hold under concurrency and after a crash.');
export type SpendingOptions = z.infer<typeof spendingOptionsSchema>;
