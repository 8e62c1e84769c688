/** A program that leads a flight, says one sentence and waits to be killed: `node flight-leader.ts <url> <key> <lease ms>`. */

import { openTier } from './redis-tier.ts';
import { aSource, leaseOf } from './shared-tier-conformance.ts';

const [url = '', key = '', leaseMs = ''] = process.argv.slice(2);
const { tier } = await openTier({ url }, { leaseMs: Number(leaseMs) });
const lease = leaseOf(await tier.look(key, true, new AbortController().signal));
lease.said('I shall tell you all of it:', aSource);
process.stdout.write('leading\n');
