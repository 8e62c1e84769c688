/** `greenroom npcs`: who waits in a running gateway. `greenroom cast list` shows a cast on disk. */
import { type GatewayFlags, gatewayFlags, openGateway } from './client.ts';
import type { Verb } from './index.ts';
import { printable } from './spoken.ts';

/** The verb `npcs`. */
export const npcsVerb: Verb = (program, runtime, signal) => {
  gatewayFlags(program.command('npcs').description('List the NPCs of a running gateway.'))
    .option('--json', 'as JSON')
    .action(async (flags: GatewayFlags & { readonly json?: boolean }) => {
      await using gateway = openGateway(flags, runtime);
      const npcs = await gateway.npcs(signal);
      if (flags.json === true) return console.log(JSON.stringify(npcs, null, 2));
      const width = Math.max(0, ...npcs.map((npc) => npc.npc_id.length));
      for (const npc of npcs)
        console.log(printable(`${npc.npc_id.padEnd(width)}  tier ${npc.tier}  ${npc.name}, ${npc.kind}`));
    });
};
