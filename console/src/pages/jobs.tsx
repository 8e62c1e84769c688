/** Work that nobody waits for with a game pad in hand: send a quest or a story, and read it when it is written. */
import { JobForm } from '../parts/job-form.tsx';
import { JobView } from '../parts/job-view.tsx';
import type { JobList } from '../use-jobs.ts';
import type { NpcSummary } from '../wire.ts';

export function JobsPage({ jobs, npcs }: { jobs: JobList; npcs: readonly NpcSummary[] }) {
  return (
    <div className="operations">
      <h1>Jobs</h1>
      <section className="part" aria-labelledby="new-job">
        <h2 id="new-job">New job</h2>
        <JobForm npcs={npcs} isSending={jobs.isSending} trouble={jobs.trouble} onSubmit={jobs.submit} />
      </section>
      <section className="part" aria-labelledby="sent-jobs">
        <h2 id="sent-jobs">Sent from this tab</h2>
        <div>
          {jobs.followed.length === 0 && (
            <p className="empty">None yet. A job goes on when this page is closed; its id finds it again.</p>
          )}
          <ul className="jobs">
            {jobs.followed.map((one) => (
              <JobView
                key={one.job.id}
                followed={one}
                npcName={npcs.find((npc) => npc.npc_id === one.job.npc_id)?.name ?? one.job.npc_id}
                onCancel={() => jobs.cancel(one.job.id)}
              />
            ))}
          </ul>
        </div>
      </section>
    </div>
  );
}
