/** What the configuration can say about jobs. Webhooks are off until a host is named: only the operator says who is told. */
import { z } from 'zod';

const webhookHost = z.strictObject({
  host: z
    .string()
    .regex(
      /^[a-z0-9.-]+(?::\d{1,5})?$|^\[[0-9a-f:]+\](?::\d{1,5})?$/,
      'expected a host in small letters, with a port where it has one',
    )
    .describe(
      'Host, and port where it is not 443, exactly as it stands in the address: `game.example`, `127.0.0.1:9000`.',
    ),
  secretEnv: z
    .string()
    .regex(/^[A-Z_][A-Z0-9_]*$/, 'the name of an environment variable: capital letters, digits and _')
    .describe(
      'Environment variable with the secret that signs what is sent there; `whsec_…` is read as Base64.',
    ),
});

export const jobsOptionsSchema = z.strictObject({
  maxRunning: z
    .int()
    .min(1)
    .max(1_000)
    .default(4)
    .describe('Jobs worked on at once in this process; raise it with what the engines of tier 4 take.'),
  maxQueued: z
    .int()
    .min(1)
    .max(1_000_000)
    .default(1_000)
    .describe('Jobs that may wait; one more is answered 503.'),
  timeoutSeconds: z
    .int()
    .min(1)
    .max(86_400)
    .default(600)
    .describe('The longest a job may run from when it is taken; then it has failed.'),
  retentionHours: z
    .number()
    .min(0.01)
    .max(8_760)
    .default(72)
    .describe('Hours that a job is kept after its end; a longer time lets games fetch results later.'),
  webhookHosts: z
    .array(webhookHost)
    .max(100)
    .default([])
    .describe(
      'Hosts that the end of a job may be told to, over https (http on this machine); none: webhooks are off.',
    ),
});

export type JobsOptions = z.infer<typeof jobsOptionsSchema>;
