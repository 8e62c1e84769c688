/** By NPC: who says lines again, what that saved, how warm its prompts are, and a button to forget what it said. */
import { useState } from 'react';
import { count } from '../format.ts';
import { percent, savedDollars, savedWait } from '../recall-words.ts';
import type { RecallView } from '../use-recall.ts';
import type { NpcSummary } from '../wire.ts';
import type { RecallNpc, RecallStatus } from '../wire-recall.ts';
import { Confirmation } from './confirmation.tsx';

interface RecallTableProps {
  readonly status: RecallStatus;
  readonly npcs: readonly NpcSummary[];
  readonly recall: RecallView;
}

export function RecallTable({ status, npcs, recall }: RecallTableProps) {
  const [asked, ask] = useState<RecallNpc | null>(null);
  const nameOf = (npcId: string): string => npcs.find((npc) => npc.npc_id === npcId)?.name ?? npcId;
  return (
    <>
      <table className="lines-table recall-table">
        <caption className="unseen">The dialogue cache by NPC</caption>
        <thead>
          <tr>
            <th scope="col">NPC</th>
            <th scope="col" className="figure">
              Cost nothing
            </th>
            <th scope="col" className="figure">
              Said again
            </th>
            <th scope="col" className="figure">
              Shared
            </th>
            <th scope="col" className="figure">
              Generated
            </th>
            <th scope="col" className="figure">
              Saved
            </th>
            <th scope="col" className="figure">
              <abbr title="Prompt tokens of generated lines that the engine had read before">
                Warm prompt
              </abbr>
            </th>
            <th scope="col">
              <span className="unseen">Actions</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {status.npcs.map((npc) => (
            <tr key={npc.npc_id}>
              <th scope="row">{nameOf(npc.npc_id)}</th>
              <td className="figure recall-row-share" data-label="Cost nothing">
                {percent(npc.hit_share)}
              </td>
              <td className="figure" data-label="Said again">
                {count(npc.hits)}
              </td>
              <td className="figure" data-label="Shared">
                {count(npc.joined)}
              </td>
              <td className="figure" data-label="Generated">
                {count(npc.misses)}
              </td>
              <td className="figure" data-label="Saved">
                {savedWait(npc.wait_s)}
                {npc.cost_usd > 0 && `, ${savedDollars(npc.cost_usd)}`}
              </td>
              <td className="figure" data-label="Warm prompt">
                {percent(npc.prefix.cached_share)}
              </td>
              <td>
                <button
                  type="button"
                  className="quiet"
                  aria-disabled={recall.isForgetting}
                  aria-label={`Forget what ${nameOf(npc.npc_id)} said`}
                  onClick={() => {
                    if (!recall.isForgetting) ask(npc);
                  }}
                >
                  Forget
                </button>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {status.npcs.length < status.npcs_known && (
        <p className="hint">
          The first {status.npcs.length} of {count(status.npcs_known)} are shown.
        </p>
      )}
      {asked && (
        <Confirmation
          title={`Forget what ${nameOf(asked.npc_id)} said?`}
          yes="Forget it"
          no="Keep it"
          onYes={() => recall.forget(asked.npc_id, nameOf(asked.npc_id))}
          onClose={() => ask(null)}
        >
          <ForgetWords status={status} />
        </Confirmation>
      )}
    </>
  );
}

/** What follows from forgetting. */
export function ForgetWords({ status }: { status: RecallStatus }) {
  return (
    <p>
      The next time somebody asks, the line is generated anew and costs what it costs. Written lines and what
      was saved so far stay.
      {status.shared !== 'none' &&
        ' The shared tier forgets too; other gateways keep what lies in their own memory until its time is up.'}
    </p>
  );
}
