/**
 * What the service says about itself, asked again and again: often while it starts or is gone, seldom when it is
 * ready, not at all while the page is hidden.
 */
import { useEffect, useState } from 'react';
import { read, readReadiness, Trouble } from './api.ts';
import type { Readiness, ServiceStatus } from './wire.ts';

const STARTING_EVERY_MS = 700;
const READY_EVERY_MS = 2_000;

export interface Live {
  readonly connection: 'unknown' | 'up' | 'lost';
  readonly readiness: Readiness | null;
  readonly status: ServiceStatus | null;
  /** Why there is no status, e.g. a key without the operator scope. */
  readonly statusTrouble: Trouble | null;
}

const NOTHING: Live = { connection: 'unknown', readiness: null, status: null, statusTrouble: null };

async function look(signal: AbortSignal): Promise<Live> {
  let readiness: Readiness;
  try {
    readiness = await readReadiness(signal);
  } catch (error) {
    return { ...NOTHING, connection: 'lost', statusTrouble: Trouble.from(error) };
  }
  try {
    const status = await read<ServiceStatus>('/admin/v1/status', signal);
    return { connection: 'up', readiness, status, statusTrouble: null };
  } catch (error) {
    return { connection: 'up', readiness, status: null, statusTrouble: Trouble.from(error) };
  }
}

/** Looks again at once when `generation` (of the key) changes. */
export function useLive(generation: number): Live {
  const [live, setLive] = useState<Live>(NOTHING);
  // biome-ignore lint/correctness/useExhaustiveDependencies: a new key must be tried at once
  useEffect(() => {
    const controller = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const turn = async (): Promise<void> => {
      if (document.hidden) return;
      const seen = await look(controller.signal);
      if (controller.signal.aborted) return;
      setLive(seen);
      timer = setTimeout(() => void turn(), seen.readiness?.ready ? READY_EVERY_MS : STARTING_EVERY_MS);
    };
    const onVisible = (): void => {
      clearTimeout(timer);
      void turn();
    };
    document.addEventListener('visibilitychange', onVisible);
    void turn();
    return () => {
      controller.abort();
      clearTimeout(timer);
      document.removeEventListener('visibilitychange', onVisible);
    };
  }, [generation]);
  return live;
}
