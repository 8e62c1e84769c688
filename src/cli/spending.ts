/** `greenroom spending`: what paid engines cost today, and the switch that stops them at 3 a.m. */
import { Argument } from 'commander';
import { type GatewayFlags, gatewayFlags, openGateway, type SpendingToday } from './client.ts';
import type { Verb } from './index.ts';

export const spendingVerb: Verb = (program, runtime, signal) => {
  gatewayFlags(
    program
      .command('spending')
      .description(
        'Show what paid engines cost today; `off` ends every paid call at once, `on` allows them.',
      ),
  )
    .addArgument(new Argument('[switch]', 'what to do').choices(['off', 'on']))
    .option('--json', 'as JSON')
    .action(async (to: 'off' | 'on' | undefined, flags: GatewayFlags & { readonly json?: boolean }) => {
      await using gateway = openGateway(flags, runtime);
      const today = await gateway.spending(to === undefined ? null : to === 'off', signal);
      if (flags.json === true) return console.log(JSON.stringify(today, null, 2));
      for (const line of linesOf(today)) console.log(line);
    });
};

function linesOf({ off, calls_in_flight, day }: SpendingToday): string[] {
  const state = `Paid engines are ${off ? 'off' : 'on'}; ${calls_in_flight} paid calls in flight.`;
  if (day === null) return [state, 'The store cannot be asked what was spent.'];
  const money = (usd: number) => `$${usd.toFixed(4)}`;
  return [
    state,
    `${day.date} (UTC): ${money(day.spent_usd)} spent, ${money(day.held_usd)} held.`,
    ...Object.entries(day.tiers)
      .filter(([, tier]) => tier.spent_usd > 0 || tier.held_usd > 0)
      .map(
        ([tier, amounts]) =>
          `  tier ${tier}: ${money(amounts.spent_usd)} spent, ${money(amounts.held_usd)} held`,
      ),
  ];
}
