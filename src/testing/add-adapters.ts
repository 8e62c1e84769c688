/**
 * A gateway to be killed: registers adapters in the store of the folder of its first argument without end, moves what is
 * desired with each, and prints the number of each after both were acknowledged.
 */
import { writeSync } from 'node:fs';
import { realRuntime } from '../runtime.ts';
import { openStore } from '../store/store.ts';
import { silentLogger } from '../telemetry/log.ts';
import { anAdapter } from './adapter-store-conformance.ts';

const [directory = ''] = process.argv.slice(2);
const never = new AbortController().signal;
await using store = await openStore({ url: undefined, directory, log: silentLogger, ...realRuntime }, never);
for (let index = 0; ; index += 1) {
  const record = anAdapter(`lich@${index}`);
  const desired = await store.adapters.desired();
  const { version, digest, name } = record;
  const published = [{ name, version, digest, isPinned: false, publishedAtMs: 1, generation: 1 }];
  if ((await store.adapters.add(record)) !== 'added') break;
  if (!(await store.adapters.replaceDesired({ ...desired, revision: index + 1, published }))) break;
  writeSync(1, `${index}\n`);
}
