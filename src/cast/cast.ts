/**
 * The cast: everyone who may speak, read once from a folder.
 *
 *     cast.json          optional: world, player_name, locations, world_facts for everyone
 *     personas/*.json    one persona a file, named after its id
 *     lines/*.csv|json   written lines
 *
 * Invariant: a loaded cast is valid as a whole. Every problem of every file is reported at once.
 */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { ServiceError } from '../core/errors.ts';
import { parseBoundedJson } from './bounded-json.ts';
import { LinePool } from './line-pool.ts';
import { nearest } from './nearest.ts';
import {
  type CastProblem,
  issueProblem,
  type Persona,
  parsePersona,
  type WorldFact,
  worldFactSchema,
} from './persona.ts';
import { LINES_FILE_BYTES_MAX, parseLinesCsv, parseLinesJson, type WrittenLine } from './written-lines.ts';

export const CAST_SCHEMA = 'greenroom.cast/1';
const PERSONA_FILE_BYTES_MAX = 1024 * 1024;
const PERSONAS_MAX = 5_000;
/** Problems shown in one message; the rest is counted. */
const PROBLEMS_SHOWN_MAX = 40;

const castFileSchema = z.strictObject({
  schema: z.literal(CAST_SCHEMA).optional(),
  world: z.string().max(4000).default('').describe('The world in one breath; in every prompt.'),
  player_name: z.string().min(1).max(40).default('stranger').describe('What people call the player.'),
  locations: z
    .array(
      z.strictObject({
        id: z.string().min(1).max(64),
        name: z.string().min(1).max(120),
        text: z.string().max(400).default(''),
      }),
    )
    .max(2000)
    .default([]),
  world_facts: z.array(worldFactSchema).max(2000).default([]).describe('Facts shared by the whole cast.'),
});
type CastFile = z.output<typeof castFileSchema>;

/** A place, as people name it. */
export interface Place {
  readonly id: string;
  readonly name: string;
  readonly text: string;
}

/** What all personas share in a prompt. */
export interface World {
  readonly text: string;
  readonly playerName: string;
  readonly places: ReadonlyMap<string, Place>;
  readonly facts: readonly WorldFact[];
}

export interface Cast {
  readonly world: string;
  readonly setting: World;
  readonly npcs: ReadonlyMap<string, Persona>;
  readonly lines: LinePool;
  /** Ids of NPCs that look like this one, best first, at most three. */
  near(npcId: string): readonly string[];
}

/** A folder as it was read, with whatever is wrong in it. */
export interface CastReading {
  readonly cast: Cast;
  /** All lines, also those that are not served. */
  readonly allLines: readonly WrittenLine[];
  readonly problems: readonly CastProblem[];
}

/** Puts a cast together from parts that are valid. */
export function createCast(
  npcs: readonly Persona[],
  lines: readonly WrittenLine[],
  setting: World = { text: '', playerName: 'stranger', places: new Map(), facts: [] },
): Cast {
  const byId = new Map(npcs.map((persona) => [persona.id, persona]));
  return {
    world: setting.text,
    setting,
    npcs: byId,
    lines: new LinePool(lines, byId, setting.playerName),
    near: (npcId) => nearest(npcId, byId.keys()),
  };
}

/**
 * Reads and checks a cast. Throws `cast_invalid` that lists every problem with file, field, value and what was
 * expected. Aborting stops between files.
 */
export async function loadCast(directory: string, signal: AbortSignal): Promise<Cast> {
  const { cast, problems } = await readCast(directory, signal);
  if (problems.length > 0) throw castInvalid(directory, problems);
  return cast;
}

/** As `loadCast`, but hands over what is good beside the problems. Throws `cast_invalid` only without a folder. */
export async function readCast(directory: string, signal: AbortSignal): Promise<CastReading> {
  const problems: CastProblem[] = [];
  const setting = await readSetting(directory, problems);
  const personas = new Map<string, Persona>();
  const personaFiles = await list(join(directory, 'personas'), /\.json$/i);
  const lineFiles = await list(join(directory, 'lines'), /\.(?:csv|json)$/i);
  if (personaFiles.length === 0 && lineFiles.length === 0) {
    throw new ServiceError(
      'cast_invalid',
      `no cast in ${directory}: expected personas/*.json and lines/*.csv; check the cast folder in the configuration`,
    );
  }
  if (personaFiles.length > PERSONAS_MAX) {
    problems.push({
      file: 'personas',
      field: '(the folder)',
      value: String(personaFiles.length),
      expected: `at most ${PERSONAS_MAX} personas`,
    });
  }
  for (const name of personaFiles.slice(0, PERSONAS_MAX)) {
    signal.throwIfAborted();
    const file = `personas/${name}`;
    const value = await readJson(directory, file, PERSONA_FILE_BYTES_MAX, problems);
    if (value === undefined) continue;
    const parsed = parsePersona(value, file);
    if ('problems' in parsed) problems.push(...parsed.problems);
    else addPersona(personas, parsed.persona, file, problems);
  }
  const allLines: WrittenLine[] = [];
  for (const name of lineFiles) {
    signal.throwIfAborted();
    const file = `lines/${name}`;
    if (/\.json$/i.test(name)) {
      const value = await readJson(directory, file, LINES_FILE_BYTES_MAX, problems);
      if (value === undefined) continue;
      const parsed = parseLinesJson(value, file);
      allLines.push(...parsed.lines);
      problems.push(...parsed.problems);
    } else {
      const content = await readText(directory, file, LINES_FILE_BYTES_MAX, problems);
      if (content === null) continue;
      const parsed = parseLinesCsv(content, file);
      allLines.push(...parsed.lines);
      problems.push(...parsed.problems);
    }
  }
  findDuplicateLines(allLines, problems);
  return { cast: createCast([...personas.values()], allLines, setting), allLines, problems };
}

