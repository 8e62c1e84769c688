/** Money at the admin door: what today costs, and the one switch that stops all paid calls at once. */
import { z } from 'zod';
import type { SpendingStatus } from '../spending/spending.ts';
import type { Door } from './door.ts';

const switchSchema = z.strictObject({
  off: z
    .boolean()
    .describe('true ends every paid call in flight and refuses new ones; it survives a restart.'),
});

export const spendingDoor: Door = (scope, { services }) => {
  const spending = async () => wireOf(await services.spending.status());
  scope.get(
    '/admin/v1/spending',
    {
      config: { access: 'operator' },
      schema: {
        summary: 'What paid engines cost today (UTC), and whether they are on',
        tags: ['operations'],
      },
    },
    spending,
  );
  scope.post(
    '/admin/v1/spending',
    {
      config: { access: 'operator' },
      schema: { summary: 'Switch paid engines off or on', tags: ['operations'], body: switchSchema },
    },
    async (request) => {
      const { off } = request.body as z.output<typeof switchSchema>;
      await services.spending.switchOff(off);
      return await spending();
    },
  );
};

function wireOf({ isOff, held, day }: SpendingStatus) {
  return {
    off: isOff,
    calls_in_flight: held,
    /** Null while the store cannot be asked. */
    day:
      day === null
        ? null
        : {
            date: day.day,
            spent_usd: usd(day.spentMicroUsd),
            held_usd: usd(day.heldMicroUsd),
            tiers: Object.fromEntries(
              Object.entries(day.tiers).map(([tier, amounts]) => [
                tier,
                { spent_usd: usd(amounts.spentMicroUsd), held_usd: usd(amounts.heldMicroUsd) },
              ]),
            ),
          },
  };
}

function usd(microUsd: number): number {
  return microUsd / 1_000_000;
}
