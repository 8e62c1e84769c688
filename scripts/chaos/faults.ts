/** What is done to whom: each fault with its words for the table, how it ends, and who must speak again afterwards. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Heard } from './ask.ts';
import type { SmallDisk } from './disk.ts';
import type { Target } from './engines.ts';
import type { EngineStatus, Gateway } from './gateway.ts';
import { type EngineNetwork, isAlive } from './network.ts';
import type { WireFault } from './relay.ts';

export interface Fault {
  /** For `--faults`. */
  readonly id: string;
  readonly words: string;
  /** Null where it can be done here, else why not. */
  readonly skip: string | null;
  /** False: over with the blow itself, such as a kill that somebody else repairs. */
  readonly lasts: boolean;
  /** A tier whose first rung was struck. */
  readonly tier: 1 | 2 | 3 | 4;
  /** The engines that must be usable again. */
  readonly struck: readonly string[];
  /** Whether this line shows that what was struck works again. */
  readonly isRecovery: (heard: Heard) => boolean;
  /** Gives words for the note, or nothing. */
  begin(): unknown;
  /** Begins the repair and resolves when it is done: a process that starts again, generates. Words as above. */
  end(): unknown;
}

export interface World {
  readonly gateway: Gateway;
  /** Two replicas of one pool. */
  readonly houseA: Target;
  readonly houseB: Target;
  /** Null where it is not installed. */
  readonly ollama: Target | null;
  readonly cloud: { spoil(fault: WireFault): void };
  readonly network: EngineNetwork | string;
  readonly disk: SmallDisk;
}

/** How often a killer looks whether its victim is back. */
const LOOK_MS = 100;

