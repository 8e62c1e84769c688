/**
 * Conversations: turns on timelines that branch. A timeline's row names its parent and how many of the parent's turns
 * it begins with; reading walks up until the window is full. Invariant: a row that was written never changes, so a
 * parent cannot be altered by its branches, and the walk sees each ancestor as it was at the fork.
 */
import { type Kysely, sql } from 'kysely';
import type { ConversationStore, ConversationTurn, TimelineHead } from '../core/conversation.ts';
import type { ConversationSummary, SummaryStore } from '../core/store.ts';
import type { Access } from './access.ts';
import { storable } from './storable.ts';
import type { Tables, TurnsTable } from './tables.ts';

/** What a timeline has of itself or of one of its ancestors: the turns before `before`, or all. */
interface Stretch {
  readonly timelineId: string;
  readonly before: number | null;
}

/** No window is longer; also bounds the walk, since every ancestor on it gives at least one turn. */
const WINDOW_TURNS_MAX = 1_000;

export class StoredConversations implements ConversationStore, SummaryStore {
  readonly #access: Access;

  constructor(access: Access) {
    this.#access = access;
  }

  async appendTurn(turn: ConversationTurn): Promise<boolean> {
    const conversationId = storable(turn.conversationId);
    const timelineId = storable(turn.timelineId);
    // One statement, so that it is whole or absent without a transaction. The second condition: an inherited turn's
    // number is taken too.
    return await this.#access.run('append_turn', async (db) => {
      const result = await sql`
        insert into turns (conversation_id, timeline_id, turn, sequence, player_text, npc_text, interrupted, game_time, at_ms)
        select ${conversationId}, ${timelineId}, ${turn.turn},
          (select coalesce(max(sequence), 0) + 1 from turns where conversation_id = ${conversationId}),
          ${storable(turn.playerText)}, ${storable(turn.npcText)}, ${turn.interrupted ? 1 : 0},
          ${turn.gameTime === null ? null : storable(turn.gameTime)}, ${turn.atMs}
        where not exists (select 1 from timelines
          where conversation_id = ${conversationId} and timeline_id = ${timelineId} and fork_turn > ${turn.turn})
        on conflict do nothing`.execute(db);
      return result.numAffectedRows === 1n;
    });
  }

  async loadWindow(
    conversationId: string,
    timelineId: string,
    turnsMax: number,
  ): Promise<readonly ConversationTurn[]> {
    const wanted = Math.min(turnsMax, WINDOW_TURNS_MAX);
    if (wanted <= 0) return [];
    return await this.#access.run('load_window', async (db) => {
      const newestFirst: TurnsTable[] = [];
      for await (const stretch of walk(db, storable(conversationId), storable(timelineId))) {
        newestFirst.push(
          ...(await ownTurns(db, storable(conversationId), stretch, wanted - newestFirst.length)),
        );
        if (newestFirst.length >= wanted) break;
      }
      return newestFirst.toReversed().map((row) => asTurn(row, conversationId, timelineId));
    });
  }

  async latestTimeline(conversationId: string): Promise<TimelineHead | null> {
    return await this.#access.run('latest_timeline', async (db) => {
      const last = await db
        .selectFrom('turns')
        .select('timeline_id')
        .where('conversation_id', '=', storable(conversationId))
        .orderBy('sequence', 'desc')
        .limit(1)
        .executeTakeFirst();
      if (last === undefined) return null;
      const turns = await countTurns(db, storable(conversationId), last.timeline_id);
      return { timelineId: last.timeline_id, turns };
    });
  }

  async branch(
    conversationId: string,
    fromTimelineId: string,
    toTimelineId: string,
    atTurn: number,
  ): Promise<void> {
    const conversation = storable(conversationId);
    const to = storable(toTimelineId);
    await this.#access.run('branch_timeline', async (db) => {
      // What the parent gets later is not the branch's, so the fork is no later than the parent's end now.
      const forkTurn = Math.min(atTurn, await countTurns(db, conversation, storable(fromTimelineId)));
      if (forkTurn <= 0) return;
      const parent = await owner(db, conversation, storable(fromTimelineId), forkTurn - 1);
      await sql`
        insert into timelines (conversation_id, timeline_id, parent_timeline_id, fork_turn, created_at_ms)
        select ${conversation}, ${to}, ${parent}, ${forkTurn}, ${this.#access.clock.nowMs()}
        where not exists (select 1 from turns where conversation_id = ${conversation} and timeline_id = ${to})
        on conflict do nothing`.execute(db);
    });
  }

  async loadSummary(conversationId: string, timelineId: string): Promise<ConversationSummary | null> {
    return await this.#access.run('load_summary', async (db) => {
      for await (const stretch of walk(db, storable(conversationId), storable(timelineId))) {
        const row = await db
          .selectFrom('summaries')
          .select(['text', 'turns'])
          .where('conversation_id', '=', storable(conversationId))
          .where('timeline_id', '=', stretch.timelineId)
          // A summary of a parent that reaches past the fork tells what this timeline never heard.
          .$if(stretch.before !== null, (query) => query.where('turns', '<=', stretch.before))
          .executeTakeFirst();
        if (row !== undefined) return row;
      }
      return null;
    });
  }

  async saveSummary(conversationId: string, timelineId: string, summary: ConversationSummary): Promise<void> {
    await this.#access.run('save_summary', (db) =>
      db
        .insertInto('summaries')
        .values({
          conversation_id: storable(conversationId),
          timeline_id: storable(timelineId),
          turns: summary.turns,
          text: storable(summary.text),
          at_ms: this.#access.clock.nowMs(),
        })
        .onConflict((conflict) =>
          conflict
            .columns(['conversation_id', 'timeline_id'])
            .doUpdateSet((row) => ({
              turns: row.ref('excluded.turns'),
              text: row.ref('excluded.text'),
              at_ms: row.ref('excluded.at_ms'),
            }))
            .whereRef('summaries.turns', '<', 'excluded.turns'),
        )
        .execute(),
    );
  }
}

