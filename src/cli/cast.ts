/** `greenroom cast`: look at a cast, check it, and trade characters with other programs. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, extname, join } from 'node:path';
import type { Command } from 'commander';
import { type CardContainer, exportCardFile, importCardFile } from '../cast/card-file.ts';
import { type Cast, loadCast, readCast } from '../cast/cast.ts';
import { type LintFinding, lintCast } from '../cast/lint.ts';
import type { Persona } from '../cast/persona.ts';
import { ServiceError } from '../core/errors.ts';
import type { Verb } from './index.ts';

const DEFAULT_CAST = 'examples/body-broker/cast';
/** Rows shown of one rule unless `--all` is given. */
const ROWS_PER_RULE = 12;
/** The largest card that any container may be; each then has its own, smaller limit. */
const CARD_FILE_BYTES_MAX = 64 * 1024 * 1024;

export const castVerb: Verb = (program, _runtime, signal) => {
  const cast = program
    .command('cast')
    .description('Look at a cast, check it, and import or export character cards.');
  const withCast = (command: Command) =>
    command.option('--cast <folder>', 'folder with cast.json, personas/ and lines/', DEFAULT_CAST);

  withCast(cast.command('list'))
    .description('Everyone in the cast: id, name, kind, tier.')
    .option('--json', 'as JSON')
    .action(async (options: { cast: string; json?: boolean }) => {
      const loaded = await loadCast(options.cast, signal);
      if (options.json === true) return console.log(JSON.stringify(summaries(loaded), null, 2));
      const rows = summaries(loaded).map((npc) => [
        npc.id,
        npc.name,
        npc.kind,
        String(npc.tier),
        npc.summary,
      ]);
      console.log(table(['id', 'name', 'kind', 'tier', 'summary'], rows));
      console.log(`\n${loaded.npcs.size} NPCs, ${loaded.lines.served.length} written lines.`);
    });

  withCast(cast.command('show'))
    .argument('<npc>', 'id of the NPC')
    .description('One persona, whole, as JSON.')
    .action(async (npcId: string, options: { cast: string }) => {
      console.log(JSON.stringify(findNpc(await loadCast(options.cast, signal), npcId), null, 2));
    });

  withCast(cast.command('lint'))
    .description('Finds faults and thin places. Exit code 1 when there are errors, 0 with warnings only.')
    .option('--json', 'as JSON')
    .option('--all', 'every finding, not the first of each rule')
    .action(async (options: { cast: string; json?: boolean; all?: boolean }) => {
      const reading = await readCast(options.cast, signal);
      const findings = lintCast(reading);
      const errors = findings.filter((finding) => finding.severity === 'error').length;
      if (options.json === true) console.log(JSON.stringify(findings, null, 2));
      else printFindings(findings, options.all === true);
      const counted = `${reading.cast.npcs.size} NPCs, ${reading.allLines.length} lines`;
      const summary = `${counted}: ${errors} errors, ${findings.length - errors} warnings`;
      if (errors > 0)
        throw new ServiceError('cast_invalid', `the cast in ${options.cast} has faults. ${summary}`);
      if (options.json !== true) console.log(`${findings.length > 0 ? '\n' : ''}${summary}.`);
    });

  withCast(cast.command('import'))
    .argument('<file>', 'character card: JSON, PNG or CHARX (V1, V2, V3)')
    .description('Makes a persona file of a character card. Nothing is fetched from the network.')
    .option('--id <id>', 'id of the new NPC; default: from its name')
    .option('--kind <kind>', 'zombie, ghoul, vampire, werewolf, lich, human, or your own')
    .option('--tier <1..4>', 'tier of the new NPC')
    .option('--out <file>', 'where to write; default: personas/<id>.json in the cast; - for standard output')
    .option('--force', 'overwrite a file that exists')
    .action(async (file: string, options: ImportFlags) => {
      const imported = importCardFile(await readCard(file), {
        ...(options.id === undefined ? {} : { id: options.id }),
        ...(options.kind === undefined ? {} : { monsterType: options.kind }),
        ...(options.tier === undefined ? {} : { tier: tierOf(options.tier) }),
      });
      for (const line of imported.warnings) console.error(`warning: ${line}`);
      if (imported.assets.length > 0)
        console.error(`note: ${imported.assets.length} files beside the card were not read`);
      const json = `${JSON.stringify(imported.persona, null, 2)}\n`;
      if (options.out === '-') return void process.stdout.write(json);
      const target = options.out ?? join(options.cast, 'personas', `${imported.persona.id}.json`);
      await write(target, json, options.force === true);
      console.log(
        `${target}: ${imported.persona.name}, from a V${imported.version} card (${imported.container})`,
      );
    });

  withCast(cast.command('export'))
    .argument('<npc>', 'id of the NPC')
    .argument('<file>', 'name.json, name.png or name.charx')
    .description('Writes a character card (V3; PNG carries V2 too).')
    .option('--v2', 'JSON as a V2 card')
    .option('--image <png>', 'the picture to put the card into')
    .option('--secrets', 'with secrets and their canaries; they stay behind otherwise')
    .option('--force', 'overwrite a file that exists')
    .action(async (npcId: string, file: string, options: ExportFlags) => {
      const persona = findNpc(await loadCast(options.cast, signal), npcId);
      const bytes = exportCardFile(persona, {
        container: containerOf(file),
        version: options.v2 === true ? 2 : 3,
        includeSecrets: options.secrets === true,
        ...(options.image === undefined ? {} : { image: await readCard(options.image) }),
      });
      await write(file, bytes, options.force === true);
      const secrets =
        persona.secrets.length === 0 || options.secrets === true ? '' : ' (secrets stayed behind)';
      console.log(`${file}: ${persona.name}, ${bytes.length} bytes${secrets}`);
    });
};

