/** `greenroom config`: what the configuration is, where each value came from, and what is allowed. Nothing is started. */
import type { Command } from 'commander';
import { z } from 'zod';
import { type LoadedConfig, loadConfig } from '../config/load.ts';
import { requirePrices } from '../config/paid.ts';
import { configSchema } from '../config/schema.ts';
import type { Runtime } from '../core/runtime.ts';
import { PriceTable } from '../spending/price.ts';
import type { Verb } from './index.ts';

interface Flags {
  readonly config?: string;
}

/** The verb `config` with its three commands. Each throws `config_invalid` that names every problem. */
export const configVerb: Verb = (program, runtime) => {
  const group = program
    .command('config')
    .description('Check and show the configuration: defaults, file, environment, flags.');

  fileFlag(group.command('check'))
    .description('Check the configuration; print each value with where it came from.')
    .option('--set', 'only what is not a default')
    .action(async (flags: Flags & { readonly set?: boolean }) => {
      const loaded = await load(flags, runtime);
      const { engines, spending } = loaded.config;
      requirePrices({ engines }, new PriceTable(spending.prices), runtime.clock.nowMs());
      const rows = leaves(withoutSecrets(loaded.config)).map(
        ([path, value]) => [path, JSON.stringify(value), originOf(loaded, path)] as const,
      );
      const shown = flags.set === true ? rows.filter(([, , origin]) => origin !== 'default') : rows;
      const widths = [0, 1].map((column) => Math.max(0, ...shown.map((row) => (row[column] ?? '').length)));
      for (const [path, value, origin] of shown)
        console.log(`${path.padEnd(widths[0] ?? 0)}  ${value.padEnd(widths[1] ?? 0)}  ${origin}`);
      console.error(`${loaded.file ?? 'The configuration without a file'} is valid.`);
      for (const [path, variable] of unsetVariables(loaded.config, runtime.environment))
        console.error(
          `${path} names the environment variable ${variable}, which is not set here; \`serve\` needs it.`,
        );
    });

  fileFlag(group.command('print'))
    .description('Print the whole configuration as JSON, which is YAML too; passwords are left out.')
    .action(async (flags: Flags) => {
      const { config } = await load(flags, runtime);
      console.log(JSON.stringify(withoutSecrets(config), null, 2));
    });

  group
    .command('schema')
    .description('Print the JSON schema of the file, for editors.')
    .action(() => console.log(JSON.stringify(z.toJSONSchema(configSchema, { io: 'input' }), null, 2)));
};

function fileFlag(command: Command): Command {
  return command.option(
    '-c, --config <file>',
    'configuration file (YAML); default: none, as `serve` reads it',
  );
}

function load(flags: Flags, { environment }: Runtime): Promise<LoadedConfig> {
  return loadConfig({ file: flags.config ?? null, environment, flags: {} });
}

/** Keys whose name ends in `Env` name variables: where a configuration is checked they need not be, where it runs they must. */
function unsetVariables(
  value: unknown,
  environment: Runtime['environment'],
  path = '',
): readonly (readonly [path: string, variable: string])[] {
  if (typeof value === 'string')
    return path.endsWith('Env') && (environment[value] ?? '') === '' ? [[path, value]] : [];
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, child]) =>
    unsetVariables(child, environment, path === '' ? key : `${path}.${key}`),
  );
}

/** Values by dotted path; a list is one value, and so is an empty object. */
function leaves(value: unknown, path = ''): readonly (readonly [string, unknown])[] {
  const isTree =
    typeof value === 'object' && value !== null && !Array.isArray(value) && Object.keys(value).length > 0;
  if (!isTree) return [[path, value]];
  return Object.entries(value).flatMap(([key, child]) => leaves(child, path === '' ? key : `${path}.${key}`));
}

/** A value below a key that was given whole comes from there too. */
function originOf(loaded: LoadedConfig, path: string): string {
  for (let at = path; at !== ''; at = at.slice(0, Math.max(0, at.lastIndexOf('.')))) {
    const origin = loaded.originOf(at);
    if (origin !== 'default') return origin;
  }
  return 'default';
}

/** Addresses may carry a password: `postgres://user:***@host/name`. */
function withoutSecrets(value: unknown): unknown {
  if (typeof value === 'string') return value.replace(/(:\/\/[^/@\s:]*):[^@\s]*@/, '$1:***@');
  if (Array.isArray(value)) return value.map(withoutSecrets);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, child]) => [key, withoutSecrets(child)]));
}
