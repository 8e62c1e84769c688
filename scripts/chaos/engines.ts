/**
 * The engines that are struck: real servers in process groups of their own, each behind a relay of its own, so that it can
 * be killed, suspended and started again at the same address while the gateway sees nothing but the wire.
 */
import path from 'node:path';
import { askForWords } from '../engines/ask-for-words.ts';
import { BASE_MODEL, baseModelFile } from '../engines/base-model.ts';
import { type Command, freePort, type RunningEngine, startEngine } from '../engines/child.ts';
import { type EngineScript, installed, skipUnlessInstalled } from '../engines/frame.ts';
import { llamaServer } from '../engines/llama-server.ts';
import { ollama } from '../engines/ollama.ts';
import type { EngineNetwork } from './network.ts';
import { type Relay, startRelay } from './relay.ts';

export const ROOT = path.resolve(import.meta.dirname, '../..');

export interface Target extends AsyncDisposable {
  /** Its name in the configuration. */
  readonly name: string;
  readonly version: string;
  /** As the configuration has it, with the relay's address. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly relay: Relay;
  /** SIGKILL to its whole process group; resolves when it is gone. */
  kill(): Promise<void>;
  /** To its whole process group. */
  signal(signal: 'SIGSTOP' | 'SIGCONT'): void;
  /** Starts it again at its port; resolves once it generates. */
  restart(): Promise<void>;
}

export interface TargetStart {
  readonly name: string;
  readonly version: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly host: string;
  readonly command: (port: number) => Command;
  readonly ready: (origin: string, signal: AbortSignal) => Promise<string>;
  readonly startTimeoutMs: number;
}

export interface TargetParts {
  readonly lifeMs: number;
  readonly say: (line: string) => void;
}

/** More at once would all be late on a share of two cores; who finds no place goes down the ladder. */
export const PLACES = { maxInFlight: 2, maxQueued: 4 };

/** `greenroom engine`, started by hand; in its own network where there is one. */
export function greenroomEngine(name: string, network: EngineNetwork | null): TargetStart {
  const host = network?.address ?? '127.0.0.1';
  const command = (port: number): Command => {
    const plain: Command = {
      program: process.execPath,
      arguments: [
        ...[path.join(ROOT, 'src/main.ts'), 'engine', '--model', baseModelFile(), '--name', BASE_MODEL],
        ...['--host', host, '--port', String(port)],
        ...['--threads', '1', '--sequences', '4', '--context', '1024'],
      ],
    };
    return network === null ? plain : network.inside(plain);
  };
  return {
    name,
    version: network === null ? 'greenroom engine' : 'greenroom engine in a network namespace',
    config: { kind: 'vllm', model: BASE_MODEL, ...PLACES },
    host,
    command,
    ready: (origin, signal) => askForWords(origin, BASE_MODEL, signal),
    startTimeoutMs: 60_000,
  };
}

/** llama-server, or what to say where it is not installed. */
export function llamaServerTarget(name: string): TargetStart | string {
  return scriptTarget(name, llamaServer, 'llama-server', { slots: '4', context: '8192', threads: '1' });
}

export function ollamaTarget(name: string): TargetStart | string {
  return scriptTarget(name, ollama, 'ollama', { parallel: '2' });
}

function scriptTarget(
  name: string,
  script: EngineScript,
  kind: string,
  flags: Readonly<Record<string, string>>,
): TargetStart | string {
  const there = installed(script);
  if (there === null) return skipUnlessInstalled(script) || `${script.title} is not installed`;
  return {
    name,
    version: `${script.title} ${script.version}`,
    config: { kind, model: BASE_MODEL, ...PLACES },
    host: '127.0.0.1',
    command: (port) => script.command(there, port, flags),
    ready: (origin, signal) => script.ready(origin, signal),
    startTimeoutMs: script.startTimeoutMs,
  };
}

/** Starts it and its relay; resolves once it generated. Dispose to end both. */
export async function startTarget(
  start: TargetStart,
  { lifeMs, say }: TargetParts,
  signal: AbortSignal,
): Promise<Target> {
  const port = await freePort();
  const launch = async (): Promise<RunningEngine> => {
    const command = start.command(port);
    const engine = await startEngine(
      {
        name: start.name,
        // Engines are machines of their own in a game; here they must not take the core that the gateway needs.
        command: {
          ...command,
          program: 'nice',
          arguments: ['-n', '10', command.program, ...command.arguments],
        },
        port,
        startTimeoutMs: start.startTimeoutMs,
        lifeMs,
        ready: (_loopback, attempt) => start.ready(`http://${start.host}:${port}`, attempt),
      },
      signal,
    );
    say(`${start.name} generates, after ${(engine.startMs / 1_000).toFixed(1)} s`);
    return engine;
  };
  const relay = await startRelay({ host: start.host, port });
  let engine: RunningEngine;
  try {
    engine = await launch();
  } catch (error) {
    await relay[Symbol.asyncDispose]();
    throw error;
  }
  return {
    name: start.name,
    version: start.version,
    config: { ...start.config, baseUrl: relay.origin },
    relay,
    kill: async () => {
      process.kill(-engine.pid, 'SIGKILL');
      await engine.exited;
    },
    signal: (name) => {
      process.kill(-engine.pid, name);
    },
    restart: async () => {
      await engine[Symbol.asyncDispose]();
      engine = await launch();
    },
    [Symbol.asyncDispose]: async () => {
      await engine[Symbol.asyncDispose]();
      await relay[Symbol.asyncDispose]();
    },
  };
}