interface ImportFlags {
  readonly cast: string;
  readonly id?: string;
  readonly kind?: string;
  readonly tier?: string;
  readonly out?: string;
  readonly force?: boolean;
}

interface ExportFlags {
  readonly cast: string;
  readonly v2?: boolean;
  readonly image?: string;
  readonly secrets?: boolean;
  readonly force?: boolean;
}

function summaries(cast: Cast) {
  return [...cast.npcs.values()].map(({ id, name, monster_type: kind, tier, summary }) => ({
    id,
    name,
    kind,
    tier,
    summary,
  }));
}

function findNpc(cast: Cast, npcId: string): Persona {
  const persona = cast.npcs.get(npcId);
  if (persona !== undefined) return persona;
  const near = cast.near(npcId);
  const hint =
    near.length > 0
      ? `near: ${near.join(', ')}`
      : `there are: ${[...cast.npcs.keys()].slice(0, 20).join(', ')}`;
  throw new ServiceError('unknown_npc', `no NPC has the id "${npcId}"; ${hint}`);
}

async function readCard(file: string): Promise<Uint8Array> {
  try {
    const bytes = await readFile(file);
    if (bytes.length <= CARD_FILE_BYTES_MAX) return bytes;
  } catch (error) {
    throw new ServiceError('card_rejected', `${file} cannot be read: ${(error as Error).message}`, {
      cause: error,
    });
  }
  throw new ServiceError('card_rejected', `${file} is larger than ${CARD_FILE_BYTES_MAX} bytes`);
}

async function write(file: string, content: string | Uint8Array, isForced: boolean): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  try {
    await writeFile(file, content, { flag: isForced ? 'w' : 'wx' });
  } catch (error) {
    const isThere = (error as NodeJS.ErrnoException).code === 'EEXIST';
    const reason = isThere ? 'it exists already; add --force to overwrite it' : (error as Error).message;
    throw new ServiceError('bad_request', `${file} was not written: ${reason}`, { cause: error });
  }
}

function tierOf(text: string): Persona['tier'] {
  const tier = ([1, 2, 3, 4] as const).find((candidate) => String(candidate) === text);
  if (tier === undefined) throw new ServiceError('bad_request', `--tier is ${text}, expected 1, 2, 3 or 4`);
  return tier;
}

function containerOf(file: string): CardContainer {
  const container = ({ '.json': 'json', '.png': 'png', '.charx': 'charx' } as const)[
    extname(file).toLowerCase()
  ];
  if (container === undefined) {
    throw new ServiceError(
      'bad_request',
      `${file} ends in "${extname(file)}", expected .json, .png or .charx`,
    );
  }
  return container;
}

function printFindings(findings: readonly LintFinding[], showsAll: boolean): void {
  for (const [rule, group] of Map.groupBy(findings, (finding) => `${finding.severity}: ${finding.rule}`)) {
    const shown = showsAll ? group : group.slice(0, ROWS_PER_RULE);
    console.log(`\n${rule} (${group.length})`);
    console.log(
      table(
        ['where', 'what'],
        shown.map((finding) => [finding.subject, finding.message]),
      ),
    );
    if (shown.length < group.length) console.log(`  … ${group.length - shown.length} more; --all shows them`);
  }
}

/** Columns as wide as their widest cell; the last one runs free. */
function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = header.map((name, column) =>
    Math.max(name.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const line = (cells: readonly string[]) =>
    `  ${cells.map((text, column) => (column === cells.length - 1 ? text : text.padEnd(widths[column] ?? 0))).join('  ')}`;
  return [line(header), ...rows.map(line)].join('\n');
}
