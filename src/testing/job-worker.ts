/**
 * A gateway to be killed: works off jobs of the store in the folder of its first argument. Each call to its engine is a
 * line in the file of the second argument, written through to the disk; then the engine never answers. With a third
 * argument it hangs before the call instead.
 */
import { appendFileSync, writeSync } from 'node:fs';
import type { RunJob } from '../jobs/runner.ts';
import { realRuntime } from '../runtime.ts';
import { openStore } from '../store/store.ts';
import { silentLogger } from '../telemetry/log.ts';
import { jobService } from './job-service.ts';

const [directory = '', calls = '', hangsBefore = ''] = process.argv.slice(2);
const never = new AbortController().signal;
const store = await openStore({ url: undefined, directory, log: silentLogger, ...realRuntime }, never);
const run: RunJob = async (job, begin) => {
  if (hangsBefore === '') {
    await begin();
    appendFileSync(calls, `${job.id}\n`, { flush: true });
  }
  writeSync(1, `${job.id}\n`);
  return await Promise.race<never>([]);
};
jobService(store, realRuntime.clock, { run }).start();
