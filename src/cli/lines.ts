/**
 * `greenroom lines`: what players heard often and well, the designer's word on it, and the pool as a file; at a running
 * gateway. A candidate may be named by the beginning of its id.
 */
import { writeFile } from 'node:fs/promises';
import { type Command, Option } from 'commander';
import type { z } from 'zod';
import {
  candidatesSchema,
  fileSchema,
  learnedListSchema,
  learnedSchema,
  rejectedSchema,
  type WireCandidate,
  type WireLearnedLine,
} from '../api/learned-lines-wire.ts';
import { ServiceError } from '../core/errors.ts';
import { LINE_EXPORT_FORMATS, type LineExportFormat } from '../core/learned-line.ts';
import { table } from './adapter-lines.ts';
import { type Gateway, type GatewayFlags, gatewayFlags, openGateway } from './client.ts';
import type { Verb } from './index.ts';
import { printable } from './spoken.ts';

const ROOT = '/admin/v1/lines';
/** Enough of an id to tell candidates apart; whole ids have 32. */
const ID_SHOWN = 8;
const ID_LENGTH = 32;
const CANDIDATES_MAX = 500;

interface Flags extends GatewayFlags {
  readonly json?: boolean;
}
interface DecideFlags extends Flags {
  readonly by?: string;
}
interface ApproveFlags extends DecideFlags {
  readonly text?: string;
  readonly speaker?: string;
  readonly trigger?: string;
  readonly when?: readonly string[];
  readonly mood?: string;
  readonly locale?: string;
}
interface ExportFlags extends GatewayFlags {
  readonly format: LineExportFormat;
  readonly all?: boolean;
  readonly locale?: string;
  readonly force?: boolean;
}

export const linesVerb: Verb = (program, runtime, signal) => {
  const group = program
    .command('lines')
    .description('Lines that players heard often and well: look, approve into the written pool, export.');
  const deciding = (command: Command) =>
    shown(command).option(
      '--by <name>',
      'who decides (default: USER); where the gateway has API keys, the label of the key is taken',
    );
  const decider = (flags: DecideFlags) => ({ by: flags.by ?? runtime.environment['USER'] ?? '' });

  shown(
    group.command('candidates').description('Show what may be approved, the best first, and why not more.'),
  )
    .option('--speaker <id>', 'only of this NPC or kind')
    .option('--limit <number>', 'at most so many', '50')
    .action(async (flags: Flags & { readonly speaker?: string; readonly limit: string }) => {
      await using gateway = openGateway(flags, runtime);
      const offer = await candidates(gateway, { limit: flags.limit, speaker: flags.speaker }, signal);
      if (flags.json === true) return console.log(JSON.stringify(offer, null, 2));
      console.log(candidateLines(offer).join('\n'));
    });

  deciding(group.command('approve').description('Take a candidate into the written pool; it serves at once.'))
    .argument('<candidate>', 'its id, or the beginning of it')
    .option('--text <line>', 'say it so instead')
    .option('--speaker <id>', 'persona id, kind, or common')
    .option('--trigger <trigger>', 'when it is said: greet, spot, fallback:timeout …; an answer needs one')
    .option('--when <condition...>', 'only if all hold, such as health<30')
    .option('--mood <mood>', 'only in this mood')
    .option('--locale <tag>', 'its language, such as en or pt-BR')
    .action(async (candidate: string, flags: ApproveFlags) => {
      await using gateway = openGateway(flags, runtime);
      const id = await wholeId(gateway, candidate, signal);
      const { text, speaker, trigger, when, mood, locale } = flags;
      const body = { ...decider(flags), text, speaker, trigger, when, mood, locale };
      const path = `${ROOT}/candidates/${encodeURIComponent(id)}/approve`;
      const line = await gateway.call(learnedSchema, { method: 'POST', path, body }, signal);
      if (flags.json === true) return console.log(JSON.stringify(line, null, 2));
      console.log(printable(`${line.id} is approved by ${line.approved_by} and serves now: ${line.text}`));
    });

  deciding(group.command('reject').description('Never offer a candidate again.'))
    .argument('<candidate>', 'its id, or the beginning of it')
    .action(async (candidate: string, flags: DecideFlags) => {
      await using gateway = openGateway(flags, runtime);
      const id = await wholeId(gateway, candidate, signal);
      const path = `${ROOT}/candidates/${encodeURIComponent(id)}/reject`;
      const said = await gateway.call(rejectedSchema, { method: 'POST', path, body: decider(flags) }, signal);
      if (flags.json === true) return console.log(JSON.stringify(said, null, 2));
      console.log(
        printable(
          `${said.id.slice(0, ID_SHOWN)} is rejected by ${said.rejected_by}; it is not offered again.`,
        ),
      );
    });

  deciding(group.command('retire').description('Take a learned line out of the pool; its id stays taken.'))
    .argument('<line>', 'id of a learned line')
    .action(async (lineId: string, flags: DecideFlags) => {
      await using gateway = openGateway(flags, runtime);
      const path = `${ROOT}/learned/${encodeURIComponent(lineId)}/retire`;
      const line = await gateway.call(learnedSchema, { method: 'POST', path, body: decider(flags) }, signal);
      if (flags.json === true) return console.log(JSON.stringify(line, null, 2));
      console.log(printable(`${line.id} is retired by ${line.retired_by ?? ''}; players hear it no more.`));
    });

  shown(group.command('list').description('Show learned lines with who approved them.')).action(
    async (flags: Flags) => {
      await using gateway = openGateway(flags, runtime);
      const { data } = await gateway.call(
        learnedListSchema,
        { method: 'GET', path: `${ROOT}/learned` },
        signal,
      );
      if (flags.json === true) return console.log(JSON.stringify(data, null, 2));
      console.log(
        data.length === 0 ? 'Nothing is learned yet; see `greenroom lines candidates`.' : learnedTable(data),
      );
    },
  );

  gatewayFlags(
    group.command('export').description('Write lines as CSV, Yarn line groups or an Unreal string table.'),
  )
    .argument('[file]', 'where to write; without it, to standard output')
    .addOption(
      new Option('--format <format>', 'what to write').choices([...LINE_EXPORT_FORMATS]).default('csv'),
    )
    .option('--all', "with the lines of the cast's files")
    .option('--locale <tag>', 'only of this language')
    .option('--force', 'overwrite a file that exists')
    .action(async (file: string | undefined, flags: ExportFlags) => {
      await using gateway = openGateway(flags, runtime);
      const query = new URLSearchParams({
        format: flags.format,
        scope: flags.all === true ? 'all' : 'learned',
        as: 'json',
      });
      if (flags.locale !== undefined) query.set('locale', flags.locale);
      const request = { method: 'GET', path: `${ROOT}/export?${query.toString()}` } as const;
      const exported = await gateway.call(fileSchema, request, signal);
      if (file === undefined) return console.log(exported.text.replace(/\n$/, ''));
      await write(file, exported.text, flags.force === true);
      console.log(`${file}: ${exported.count} lines.`);
    });
};

