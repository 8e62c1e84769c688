/** Forgetting in the server: a walk over all keys in small steps, so that questions pass between them. */
import { ServiceError } from '../../core/errors.ts';
import { type Connection, NotAsked } from './connection.ts';
import { faultOf, SHARED_FAULTS } from './faults.ts';

const KEYS_A_STEP = 500;

/**
 * Removes entries and flights of an NPC, null: of everybody. Resolves to how many entries there were. Rejects with
 * `store_unavailable`, or with the signal's reason between two steps.
 */
export async function forgetKeys(
  connection: Connection,
  keyPrefix: string,
  npcId: string | null,
  signal: AbortSignal,
): Promise<number> {
  const whose = npcId === null ? '' : `${npcId}:`;
  const entries = `${keyPrefix}v:{${whose}`;
  const pattern = `${globLiteral(keyPrefix)}[vf]:{${globLiteral(whose)}*`;
  let forgotten = 0;
  try {
    for (let cursor = ''; cursor !== '0'; ) {
      signal.throwIfAborted();
      const [next, keys] = await connection.scan(cursor || '0', pattern, KEYS_A_STEP);
      cursor = next;
      // A walk may show a key twice; the second time it is gone.
      const variants = keys.filter((key) => key.startsWith(entries));
      const flights = keys.filter((key) => !key.startsWith(entries));
      if (variants.length > 0) forgotten += await connection.unlink(variants);
      if (flights.length > 0) await connection.unlink(flights);
    }
  } catch (error) {
    signal.throwIfAborted();
    const { fault, code } = error instanceof NotAsked ? { fault: error.fault, code: '' } : faultOf(error);
    throw new ServiceError(
      'store_unavailable',
      `the shared tier forgot ${forgotten} questions and then failed: ${SHARED_FAULTS[fault]} (${code || fault}); forget again when it is back`,
      { cause: error },
    );
  }
  return forgotten;
}

/** For a pattern that is meant to be taken to the letter. */
function globLiteral(text: string): string {
  return text.replace(/[\\*?[\]^]/gu, '\\$&');
}