/** The timeline, then its ancestors. The first costs no query: most windows end in it. */
async function* walk(
  db: Kysely<Tables>,
  conversationId: string,
  timelineId: string,
): AsyncGenerator<Stretch, void> {
  yield { timelineId, before: null };
  for (let at = timelineId; ; ) {
    const row = await db
      .selectFrom('timelines')
      .select(['parent_timeline_id', 'fork_turn'])
      .where('conversation_id', '=', conversationId)
      .where('timeline_id', '=', at)
      .executeTakeFirst();
    if (row === undefined) return;
    yield { timelineId: row.parent_timeline_id, before: row.fork_turn };
    at = row.parent_timeline_id;
  }
}

function ownTurns(db: Kysely<Tables>, conversationId: string, stretch: Stretch, limit: number) {
  return db
    .selectFrom('turns')
    .selectAll()
    .where('conversation_id', '=', conversationId)
    .where('timeline_id', '=', stretch.timelineId)
    .$if(stretch.before !== null, (query) => query.where('turn', '<', stretch.before))
    .orderBy('turn', 'desc')
    .limit(limit)
    .execute();
}

/** The number of the timeline's next turn: after its own last, or after what it inherited. */
async function countTurns(db: Kysely<Tables>, conversationId: string, timelineId: string): Promise<number> {
  const [last] = await ownTurns(db, conversationId, { timelineId, before: null }, 1);
  if (last !== undefined) return last.turn + 1;
  const row = await db
    .selectFrom('timelines')
    .select('fork_turn')
    .where('conversation_id', '=', conversationId)
    .where('timeline_id', '=', timelineId)
    .executeTakeFirst();
  return row?.fork_turn ?? 0;
}

/**
 * Which timeline a turn was said on: this one or an ancestor. A branch hangs on that one, so a save that is loaded a
 * thousand times in a row makes no chain of a thousand empty timelines.
 */
async function owner(
  db: Kysely<Tables>,
  conversationId: string,
  timelineId: string,
  turn: number,
): Promise<string> {
  const result = await sql<{ timeline_id: string }>`
    with recursive up(timeline_id, depth) as (
      select cast(${timelineId} as text), 0
      union all
      select timelines.parent_timeline_id, up.depth + 1
      from up join timelines on timelines.timeline_id = up.timeline_id
      where timelines.conversation_id = ${conversationId} and timelines.fork_turn > ${turn}
    )
    select timeline_id from up order by depth desc limit 1`.execute(db);
  return result.rows[0]?.timeline_id ?? timelineId;
}

/** With the ids as they were asked for: what is kept may have a character replaced. */
function asTurn(row: TurnsTable, conversationId: string, timelineId: string): ConversationTurn {
  return {
    conversationId,
    timelineId,
    turn: row.turn,
    playerText: row.player_text,
    npcText: row.npc_text,
    interrupted: row.interrupted === 1,
    gameTime: row.game_time,
    atMs: row.at_ms,
  };
}
