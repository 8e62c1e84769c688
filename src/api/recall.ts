/** The dialogue cache at the operator's door: what it saves, how full it is, and forgetting what an NPC said. */
import type { z } from 'zod';
import { ServiceError } from '../core/errors.ts';
import type { RecallDesk } from '../core/recall.ts';
import type { Door, DoorContext } from './door.ts';
import { forgetSchema, forgottenSchema, recallBody, recallSchema } from './recall-wire.ts';

const NPCS_MAX = 100;
const tags = ['operations'];
const config = { access: 'operator' } as const;

export const recallDoor: Door = (scope, context) => {
  scope.get(
    '/admin/v1/recall',
    {
      config,
      schema: {
        summary: 'The dialogue cache: what it saved, in all and by NPC, how full it is, and its options',
        tags,
        response: { 200: recallSchema },
      },
    },
    () => recallBody(deskOf(context).report(NPCS_MAX)),
  );
  scope.post(
    '/admin/v1/recall/forget',
    {
      config,
      schema: {
        summary: 'Forget what an NPC said, or everybody',
        description:
          'In this process and in the shared tier; other gateways keep what lies in their own memory until its time is up, so ask each of them. The next equal question is generated anew. 503 `store_unavailable` when the shared tier did not hear it: this process has forgotten, ask again when it answers.',
        tags,
        body: forgetSchema,
        response: { 200: forgottenSchema },
      },
    },
    async (request) => {
      const { npc_id: npcId = null } = request.body as z.output<typeof forgetSchema>;
      // Half a forgetting helps nobody: who hangs up does not end it.
      return { npc_id: npcId, keys: await deskOf(context).forget(npcId, context.services.draining) };
    },
  );
};

function deskOf({ services }: DoorContext): RecallDesk {
  if (services.recall === undefined)
    throw new ServiceError(
      'not_found',
      'this process has no dialogue cache; ask a gateway that serves dialogue',
    );
  return services.recall;
}
