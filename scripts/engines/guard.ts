/**
 * Between a script and the engine that it starts: `node guard.ts <life in ms> <program> <arguments…>` runs the program in a
 * process group of its own and ends the whole group when its own standard input closes, when the life is over, or when it
 * is told to stop. A killed parent closes that input too, so no engine outlives who started it, not even after kill -9.
 * The engine's pid is the first line on file descriptor 3.
 */
import { spawn } from 'node:child_process';
import { writeSync } from 'node:fs';

/** What an engine gets to end by itself before its group is killed. */
const GRACE_MS = 10_000;
const LOOK_EVERY_MS = 50;

const [life = '', program = '', ...parameters] = process.argv.slice(2);
const child = spawn(program, parameters, { stdio: ['ignore', 'inherit', 'inherit'], detached: true });
child.once('error', (error) => {
  console.error(error.message);
  process.exit(127);
});
if (child.pid !== undefined) writeSync(3, `${child.pid}\n`);

let isStopping = false;
const stop = () => {
  if (isStopping) return;
  isStopping = true;
  signalGroup('SIGTERM');
  // A suspended engine can only end when it runs again.
  signalGroup('SIGCONT');
  setTimeout(() => signalGroup('SIGKILL'), GRACE_MS).unref();
};
setTimeout(stop, Number(life)).unref();
process.stdin.on('end', stop).on('error', stop).on('close', stop).resume();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stop);

child.once('exit', (code, signal) => {
  const endsMs = performance.now() + GRACE_MS;
  signalGroup('SIGTERM');
  // Children of the engine may need a moment more than it did; none is left behind.
  const look = setInterval(() => {
    if (performance.now() > endsMs) signalGroup('SIGKILL');
    if (isGroupAlive()) return;
    clearInterval(look);
    process.exit(code ?? (signal === 'SIGKILL' ? 137 : 143));
  }, LOOK_EVERY_MS);
});

function signalGroup(signal: NodeJS.Signals | 0): boolean {
  try {
    return child.pid !== undefined && process.kill(-child.pid, signal);
  } catch {
    return false;
  }
}

function isGroupAlive(): boolean {
  return signalGroup(0);
}
