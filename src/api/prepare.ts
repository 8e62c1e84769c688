/** POST /v1/prepare: the game says whom players will meet soon. A hint never fails, never waits and never goes before a player. */
import { z } from 'zod';
import { ADAPTER_ABSENCES } from '../core/adapter.ts';
import type { Door } from './door.ts';

const NPCS_MAX = 64;

const bodySchema = z.strictObject({
  npc_ids: z
    .array(z.string().min(1).max(100))
    .min(1)
    .max(NPCS_MAX)
    .describe('NPCs that players come near, the nearest first.'),
});

const replySchema = z.object({
  data: z.array(
    z.object({
      npc_id: z.string(),
      adapter: z
        .string()
        .nullable()
        .describe('The adapter that its next line should have; null: it names none.'),
      state: z
        .enum(['ready', 'unknown_npc', ...ADAPTER_ABSENCES])
        .describe(
          'ready: nothing is missing. loading: it was asked for. Else why it will speak as the base.',
        ),
      prefix: z
        .enum(['warm', 'warming', 'cold'])
        .describe(
          'Whether an engine has read what its prompts begin with. warming: it will when nobody waits. cold: no free engine takes it now.',
        ),
    }),
  ),
});

export const prepareDoor: Door = (scope, { services }) => {
  scope.post(
    '/v1/prepare',
    {
      config: { access: 'game' },
      schema: {
        summary: 'Say whom players will meet soon',
        tags: ['dialogue'],
        body: bodySchema,
        response: { 202: replySchema },
      },
    },
    async (request, reply) => {
      const { npc_ids: npcIds } = request.body as z.infer<typeof bodySchema>;
      const prepared = await services.prepare(npcIds);
      reply.code(202);
      return { data: prepared.map(({ npcId, ...rest }) => ({ npc_id: npcId, ...rest })) };
    },
  );
};
