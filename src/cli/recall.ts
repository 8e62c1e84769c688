/** `greenroom recall`: what the dialogue cache of a running gateway saves, and forgetting what an NPC said. */
import { forgottenSchema, recallSchema, type WireRecall } from '../api/recall-wire.ts';
import { ServiceError } from '../core/errors.ts';
import { table } from './adapter-lines.ts';
import { type GatewayFlags, gatewayFlags, openGateway } from './client.ts';
import type { Verb } from './index.ts';
import { printable } from './spoken.ts';

const PATH = '/admin/v1/recall';

interface Flags extends GatewayFlags {
  readonly json?: boolean;
}

export const recallVerb: Verb = (program, runtime, signal) => {
  const group = program
    .command('recall')
    .description('The dialogue cache: what saying lines again saves, and forgetting what an NPC said.');

  gatewayFlags(
    group.command('show').description('Show what was saved since the start, and how full the cache is.'),
  )
    .option('--json', 'as JSON')
    .action(async (flags: Flags) => {
      await using gateway = openGateway(flags, runtime);
      const seen = await gateway.call(recallSchema, { method: 'GET', path: PATH }, signal);
      console.log(flags.json === true ? JSON.stringify(seen, null, 2) : linesOf(seen).join('\n'));
    });

  gatewayFlags(
    group
      .command('forget')
      .description('Forget what an NPC said, so that its next lines are generated anew; at each gateway.'),
  )
    .argument('[npc_id]', 'whose lines; see `greenroom npcs`')
    .option('--all', 'what everybody said')
    .option('--json', 'as JSON')
    .action(async (npcId: string | undefined, flags: Flags & { readonly all?: boolean }) => {
      if ((npcId === undefined) === (flags.all !== true))
        throw new ServiceError(
          'bad_request',
          'forget takes either the id of one NPC, or --all for what everybody said',
        );
      await using gateway = openGateway(flags, runtime);
      const body = npcId === undefined ? { all: true } : { npc_id: npcId };
      const request = { method: 'POST', path: `${PATH}/forget`, body } as const;
      const done = await gateway.call(forgottenSchema, request, signal);
      if (flags.json === true) return console.log(JSON.stringify(done, null, 2));
      const whose = done.npc_id ?? 'everybody';
      console.log(
        printable(
          `Forgotten: what ${whose} said to ${done.keys} ${done.keys === 1 ? 'question' : 'questions'}.`,
        ),
      );
    });
};

const SHARED: Readonly<Record<WireRecall['shared'], string>> = {
  none: 'No shared tier: this gateway remembers for itself.',
  reachable: 'The shared tier answers.',
  unreachable: 'The shared tier does not answer: this gateway goes on with its own memory.',
};

function linesOf(seen: WireRecall): readonly string[] {
  const { recent, total, memory, prefix, npcs, npcs_known } = seen;
  if (!seen.enabled) return ['The dialogue cache is off: set `recall.enabled` to true.'];
  const asked = total.hits + total.joined + total.misses;
  const minutes = Math.max(1, Math.round(recent.window_s / 60));
  return [
    recent.hit_share === null
      ? recent.bypassed === 0
        ? 'Nobody asked for a line in the last minutes.'
        : `No line of the last ${minutes} min was for the cache: ${recent.bypassed} without words, without their adapter, or by personas that say "off".`
      : `${percent(recent.hit_share)} of the lines of the last ${minutes} min cost nothing now.`,
    asked === 0
      ? 'Nothing is saved yet: a line is kept when it was generated, and said again to whoever asks the same.'
      : `Since the start: ${total.hits} said again, ${total.joined} joined, ${total.misses} generated, ${total.bypassed} not for the cache.`,
    `Saved: $${total.cost_usd.toFixed(4)}, ${total.wait_s.toFixed(1)} s of waiting, ${total.prompt_tokens + total.completion_tokens} tokens.`,
    ...(prefix.cached_share === null
      ? []
      : [`Of the prompt tokens of generated lines, ${percent(prefix.cached_share)} had been read before.`]),
    `Memory: ${megabytes(memory.bytes)} of ${megabytes(memory.bytes_max)} MB, ${memory.variants} answers to ${memory.keys} questions, ${memory.evictions} made room.`,
    SHARED[seen.shared],
    ...(npcs.length === 0 ? [] : ['', npcTable(npcs)]),
    ...(npcs_known > npcs.length ? [`and ${npcs_known - npcs.length} more NPCs`] : []),
  ];
}

function npcTable(npcs: WireRecall['npcs']): string {
  return table(
    ['NPC', 'AGAIN', 'JOINED', 'GENERATED', 'SHARE', 'SAVED', 'WAIT SAVED', 'PREFIX CACHED'],
    npcs.map((npc) => [
      npc.npc_id,
      String(npc.hits),
      String(npc.joined),
      String(npc.misses),
      percent(npc.hit_share),
      `$${npc.cost_usd.toFixed(4)}`,
      `${npc.wait_s.toFixed(1)} s`,
      percent(npc.prefix.cached_share),
    ]),
  );
}

/** Rounded down, so that 100 % means all. */
function percent(share: number | null): string {
  return share === null ? '–' : `${Math.floor(share * 100)} %`;
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1);
}
