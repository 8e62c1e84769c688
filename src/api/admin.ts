/** What operators and narrative designers look at: the state of the service, a persona as the model sees it, written lines. */
import { z } from 'zod';
import { ServiceError } from '../core/errors.ts';
import type { Door } from './door.ts';
import { untilHangUp } from './hang-up.ts';

const filterSchema = z.strictObject({
  speaker: z.string().max(200).optional().describe('Persona id or kind.'),
  trigger: z.string().max(64).optional(),
});

export const adminDoor: Door = (scope, { services }) => {
  scope.get(
    '/admin/v1/status',
    {
      config: { access: 'operator' },
      schema: { summary: 'Engines, queues and the store, now', tags: ['operations'] },
    },
    () => services.status(),
  );
  scope.get<{ Params: { id: string } }>(
    '/admin/v1/npcs/:id',
    {
      config: { access: 'operator' },
      schema: {
        summary: 'An NPC: persona, prompt as the model sees it, counts of written lines',
        tags: ['operations'],
      },
    },
    async (request, reply) => {
      using life = untilHangUp(reply.raw);
      const { id } = request.params;
      const found = await services.describeNpc(id, life.signal);
      if (found === null)
        throw new ServiceError('unknown_npc', `no NPC has the id "${id}"; GET /v1/npcs lists them`);
      return found;
    },
  );
  scope.get(
    '/admin/v1/lines',
    {
      config: { access: 'operator' },
      schema: {
        summary: 'Written lines, by speaker and trigger',
        tags: ['operations'],
        querystring: filterSchema,
      },
    },
    (request) => {
      const { speaker, trigger } = request.query as z.output<typeof filterSchema>;
      const data = services.listLines({
        ...(speaker === undefined ? {} : { speaker }),
        ...(trigger === undefined || trigger === '' ? {} : { trigger }),
      });
      return { data };
    },
  );
};
