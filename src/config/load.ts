/**
 * Reads the configuration: defaults, then the file, then the environment, then flags. Everything that is wrong is said at
 * once, with the key, the value, what is allowed and where it came from.
 */
import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { parseDocument } from 'yaml';
import { ServiceError } from '../core/errors.ts';
import { expectedOf } from '../lib/text/expected.ts';
import { layoutFaults } from '../routing/layout.ts';
import { type Config, configSchema } from './schema.ts';

export type Origin = 'default' | 'file' | 'environment' | 'flag';

export interface LoadedConfig {
  readonly config: Config;
  /** Paths in the file are relative to this folder. */
  readonly directory: string;
  readonly file: string | null;
  /** Where a value came from, by dotted path. */
  originOf(path: string): Origin;
}

export interface ConfigSources {
  readonly file: string | null;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Flags of the command line by dotted path, already typed. */
  readonly flags: Readonly<Record<string, unknown>>;
}

const FILE_BYTES_MAX = 1_000_000;
/** YAML aliases multiply: a few lines can stand for gigabytes. */
const ALIASES_MAX = 100;

/** Environment variables that win over the file. */
const ENVIRONMENT: readonly { variable: string; path: string; read: (text: string) => unknown }[] = [
  { variable: 'PORT', path: 'port', read: number },
  { variable: 'HOST', path: 'host', read: (text) => text },
  { variable: 'DATABASE_URL', path: 'store.url', read: (text) => text },
  { variable: 'GREENROOM_LOG_LEVEL', path: 'log.level', read: (text) => text },
  { variable: 'GREENROOM_LOG_FORMAT', path: 'log.format', read: (text) => text },
];

/** Throws `config_invalid` that lists every problem. */
export async function loadConfig(sources: ConfigSources): Promise<LoadedConfig> {
  const fromFile = sources.file === null ? {} : await readYamlFile(sources.file, '--config');
  const origins = new Map<string, Origin>();
  noteOrigins(fromFile, '', 'file', origins);
  const merged = structuredClone(fromFile);
  for (const { variable, path, read } of ENVIRONMENT) {
    const text = sources.environment[variable];
    if (text === undefined || text === '') continue;
    setPath(merged, path, read(text));
    origins.set(path, 'environment');
  }
  for (const [path, value] of Object.entries(sources.flags)) {
    if (value === undefined) continue;
    setPath(merged, path, value);
    origins.set(path, 'flag');
  }
  const result = configSchema.safeParse(merged);
  if (!result.success) throw invalid(sources.file, result.error.issues, merged, origins);
  const faults = layoutFaults({ ...result.data, engines: versionsOf(result.data) });
  if (faults.length > 0)
    throw faulty(
      sources.file,
      faults.map((fault) => withOrigin(fault, origins)),
    );
  return {
    config: result.data,
    directory: sources.file === null ? process.cwd() : dirname(resolve(sources.file)),
    file: sources.file,
    originOf: (path) => origins.get(path) ?? 'default',
  };
}

/** A YAML file of keys and values. Throws `config_invalid`; `flag` is the one that names the file. */
export async function readYamlFile(file: string, flag: string): Promise<Record<string, unknown>> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    throw new ServiceError(
      'config_invalid',
      `cannot read ${file}: ${(error as NodeJS.ErrnoException).code}; name an existing file with ${flag}`,
      { cause: error },
    );
  }
  if (text.length > FILE_BYTES_MAX)
    throw new ServiceError('config_invalid', `${file} is over ${FILE_BYTES_MAX} bytes`);
  const document = parseDocument(text);
  const [problem] = document.errors;
  if (problem !== undefined)
    throw new ServiceError('config_invalid', `${file} is not YAML: ${problem.message}`);
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: ALIASES_MAX });
  } catch (error) {
    throw new ServiceError('config_invalid', `${file}: ${(error as Error).message}`, { cause: error });
  }
  if (value === null || value === undefined) return {};
  if (typeof value !== 'object' || Array.isArray(value)) {
    throw new ServiceError(
      'config_invalid',
      `${file} holds ${Array.isArray(value) ? 'a list' : `a ${typeof value}`}; expected keys and values`,
    );
  }
  return value as Record<string, unknown>;
}

function noteOrigins(value: unknown, path: string, origin: Origin, into: Map<string, Origin>): void {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    if (path !== '') into.set(path, origin);
    return;
  }
  for (const [key, child] of Object.entries(value))
    noteOrigins(child, path === '' ? key : `${path}.${key}`, origin, into);
}

function setPath(target: Record<string, unknown>, path: string, value: unknown): void {
  const keys = path.split('.');
  const last = keys.pop() as string;
  let node = target;
  for (const key of keys) {
    const child = node[key];
    // What the file says wrongly stays, so that the schema names it.
    if (child !== undefined && (typeof child !== 'object' || child === null)) return;
    node[key] = child ?? {};
    node = node[key] as Record<string, unknown>;
  }
  node[last] = value;
}

function number(text: string): unknown {
  const value = Number(text);
  return Number.isNaN(value) ? text : value;
}

interface Issue {
  readonly code?: string;
  readonly path: readonly PropertyKey[];
  readonly message: string;
  readonly keys?: readonly string[];
  /** What is wrong with a key of a map. */
  readonly issues?: readonly { readonly message: string }[];
}

function invalid(
  file: string | null,
  issues: readonly Issue[],
  merged: unknown,
  origins: ReadonlyMap<string, Origin>,
): ServiceError {
  const lines = issues.map((issue) => {
    const path = issue.path.join('.');
    if (issue.code === 'unrecognized_keys') {
      return `${path === '' ? '' : `${path}.`}${issue.keys?.join(', ')}: no such key`;
    }
    if (issue.code === 'invalid_key')
      return `${path}: is no good name; ${issue.issues?.map(({ message }) => expectedOf(message)).join(', ')}`;
    const value = issue.path.reduce<unknown>(
      (node, key) => (node as Record<PropertyKey, unknown> | undefined)?.[key],
      merged,
    );
    const from = origins.get(path);
    return `${path}${from === undefined || from === 'file' ? '' : ` (from the ${from})`}: is ${JSON.stringify(value) ?? 'missing'}; ${expectedOf(issue.message)}`;
  });
  return faulty(file, lines);
}

/** One fault stands in the sentence, several on a line each. */
function faulty(file: string | null, faults: readonly string[]): ServiceError {
  const name = file ?? 'configuration';
  const [first = ''] = faults;
  return new ServiceError(
    'config_invalid',
    faults.length === 1 ? `${name}: ${first}` : `${name}:${faults.map((fault) => `\n  - ${fault}`).join('')}`,
  );
}

/** A rung that nobody wrote comes from the defaults; who is told of it must know that the file lacks the key. */
function withOrigin(fault: string, origins: ReadonlyMap<string, Origin>): string {
  const [, key] = /^(tiers\.\d\.rungs)\.\d+: /.exec(fault) ?? [];
  return key === undefined || origins.has(key)
    ? fault
    : `${fault}; this is the default, and the configuration says nothing of ${key}`;
}

function versionsOf({ engines }: Config) {
  return Object.fromEntries(
    Object.entries(engines).map(([name, { model, version }]) => [
      name,
      { model, modelVersion: version ?? null },
    ]),
  );
}
