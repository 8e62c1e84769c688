/**
 * A gateway to be killed: appends turns to the store in the folder of its first argument and prints the number of each
 * after it was acknowledged. Conversation and count are the second and third; a count of 0 goes on for ever.
 */
import { writeSync } from 'node:fs';
import { realRuntime } from '../runtime.ts';
import { openStore } from '../store/store.ts';
import { silentLogger } from '../telemetry/log.ts';
import { said } from './store-conformance.ts';

const [directory = '', conversationId = '', count = '0'] = process.argv.slice(2);
const never = new AbortController().signal;
await using store = await openStore({ url: undefined, directory, log: silentLogger, ...realRuntime }, never);
// Held while turns are appended, as in a gateway that answers.
await store.idempotency.claim({ key: conversationId, apiKeyId: '', bodyDigest: 'd' }, never);
for (let turn = 0; count === '0' || turn < Number(count); turn += 1) {
  if (await store.conversations.appendTurn(said(conversationId, '', turn))) writeSync(1, `${turn}\n`);
}
