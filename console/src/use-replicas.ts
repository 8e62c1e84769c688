/**
 * What lies on each engine, as it changes: one stream while somebody looks. A gateway that restarts is found again; what
 * was last told stays on the page, marked by its trouble, until it is told anew.
 */
import { useEffect, useState } from 'react';
import { follow, Trouble } from './api.ts';
import type { ReplicaList, ReplicaView } from './wire-adapters.ts';

const AGAIN_AFTER_MS = 1_000;

export interface Replicas {
  /** As last told; null: not yet. */
  readonly engines: readonly ReplicaView[] | null;
  /** On this page's clock, when that was. */
  readonly toldMonoMs: number;
  /** Why it is missing, or no longer of now. */
  readonly trouble: Trouble | null;
}

const NOTHING: Replicas = { engines: null, toldMonoMs: 0, trouble: null };

/** Follows while the page is in sight; another key (`generation`) begins anew. */
export function useReplicas(generation: number): Replicas {
  const [held, setHeld] = useState<Replicas>(NOTHING);
  // biome-ignore lint/correctness/useExhaustiveDependencies: a new key begins anew
  useEffect(() => {
    let controller: AbortController | null = null;
    const onVisible = (): void => {
      if (document.hidden === (controller === null)) return;
      controller?.abort();
      controller = document.hidden ? null : new AbortController();
      if (controller) void keepFollowing(setHeld, controller.signal);
    };
    setHeld(NOTHING);
    onVisible();
    document.addEventListener('visibilitychange', onVisible);
    return () => {
      controller?.abort();
      document.removeEventListener('visibilitychange', onVisible);
    };
  }, [generation]);
  return held;
}

async function keepFollowing(
  tell: (change: (before: Replicas) => Replicas) => void,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    try {
      for await (const { data } of follow<ReplicaList>('/admin/v1/adapter-replicas', signal))
        tell(() => ({ engines: data, toldMonoMs: performance.now(), trouble: null }));
    } catch (error) {
      if (signal.aborted) return;
      const trouble = Trouble.from(error);
      tell((before) => ({ ...before, trouble }));
      // A refusal is final; what breaks may heal.
      if (trouble.status >= 400 && trouble.status < 500) return;
      await new Promise((resolve) => setTimeout(resolve, AGAIN_AFTER_MS));
    }
  }
}
