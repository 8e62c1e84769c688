/** GET /v1/npcs: who can be spoken to. */
import { z } from 'zod';
import type { Door } from './door.ts';

const listSchema = z.object({
  data: z.array(
    z.object({
      npc_id: z.string(),
      name: z.string(),
      kind: z.string(),
      tier: z.int(),
      summary: z.string(),
    }),
  ),
});

export const npcsDoor: Door = (scope, { services }) => {
  scope.get(
    '/v1/npcs',
    {
      config: { access: 'game' },
      schema: { summary: 'Who can be spoken to', tags: ['dialogue'], response: { 200: listSchema } },
    },
    () => ({ data: services.npcs.map(({ npcId, ...rest }) => ({ npc_id: npcId, ...rest })) }),
  );
};
