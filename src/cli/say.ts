/** `greenroom say`: one line to a running gateway, its answer sentence by sentence as it is spoken. */
import type { Command } from 'commander';
import { ServiceError } from '../core/errors.ts';
import type { Runtime } from '../core/runtime.ts';
import { type Done, type GatewayFlags, gatewayFlags, openGateway } from './client.ts';
import type { Verb } from './index.ts';
import { dim, printable, provenance } from './spoken.ts';

interface Flags extends GatewayFlags {
  readonly json?: boolean;
  readonly tier?: string;
  readonly conversation?: string;
  readonly player?: string;
}

/** The verb `say`. Standard output holds the reply alone; where it came from goes to standard error. */
export const sayVerb: Verb = (program, runtime, signal) => {
  lineFlags(
    program
      .command('say')
      .description('Say one line to an NPC of a running gateway and print what it answers.')
      .argument('<npc>', 'id of the NPC; `greenroom npcs` lists them')
      .argument('<text...>', 'what the player says'),
  )
    .option('--json', 'the whole reply as JSON')
    .action((npc: string, words: readonly string[], flags: Flags) =>
      say(npc, words.join(' '), flags, runtime, signal),
    );
};

/** The flags of a line, beside those of the gateway. */
export function lineFlags(command: Command): Command {
  return gatewayFlags(command)
    .option('--tier <1..4>', "lower than the NPC's own to spend less")
    .option('--conversation <id>', 'remember under this id what was said')
    .option('--player <id>', 'who speaks');
}

/** The fields of the body that the flags give. Throws `bad_request` for a tier that is none. */
export function bodyOf(npc: string, flags: Flags): Readonly<Record<string, unknown>> {
  const { tier, conversation, player } = flags;
  if (tier !== undefined && !/^[1-4]$/.test(tier))
    throw new ServiceError('bad_request', `--tier is ${JSON.stringify(tier)}; expected 1, 2, 3 or 4`);
  return {
    npc_id: npc,
    ...(tier === undefined ? {} : { tier: Number(tier) }),
    ...(conversation === undefined ? {} : { conversation_id: conversation }),
    ...(player === undefined ? {} : { context: { player_id: player } }),
  };
}

async function say(
  npc: string,
  prompt: string,
  flags: Flags,
  runtime: Runtime,
  signal: AbortSignal,
): Promise<void> {
  const isTerminal = process.stderr.isTTY && runtime.environment['NO_COLOR'] === undefined;
  await using gateway = openGateway(flags, runtime);
  const sentences: string[] = [];
  let done: Done | null = null;
  try {
    for await (const event of gateway.say({ ...bodyOf(npc, flags), prompt }, signal)) {
      if (event.type === 'done') done = event.done;
      else if (flags.json === true) continue;
      else if (event.type === 'action')
        console.error(dim(printable(`[${event.name} ${JSON.stringify(event.params)}]`), isTerminal));
      else if (event.type === 'filler') console.error(dim(printable(event.text), isTerminal));
      else {
        process.stdout.write(`${sentences.length === 0 ? '' : ' '}${printable(event.text)}`);
        sentences.push(event.text);
      }
    }
  } finally {
    // Whatever was said stays on a line of its own, above what went wrong.
    if (sentences.length > 0) process.stdout.write('\n');
  }
  if (done === null) return;
  if (flags.json === true) console.log(JSON.stringify({ ...done, text: done.sentences.join(' ') }, null, 2));
  else console.error(dim(provenance(done), isTerminal));
}