async function readSetting(directory: string, problems: CastProblem[]): Promise<World> {
  let value: unknown = {};
  if (await isFile(join(directory, 'cast.json'))) {
    value = (await readJson(directory, 'cast.json', PERSONA_FILE_BYTES_MAX, problems)) ?? {};
  }
  const result = castFileSchema.safeParse(value);
  if (!result.success) {
    problems.push(...result.error.issues.map((issue) => issueProblem(issue, value, 'cast.json')));
  }
  const file: CastFile = result.success ? result.data : castFileSchema.parse({});
  return {
    text: file.world,
    playerName: file.player_name,
    places: new Map(file.locations.map((place) => [place.id, place])),
    facts: file.world_facts,
  };
}

function addPersona(
  personas: Map<string, Persona>,
  persona: Persona,
  file: string,
  problems: CastProblem[],
): void {
  if (file.toLowerCase() !== `personas/${persona.id}.json`) {
    problems.push({ file, field: 'id', value: persona.id, expected: `the file's name without .json` });
  }
  if (personas.has(persona.id)) {
    problems.push({ file, field: 'id', value: persona.id, expected: 'an id that no other persona has' });
    return;
  }
  personas.set(persona.id, persona);
}

function findDuplicateLines(lines: readonly WrittenLine[], problems: CastProblem[]): void {
  const first = new Map<string, string>();
  for (const line of lines) {
    const other = first.get(line.id);
    if (other === undefined) first.set(line.id, line.origin);
    else {
      const [file = '', place = ''] = line.origin.split(', ');
      problems.push({
        file,
        field: `${place}, id`,
        value: line.id,
        expected: `an id used once; also in ${other}`,
      });
    }
  }
}

async function isFile(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}

async function list(directory: string, pattern: RegExp): Promise<readonly string[]> {
  try {
    return (await readdir(directory)).filter((name) => pattern.test(name) && !name.startsWith('.')).sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw new ServiceError('cast_invalid', `the cast folder ${directory} cannot be read`, { cause: error });
  }
}

async function readText(
  directory: string,
  file: string,
  bytesMax: number,
  problems: CastProblem[],
): Promise<string | null> {
  try {
    const path = join(directory, file);
    const { size } = await stat(path);
    if (size > bytesMax) {
      problems.push({
        file,
        field: '(the whole file)',
        value: `${size} bytes`,
        expected: `at most ${bytesMax} bytes`,
      });
      return null;
    }
    return new TextDecoder('utf-8', { fatal: true }).decode(await readFile(path));
  } catch (error) {
    const reason = error instanceof TypeError ? 'it is not UTF-8' : (error as Error).message;
    problems.push({
      file,
      field: '(the whole file)',
      value: '',
      expected: `a readable UTF-8 file: ${reason}`,
    });
    return null;
  }
}

async function readJson(
  directory: string,
  file: string,
  bytesMax: number,
  problems: CastProblem[],
): Promise<unknown> {
  const content = await readText(directory, file, bytesMax, problems);
  if (content === null) return undefined;
  try {
    return parseBoundedJson(content);
  } catch (error) {
    problems.push({
      file,
      field: '(the whole file)',
      value: '',
      expected: `JSON: ${(error as Error).message}`,
    });
    return undefined;
  }
}

function castInvalid(directory: string, problems: readonly CastProblem[]): ServiceError {
  const shown = problems.slice(0, PROBLEMS_SHOWN_MAX).map(problemText);
  const more = problems.length - shown.length;
  if (more > 0) shown.push(`… and ${more} more; greenroom cast lint lists them all`);
  const count = problems.length === 1 ? 'one problem' : `${problems.length} problems`;
  return new ServiceError('cast_invalid', `the cast in ${directory} has ${count}:\n  ${shown.join('\n  ')}`, {
    details: { problems: problems.slice(0, PROBLEMS_SHOWN_MAX) },
  });
}

/** One problem in one line: file, field, value, what was expected. */
export function problemText(problem: CastProblem): string {
  const value = problem.value === '' ? '' : ` is ${problem.value}`;
  return `${problem.file}: ${problem.field}${value}; expected ${problem.expected}`;
}
