/**
 * Whether a test of a real engine runs that takes minutes and both cores of a small machine: only where its engine is
 * installed and somebody asks for it, because beside other work it would be late, and a late test proves nothing.
 */
import { type EngineScript, skipUnlessInstalled } from '../../scripts/engines/frame.ts';

/** For `{ skip }`: false when it runs, else why not and what to do. `minutes`: what it took on two cores. */
export function skipUnlessAsked(script: EngineScript, minutes: number): false | string {
  const isMissing = skipUnlessInstalled(script);
  if (isMissing !== false) return isMissing;
  if (process.env['GREENROOM_REAL_ENGINES'] === '1') return false;
  return `skipped: set GREENROOM_REAL_ENGINES=1, as npm run test:engines does (it takes ${minutes} minutes)`;
}
