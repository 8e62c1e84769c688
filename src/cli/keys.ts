/** `greenroom keys`: makes, lists and revokes API keys in the store itself, so it works with the service stopped too. */
import type { Command } from 'commander';
import { Option } from 'commander';
import { ServiceError } from '../core/errors.ts';
import { type ApiKey, KEY_SCOPES, type KeyScope, type Store } from '../core/store.ts';
import { dataDirectory } from '../store/location.ts';
import { silentLogger } from '../telemetry/log.ts';
import type { Verb } from './index.ts';

interface StoreFlags {
  readonly dataDir?: string;
  readonly databaseUrl?: string;
}

/** The verb `keys` with its three commands. */
export const keysVerb: Verb = (program, runtime, signal) => {
  const group = program
    .command('keys')
    .description(
      'API keys for game servers and operators. Without any key the service answers on this machine only.',
    );
  const withStore = async (flags: StoreFlags, action: (store: Store) => Promise<void>) => {
    // Loaded here, so that no other verb pays for the databases' drivers.
    const { openStore } = await import('../store/store.ts');
    await using store = await openStore(
      {
        url: flags.databaseUrl ?? runtime.environment['DATABASE_URL'],
        directory: flags.dataDir ?? dataDirectory(runtime.environment),
        clock: runtime.clock,
        random: runtime.random,
        log: silentLogger,
      },
      signal,
    );
    await action(store);
  };

  storeFlags(group.command('create').description('Make a key and print it. It is shown this once.'))
    .addOption(
      new Option(
        '--scope <scope...>',
        'what the key may do: game asks for dialogue, operator changes the service',
      )
        .choices(KEY_SCOPES)
        .makeOptionMandatory(),
    )
    .requiredOption('--label <text>', 'whose key it is, such as "shard eu-1"; up to 100 characters')
    .action(async (flags: StoreFlags & { readonly scope: readonly KeyScope[]; readonly label: string }) => {
      await withStore(flags, async (store) => {
        const { key, token } = await store.keys.create({ label: flags.label, scopes: flags.scope });
        // The key alone on standard output, so that `KEY=$(greenroom keys create …)` works.
        console.error(
          `Key ${key.id} (${key.scopes.join(', ')}) for ${key.label}. Keep it now: it is not kept here and not shown again.`,
        );
        console.log(token);
      });
    });

  storeFlags(group.command('list').description('Show every key, never its secret.'))
    .option('--json', 'as JSON')
    .action(async (flags: StoreFlags & { readonly json?: boolean }) => {
      await withStore(flags, async (store) => {
        const all = await store.keys.list();
        console.log(flags.json === true ? JSON.stringify(all, null, 2) : table(all));
      });
    });

  storeFlags(
    group
      .command('revoke')
      .description('End a key. A running service refuses it within 5 seconds.')
      .argument('<id>', 'as `keys list` shows it, or the whole key'),
  ).action(async (given: string, flags: StoreFlags) => {
    const id = /^gr_([0-9a-f]+)_/.exec(given)?.[1] ?? given;
    await withStore(flags, async (store) => {
      if (!(await store.keys.revoke(id)))
        throw new ServiceError('bad_request', `no key has the id ${id}; see \`greenroom keys list\``);
      console.log(`Key ${id} is revoked.`);
    });
  });
};

function storeFlags(command: Command): Command {
  return command
    .option('--data-dir <folder>', 'the data folder (GREENROOM_DATA; else ~/.local/share/greenroom)')
    .option('--database-url <url>', 'PostgreSQL in place of the file in the data folder (DATABASE_URL)');
}

function table(all: readonly ApiKey[]): string {
  if (all.length === 0)
    return 'No keys. Make one: greenroom keys create --scope game --label "my game server"';
  const rows = all.map((key) => [
    key.id,
    key.scopes.join(','),
    day(key.createdAtMs),
    key.lastUsedAtMs === null ? 'never' : day(key.lastUsedAtMs),
    key.revokedAtMs === null ? 'valid' : `revoked ${day(key.revokedAtMs)}`,
    // A label may hold anything; a control character would play tricks on a terminal.
    key.label.replace(/\p{C}/gu, '?'),
  ]);
  const header = ['ID', 'SCOPES', 'CREATED', 'LAST USED', 'STATE', 'LABEL'];
  const widths = header.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => (row[column] ?? '').length)),
  );
  return [header, ...rows]
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

function day(atMs: number): string {
  return new Date(atMs).toISOString().slice(0, 16).replace('T', ' ');
}