function shown(command: Command): Command {
  return gatewayFlags(command).option('--json', 'as JSON');
}

type Offer = z.output<typeof candidatesSchema>;

async function candidates(
  gateway: Gateway,
  ask: { readonly limit: string; readonly speaker?: string | undefined },
  signal: AbortSignal,
): Promise<Offer> {
  const query = new URLSearchParams({ limit: ask.limit });
  if (ask.speaker !== undefined) query.set('speaker', ask.speaker);
  const request = { method: 'GET', path: `${ROOT}/candidates?${query.toString()}` } as const;
  return await gateway.call(candidatesSchema, request, signal);
}

/** The id that begins so. Throws `unknown_line` when none does, or more than one. */
async function wholeId(gateway: Gateway, begin: string, signal: AbortSignal): Promise<string> {
  if (begin.length >= ID_LENGTH) return begin;
  const { data } = await candidates(gateway, { limit: String(CANDIDATES_MAX) }, signal);
  const found = data.filter((candidate) => candidate.id.startsWith(begin));
  const [only] = found;
  if (found.length === 1 && only !== undefined) return only.id;
  throw new ServiceError(
    'unknown_line',
    found.length === 0
      ? `no candidate's id begins with "${begin}"; it may have been decided, see \`greenroom lines candidates\``
      : `"${begin}" is the beginning of ${found.length} ids; give more of it`,
  );
}

function candidateLines({ data, known, refused, thresholds }: Offer): readonly string[] {
  const reasons = Object.entries(refused).map(
    ([reason, count]) => `${count} ${reason.replaceAll(/[_-]/g, ' ')}`,
  );
  const notOffered = reasons.length === 0 ? [] : [`Heard as often but not offered: ${reasons.join(', ')}.`];
  const needed = `${thresholds.heard_min} hearings by ${thresholds.players_min} players`;
  if (data.length === 0)
    return [
      `No candidates. ${known} lines are being counted; one is offered after ${needed}.`,
      ...notOffered,
    ];
  return [candidateTable(data), '', ...notOffered, 'Approve: greenroom lines approve <id>'];
}

function candidateTable(data: readonly WireCandidate[]): string {
  return table(
    ['ID', 'SPEAKER', 'TRIGGER', 'HEARD', 'PLAYERS', 'CUT OFF', 'TEXT'],
    data.map((one) => [
      one.id.slice(0, ID_SHOWN),
      one.speaker,
      one.trigger ?? '(answer)',
      String(one.heard),
      String(one.players),
      `${Math.round(one.interrupted_share * 100)} %`,
      one.text,
    ]),
  );
}

function learnedTable(data: readonly WireLearnedLine[]): string {
  return table(
    ['LINE', 'STATUS', 'APPROVED BY', 'ON (UTC)', 'TEXT'],
    data.map((line) => [
      line.id,
      line.status === 'retired' ? `retired by ${line.retired_by ?? ''}` : line.status,
      line.approved_by,
      new Date(line.approved_at_ms).toISOString().slice(0, 16).replace('T', ' '),
      line.text,
    ]),
  );
}

async function write(file: string, text: string, isForced: boolean): Promise<void> {
  try {
    await writeFile(file, text, { flag: isForced ? 'w' : 'wx' });
  } catch (error) {
    const isThere = (error as NodeJS.ErrnoException).code === 'EEXIST';
    const reason = isThere ? 'it exists already; add --force to overwrite it' : (error as Error).message;
    throw new ServiceError('bad_request', `${file} was not written: ${reason}`, { cause: error });
  }
}
