/**
 * A network of its own for one engine: a namespace with a cable to it, whose queue `tc` narrows and whose plug can be
 * pulled. That is the kernel's own slowness and silence, where a relay only plays them. Linux, with the rights of root.
 */
import { execFileSync } from 'node:child_process';
import type { Command } from '../engines/child.ts';

export interface EngineNetwork extends Disposable {
  /** Where a server inside listens so that it is heard outside. */
  readonly address: string;
  /** Runs a program inside, as the process that it would be outside. */
  inside(command: Command): Command;
  /** Makes the cable slow, and says how: `netem` where the kernel has it, else a token bucket. */
  narrow(): string;
  widen(): void;
  /** Packets vanish: nobody is told, nothing is refused. */
  pull(): void;
  plug(): void;
}

const PREFIX = 'greenroom-chaos-';
const COMMAND_TIMEOUT_MS = 10_000;
const NETEM = 'netem delay 300ms 80ms loss 3% rate 64kbit';
/** 8 kB a second, and what waits longer than 400 ms is dropped. */
const BUCKET = 'tbf rate 64kbit burst 4kb latency 400ms';

/** The network, or why there is none. */
export function openNetwork(): EngineNetwork | string {
  if (process.platform !== 'linux') return 'no network namespaces on this system';
  try {
    sweep();
    return openNamespace();
  } catch (error) {
    return `no network namespace: ${said(error)}`;
  }
}

function openNamespace(): EngineNetwork {
  const name = `${PREFIX}${process.pid}`;
  const [near, far] = [`grc${process.pid}`, 'eth0'];
  const subnet = `10.253.${process.pid % 250}`;
  const inside = (...parts: string[]) => run('ip', 'netns', 'exec', name, ...parts);
  run('ip', 'netns', 'add', name);
  const close = () => {
    // The cable goes with its namespace, once the last process inside has ended.
    for (const parts of [
      ['link', 'del', near],
      ['netns', 'del', name],
    ])
      try {
        run('ip', ...parts);
      } catch {}
  };
  try {
    run('ip', 'link', 'add', near, 'type', 'veth', 'peer', 'name', far, 'netns', name);
    run('ip', 'addr', 'add', `${subnet}.1/30`, 'dev', near);
    run('ip', 'link', 'set', near, 'up');
    inside('ip', 'addr', 'add', `${subnet}.2/30`, 'dev', far);
    inside('ip', 'link', 'set', far, 'up');
    inside('ip', 'link', 'set', 'lo', 'up');
  } catch (error) {
    close();
    throw error;
  }
  const queue = (words: string) => inside('tc', 'qdisc', 'replace', 'dev', far, 'root', ...words.split(' '));
  return {
    address: `${subnet}.2`,
    inside: (command) => ({
      ...command,
      program: 'ip',
      arguments: ['netns', 'exec', name, command.program, ...command.arguments],
    }),
    narrow: () => {
      try {
        queue(NETEM);
        return `tc ${NETEM}`;
      } catch (error) {
        queue(BUCKET);
        return `tc ${BUCKET} (netem: ${said(error)})`;
      }
    },
    widen: () => inside('tc', 'qdisc', 'del', 'dev', far, 'root'),
    pull: () => run('ip', 'link', 'set', near, 'down'),
    plug: () => run('ip', 'link', 'set', near, 'up'),
    [Symbol.dispose]: close,
  };
}

/** Takes away what a killed run has left. */
function sweep(): void {
  for (const line of execFileSync('ip', ['netns', 'list'], { encoding: 'utf8' }).split('\n')) {
    const pid = new RegExp(`^${PREFIX}(\\d+)`).exec(line)?.[1];
    if (pid !== undefined && !isAlive(Number(pid))) run('ip', 'netns', 'del', `${PREFIX}${pid}`);
  }
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

function run(program: string, ...parts: string[]): void {
  execFileSync(program, parts, { stdio: ['ignore', 'ignore', 'pipe'], timeout: COMMAND_TIMEOUT_MS });
}

function said(error: unknown): string {
  const { stderr, message } = error as { readonly stderr?: Buffer; readonly message: string };
  return (stderr?.toString().trim() || message).split('\n')[0] ?? '';
}