export function faultsOf(world: World): readonly Fault[] {
  const { gateway, houseA, houseB, ollama, cloud, network, disk } = world;
  const house = [houseA, houseB];
  const speaks =
    (...engines: readonly string[]) =>
    (heard: Heard) =>
      heard.rungNumber === 0 && heard.rung !== null && engines.includes(heard.rung);
  const houseSpeaks = speaks(houseA.name, houseB.name);
  const wire = (id: string, words: string, fault: WireFault, targets: readonly Target[] = house): Fault => ({
    id,
    words,
    skip: null,
    lasts: true,
    tier: 2,
    struck: targets.map(({ name }) => name),
    isRecovery: houseSpeaks,
    begin: () => {
      for (const { relay } of targets) relay.spoil(fault);
      return undefined;
    },
    end: () => {
      const struck = targets.reduce((sum, { relay }) => sum + relay.struck, 0);
      for (const { relay } of targets) relay.spoil({ kind: 'none' });
      return fault.kind === 'slow' ? undefined : `struck ${struck} times`;
    },
  });
  const hasNetwork = typeof network !== 'string';
  const noNetwork = hasNetwork ? null : network;
  let hunt = new AbortController();
  let wedged = 0;

  return [
    {
      id: 'kill-embedded',
      words: 'kill -9 of the embedded engine',
      skip: null,
      lasts: false,
      tier: 1,
      struck: ['local'],
      isRecovery: speaks('local'),
      begin: async () => process.kill(await embeddedPid(gateway), 'SIGKILL'),
      end: () => undefined,
    },
    {
      id: 'kill-replica',
      words: `kill -9 of ${houseA.name}, started again later`,
      skip: null,
      lasts: true,
      tier: 2,
      struck: [houseA.name],
      isRecovery: houseSpeaks,
      begin: () => houseA.kill(),
      end: () => houseA.restart(),
    },
    {
      id: 'wedge-replica',
      words: `SIGSTOP, SIGCONT of ${houseB.name}: its port stays open`,
      skip: null,
      lasts: true,
      tier: 2,
      struck: [houseB.name],
      isRecovery: houseSpeaks,
      begin: () => houseB.signal('SIGSTOP'),
      end: () => houseB.signal('SIGCONT'),
    },
    {
      id: 'all-dead',
      words: 'every engine dead at once',
      skip: null,
      lasts: true,
      tier: 1,
      struck: ['local', ...house.map(({ name }) => name), ...(ollama === null ? [] : [ollama.name])],
      isRecovery: (heard) => heard.rungNumber === 0,
      begin: async () => {
        hunt = new AbortController();
        cloud.spoil({ kind: 'refuse' });
        void huntEmbedded(gateway, hunt.signal);
        await Promise.all([...house, ...(ollama === null ? [] : [ollama])].map((target) => target.kill()));
        return undefined;
      },
      end: async () => {
        hunt.abort();
        cloud.spoil({ kind: 'none' });
        await Promise.all([...house, ...(ollama === null ? [] : [ollama])].map((target) => target.restart()));
        return undefined;
      },
    },
    {
      id: 'kill-gateway',
      words: 'kill -9 of the gateway, started again at once',
      skip: null,
      lasts: false,
      tier: 1,
      struck: ['local', houseA.name, houseB.name],
      isRecovery: speaks('local'),
      begin: async () => {
        await gateway.kill();
        const downMs = performance.now();
        await gateway.restart();
        return `listening again after ${((performance.now() - downMs) / 1_000).toFixed(1)} s`;
      },
      end: () => undefined,
    },
    {
      id: 'full-disk',
      words: "no byte left on the store's disk",
      skip: null,
      lasts: true,
      tier: 1,
      struck: [],
      isRecovery: ({ stored }) => stored !== null,
      begin: () => {
        gateway.foldStore();
        disk.fill(gateway.pid);
        return disk.how;
      },
      end: () => disk.free(gateway.pid),
    },
    {
      id: 'wedge-embedded',
      words: 'SIGSTOP, SIGCONT of the embedded engine',
      skip: null,
      lasts: true,
      tier: 1,
      struck: ['local'],
      isRecovery: speaks('local'),
      begin: async () => {
        wedged = await embeddedPid(gateway);
        process.kill(wedged, 'SIGSTOP');
        return undefined;
      },
      end: () => {
        const isThere = isAlive(wedged);
        if (isThere) process.kill(wedged, 'SIGCONT');
        return isThere ? undefined : 'it was replaced meanwhile';
      },
    },
    wire('garbage', 'random bytes from both replicas', { kind: 'garbage' }),
    wire('html', 'a login page with status 200 from both replicas', { kind: 'html' }),
    wire(
      'reset',
      'connections reset in mid-stream, all engines by address',
      { kind: 'reset', afterBytes: 2_500 },
      ollama === null ? house : [...house, ollama],
    ),
    wire('slow', 'slow network to both replicas: +300 ms, 2 kB/s', {
      kind: 'slow',
      delayMs: 300,
      bytesPerSecond: 2_000,
    }),
    hasNetwork
      ? {
          id: 'pulled-cable',
          words: `the cable of ${houseA.name} is pulled: packets vanish`,
          skip: null,
          lasts: true,
          tier: 2,
          struck: [houseA.name],
          isRecovery: houseSpeaks,
          begin: () => network.pull(),
          end: () => network.plug(),
        }
      : wire('pulled-cable', `${houseA.name} swallows everything`, { kind: 'swallow' }, [houseA]),
    {
      id: 'thin-cable',
      words: `the kernel narrows the cable of ${houseA.name}`,
      skip: noNetwork,
      lasts: true,
      tier: 2,
      struck: [houseA.name],
      isRecovery: houseSpeaks,
      begin: () => (hasNetwork ? network.narrow() : undefined),
      end: () => (hasNetwork ? network.widen() : undefined),
    },
  ];
}

export async function engineNamed(gateway: Gateway, name: string): Promise<EngineStatus | null> {
  return (await gateway.engines()).find((engine) => engine.name === name) ?? null;
}

async function embeddedPid(gateway: Gateway): Promise<number> {
  const pid = (await engineNamed(gateway, 'local'))?.pid ?? null;
  if (pid === null) throw new Error('the embedded engine has no process');
  return pid;
}

/** Kills the embedded engine whenever its supervisor has started it again. Never throws. */
async function huntEmbedded(gateway: Gateway, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const pid = await embeddedPid(gateway).catch(() => null);
    try {
      if (pid !== null && !signal.aborted) process.kill(pid, 'SIGKILL');
    } catch {}
    await delay(LOOK_MS, undefined, { signal }).catch(() => {});
  }
}
