/** Options of the shared tier: where Valkey or Redis is, and how little it may cost when it is not. */
import { z } from 'zod';

export const sharedRecallOptionsSchema = z
  .strictObject({
    url: z
      .string()
      .min(1)
      .max(2_000)
      .optional()
      .describe(
        'Address of Valkey or Redis, from version 6 on: redis://user@host:6379/0, rediss:// for TLS, unix:///path/to.sock. Set it when more than one gateway speaks for the same cast; without it each remembers for itself.',
      ),
    passwordEnv: z
      .string()
      .min(1)
      .optional()
      .describe('Name of the environment variable that holds its password; wins over one in the address.'),
    caFile: z
      .string()
      .min(1)
      .optional()
      .describe(
        'PEM file with the authority that signed its certificate, where the system does not know it.',
      ),
    keyPrefix: z
      .string()
      .regex(/^[\w.:-]{0,60}$/)
      .default('greenroom:recall:')
      .describe('What all its keys begin with; another for each studio or stage that shares the server.'),
    waitMs: z
      .number()
      .min(0.5)
      .max(1_000)
      .default(2)
      .describe('Milliseconds that a request waits for its answer; then it goes on as if there were none.'),
    leaseMs: z
      .int()
      .min(50)
      .max(60_000)
      .default(1_500)
      .describe(
        'Milliseconds after which a gateway that fell silent no longer holds what it generates; until then others wait for its sentences.',
      ),
    entryBytesMax: z
      .int()
      .min(1_024)
      .max(16 * 2 ** 20)
      .default(256 * 2 ** 10)
      .describe('Largest entry that is read or written, in bytes: all variants of one question.'),
    unansweredMax: z
      .int()
      .min(1)
      .max(100_000)
      .default(2_000)
      .describe(
        'Questions to it that may be without an answer at once; the next goes on as if it were away.',
      ),
    queuedMax: z
      .int()
      .min(1)
      .max(10_000)
      .default(256)
      .describe('Lines that may wait to be kept; the oldest is dropped for one more.'),
    restMs: z
      .int()
      .min(10)
      .max(60_000)
      .default(1_000)
      .describe('Milliseconds that a slow server is left alone before it is tried again, off every request.'),
  })
  .describe('What gateways share of the dialogue cache, in Valkey or Redis.');
export type SharedRecallOptions = z.output<typeof sharedRecallOptionsSchema>;
