/** An NPC for the narrative designer: who it is, what the model is told, and what it says when no model speaks. */

import { words } from '../format.ts';
import { LinesSheet } from '../parts/lines-sheet.tsx';
import { Notice } from '../parts/notice.tsx';
import { PersonaSheet } from '../parts/persona-sheet.tsx';
import { PromptSheet } from '../parts/prompt-sheet.tsx';
import { routeHash, SHEETS, type Sheet } from '../route.ts';
import { useRead } from '../use-read.ts';
import type { NpcDetail, NpcSummary } from '../wire.ts';

interface CastPageProps {
  readonly npc: NpcSummary;
  readonly sheet: Sheet;
  readonly stamp: string;
}

const TITLES: Readonly<Record<Sheet, string>> = {
  persona: 'Persona',
  prompt: 'Prompt',
  lines: 'Written lines',
};

export function CastPage({ npc, sheet, stamp }: CastPageProps) {
  const detail = useRead<NpcDetail>(`/admin/v1/npcs/${encodeURIComponent(npc.npc_id)}`, stamp);
  return (
    <div className="sheet">
      <header className="talk-head">
        <a className="back" href="#/cast">
          ← Cast
        </a>
        <h1>{npc.name}</h1>
        <p className="talk-kind">
          {words(npc.kind)}, tier {npc.tier}
          {detail.data?.persona.version !== undefined && `, version ${detail.data.persona.version}`}
        </p>
        {npc.summary && <p className="talk-summary">{npc.summary}</p>}
      </header>
      <nav className="sheets" aria-label="Sheets">
        {SHEETS.map((name) => (
          <a
            className="view-link"
            key={name}
            href={routeHash('cast', npc.npc_id, name)}
            aria-current={name === sheet ? 'page' : undefined}
          >
            {TITLES[name]}
          </a>
        ))}
      </nav>
      {detail.isLoading && <p className="empty">Reading…</p>}
      {detail.trouble && <Notice trouble={detail.trouble} />}
      {detail.data && sheet === 'persona' && <PersonaSheet persona={detail.data.persona} />}
      {detail.data && sheet === 'prompt' && <PromptSheet prompt={detail.data.prompt} />}
      {detail.data && sheet === 'lines' && (
        <LinesSheet npcId={npc.npc_id} name={npc.name} counts={detail.data.line_counts} stamp={stamp} />
      )}
    </div>
  );
}
