/** Where the service keeps what must outlive it. One function, so that every verb of the command line agrees. */
import { homedir } from 'node:os';
import path from 'node:path';

/**
 * The data folder: `GREENROOM_DATA`, else `greenroom` in `XDG_DATA_HOME`, else `~/.local/share/greenroom`
 * (https://specifications.freedesktop.org/basedir-spec). Absolute. Nothing is created here.
 */
export function dataDirectory(environment: Readonly<Record<string, string | undefined>>): string {
  const given = environment['GREENROOM_DATA'];
  if (given !== undefined && given !== '') return path.resolve(given);
  const shared = environment['XDG_DATA_HOME'];
  // The specification asks to ignore a relative path.
  if (shared !== undefined && path.isAbsolute(shared)) return path.join(shared, 'greenroom');
  return path.join(homedir(), '.local', 'share', 'greenroom');
}
