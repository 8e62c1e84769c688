/** One job: how it stands, what it asked for, and what came of it and at what cost. */
import { count, dollars, milliseconds } from '../format.ts';
import { type FollowedJob, hasEnded } from '../use-jobs.ts';
import type { Job } from '../wire.ts';
import { Notice } from './notice.tsx';

const STATES: Readonly<Record<string, { readonly tone: 'go' | 'standby' | 'dark'; readonly words: string }>> =
  {
    queued: { tone: 'standby', words: 'Waiting for its turn' },
    running: { tone: 'standby', words: 'An engine works on it' },
    succeeded: { tone: 'go', words: 'Done' },
    failed: { tone: 'dark', words: 'Failed' },
    cancelled: { tone: 'dark', words: 'Cancelled' },
  };

interface JobViewProps {
  readonly followed: FollowedJob;
  readonly npcName: string | undefined;
  readonly onCancel: () => void;
}

export function JobView({ followed: { job, prompt, trouble }, npcName, onCancel }: JobViewProps) {
  const state = STATES[job.status] ?? { tone: 'standby' as const, words: job.status };
  return (
    <li className="job">
      <div className="job-head">
        <p className="lamp" data-tone={state.tone} role="status">
          <span className="lamp-shape" aria-hidden="true" />
          {state.words}
        </p>
        {!hasEnded(job) && (
          <button type="button" className="quiet" onClick={onCancel}>
            Cancel
          </button>
        )}
      </div>
      <p className="job-asked">{prompt}</p>
      {job.result && <p className="speech job-text">{job.result.text}</p>}
      {job.error && <Notice trouble={job.error} />}
      {trouble && <Notice trouble={trouble} />}
      <p className="job-facts">{factsText(job, npcName)}</p>
      <p className="engine-model">{job.id}</p>
    </li>
  );
}

function factsText({ result, tier, created_at, ended_at }: Job, npcName: string | undefined): string {
  const usage = result?.usage;
  return [
    `tier ${tier}`,
    npcName,
    result && [result.engine, result.model].filter(Boolean).join(' / '),
    usage && `${count(usage.prompt_tokens)} + ${count(usage.completion_tokens)} tokens`,
    usage && usage.cost_usd > 0 && dollars(usage.cost_usd),
    result?.finish_reason === 'length' && 'stopped at its length limit',
    ended_at !== undefined && `after ${milliseconds(ended_at - created_at)}`,
  ]
    .filter(Boolean)
    .join(', ');
}
