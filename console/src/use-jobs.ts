/**
 * The jobs sent from this tab, each followed as events until it ends, also while another page is shown. A connection that
 * breaks is taken up again: the job itself goes on without us.
 */
import { useCallback, useEffect, useRef, useState } from 'react';
import { followJob, send, Trouble } from './api.ts';
import type { Job, JobBody } from './wire.ts';

/** More than a designer reads; the oldest leave the page, not the store. */
const JOBS_MAX = 30;
const FOLLOW_AGAIN_AFTER_MS = 2_000;

export interface FollowedJob {
  readonly job: Job;
  /** What was asked for; the wire does not repeat it. */
  readonly prompt: string;
  /** Why it is not followed, or could not be cancelled. */
  readonly trouble: Trouble | null;
}

export interface JobList {
  /** Newest first. */
  readonly followed: readonly FollowedJob[];
  readonly isSending: boolean;
  /** Why the last one was not accepted. */
  readonly trouble: Trouble | null;
  /** Resolves to whether it was accepted. */
  submit(body: JobBody): Promise<boolean>;
  cancel(id: string): void;
}

export function hasEnded({ status }: Pick<Job, 'status'>): boolean {
  return status !== 'queued' && status !== 'running';
}

/** Another key (`generation`) may not see what this one sent: the list begins anew. */
export function useJobs(generation: number): JobList {
  const [followed, setFollowed] = useState<readonly FollowedJob[]>([]);
  const [isSending, setSending] = useState(false);
  const [trouble, setTrouble] = useState<Trouble | null>(null);
  const controller = useRef(new AbortController());

  // biome-ignore lint/correctness/useExhaustiveDependencies: a new key begins anew
  useEffect(() => {
    const own = new AbortController();
    controller.current = own;
    setFollowed([]);
    setTrouble(null);
    return () => own.abort();
  }, [generation]);

  const change = useCallback((id: string, next: (before: FollowedJob) => Partial<FollowedJob>): void => {
    setFollowed((all) => all.map((one) => (one.job.id === id ? { ...one, ...next(one) } : one)));
  }, []);

  const submit = useCallback(
    async (body: JobBody): Promise<boolean> => {
      const { signal } = controller.current;
      setSending(true);
      setTrouble(null);
      try {
        const job = await send<Job>('POST', '/v1/jobs', body, signal);
        setFollowed((all) => [{ job, prompt: body.prompt, trouble: null }, ...all].slice(0, JOBS_MAX));
        void follow(job.id, change, signal);
        return true;
      } catch (error) {
        if (!signal.aborted) setTrouble(Trouble.from(error));
        return false;
      } finally {
        setSending(false);
      }
    },
    [change],
  );

  const cancel = useCallback(
    (id: string): void => {
      const { signal } = controller.current;
      const ask = async (): Promise<void> => {
        try {
          const job = await send<Job>('DELETE', `/v1/jobs/${encodeURIComponent(id)}`, undefined, signal);
          change(id, () => ({ job, trouble: null }));
        } catch (error) {
          if (!signal.aborted) change(id, () => ({ trouble: Trouble.from(error) }));
        }
      };
      void ask();
    },
    [change],
  );
  return { followed, isSending, trouble, submit, cancel };
}

async function follow(
  id: string,
  change: (id: string, next: (before: FollowedJob) => Partial<FollowedJob>) => void,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    try {
      for await (const { type, data } of followJob(id, signal)) {
        if (type === 'status')
          change(id, ({ job }) => ({ job: { ...job, status: data.status }, trouble: null }));
        else if (type === 'done') change(id, () => ({ job: data, trouble: null }));
        else throw new Trouble(data.code, data.message, data.retryable ? 0 : 400);
      }
      return;
    } catch (error) {
      if (signal.aborted) return;
      const trouble = Trouble.from(error);
      change(id, () => ({ trouble }));
      // A refusal is final; what breaks may heal.
      if (trouble.status >= 400 && trouble.status < 500) return;
      await new Promise((resolve) => setTimeout(resolve, FOLLOW_AGAIN_AFTER_MS));
    }
  }
}
