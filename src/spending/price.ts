/**
 * What tokens cost. Prices are data of the configuration with the day they hold from, because they change within weeks,
 * by prompt length and by hour (engines.md §10.7). A dollar for a million tokens is a micro-dollar for one.
 */
import { z } from 'zod';
import type { EngineUsage } from '../core/engine.ts';

const usdPerMillion = z.number().min(0).max(10_000);
const minuteOfDay = z.string().regex(/^(?:[01]\d|2[0-3]):[0-5]\d$/, 'expected HH:MM, UTC');
const WEEKDAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] as const;

export const priceSchema = z
  .strictObject({
    model: z
      .string()
      .min(1)
      .describe("The engine's own name for the model; `*` at the end stands for the rest."),
    effectiveFrom: z.iso
      .date()
      .describe('First day (UTC) on which this row holds; the newest that holds counts.'),
    inputUsd: usdPerMillion.describe('US dollars for a million prompt tokens.'),
    cachedInputUsd: usdPerMillion
      .optional()
      .describe('For a million prompt tokens read from the cache; default: inputUsd.'),
    cacheWriteUsd: usdPerMillion
      .optional()
      .describe('For a million prompt tokens written to the cache; default: inputUsd.'),
    outputUsd: usdPerMillion.describe('For a million completion tokens, thought ones included.'),
    longPrompt: z
      .strictObject({
        overTokens: z.int().min(1).describe('Prompts longer than this cost more, all of their tokens.'),
        inputFactor: z.number().min(1).max(100).describe('Times the prices of the prompt.'),
        outputFactor: z.number().min(1).max(100).describe('Times the price of the completion.'),
      })
      .optional()
      .describe('A higher price for long prompts.'),
    peak: z
      .strictObject({
        factor: z.number().min(0).max(100).describe('Times every price of this row.'),
        hours: z
          .array(z.tuple([minuteOfDay, minuteOfDay]))
          .min(1)
          .describe('From and to, UTC, the end excluded: [["01:00","04:00"]].'),
        days: z.array(z.enum(WEEKDAYS)).min(1).default(['mon', 'tue', 'wed', 'thu', 'fri']),
      })
      .optional()
      .describe('Hours at which every price of this row is multiplied.'),
    source: z.string().optional().describe('Where the price was read, for people.'),
  })
  .describe('The price of a model from a day on.');
export type Price = z.infer<typeof priceSchema>;

export class PriceTable {
  readonly #prices: readonly Price[];

  constructor(prices: readonly Price[]) {
    this.#prices = prices;
  }

  /** The row that holds for a model at a time (epoch ms): an exact name before a pattern, then the newest day. Null: no row. */
  of(model: string, atMs: number): Price | null {
    const day = utcDay(atMs);
    let best: Price | null = null;
    for (const price of this.#prices) {
      if (price.effectiveFrom > day || !matches(price.model, model)) continue;
      if (best === null || rank(price) > rank(best)) best = price;
    }
    return best;
  }

  /**
   * Integer micro-dollars, rounded up; 0 for a model without a price. Cached and written tokens are part of the prompt
   * tokens, and thought ones of the completion (engines.md §13.3).
   */
  costMicroUsd(model: string, usage: EngineUsage, atMs: number): number {
    const price = this.of(model, atMs);
    if (price === null) return 0;
    const cached = Math.min(usage.cachedTokens, usage.promptTokens);
    const written = Math.min(usage.cacheWriteTokens ?? 0, usage.promptTokens - cached);
    const isLong = price.longPrompt !== undefined && usage.promptTokens > price.longPrompt.overTokens;
    const prompt =
      (usage.promptTokens - cached - written) * price.inputUsd +
      cached * (price.cachedInputUsd ?? price.inputUsd) +
      written * (price.cacheWriteUsd ?? price.inputUsd);
    const total =
      prompt * (isLong ? (price.longPrompt?.inputFactor ?? 1) : 1) +
      usage.completionTokens * price.outputUsd * (isLong ? (price.longPrompt?.outputFactor ?? 1) : 1);
    // Rounding up is safe for a cap; the small number takes floating-point dust off whole figures.
    return Math.ceil(total * peakFactor(price, atMs) - 1e-6);
  }

  /** The most that a call can cost: nothing cached, everything written, every token spoken. */
  worstMicroUsd(model: string, promptTokens: number, maxTokens: number, atMs: number): number {
    const price = this.of(model, atMs);
    const writes = (price?.cacheWriteUsd ?? 0) > (price?.inputUsd ?? 0);
    return this.costMicroUsd(
      model,
      {
        promptTokens,
        cachedTokens: 0,
        cacheWriteTokens: writes ? promptTokens : 0,
        completionTokens: maxTokens,
        source: 'estimated',
      },
      atMs,
    );
  }
}

/** The day of a time (epoch ms), UTC: `2026-11-21`. */
export function utcDay(atMs: number): string {
  return new Date(atMs).toISOString().slice(0, 10);
}

function matches(pattern: string, model: string): boolean {
  return pattern.endsWith('*') ? model.startsWith(pattern.slice(0, -1)) : pattern === model;
}

function rank(price: Price): string {
  const isExact = !price.model.endsWith('*');
  return `${isExact ? '1' : '0'}${String(price.model.length).padStart(4, '0')}${price.effectiveFrom}`;
}

function peakFactor(price: Price, atMs: number): number {
  if (price.peak === undefined) return 1;
  const at = new Date(atMs);
  const day = WEEKDAYS[at.getUTCDay()] ?? 'sun';
  const minute = at.toISOString().slice(11, 16);
  const isPeak =
    price.peak.days.includes(day) && price.peak.hours.some(([from, to]) => minute >= from && minute < to);
  return isPeak ? price.peak.factor : 1;
}
