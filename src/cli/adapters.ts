/**
 * `greenroom adapters`: the registry, publish and hot swap at a running gateway. Long work is followed to its end with its
 * progress; it goes on at the gateway when the follower is interrupted.
 */
import { existsSync } from 'node:fs';
import { isAbsolute } from 'node:path';
import type { Command } from 'commander';
import { Option } from 'commander';
import { z } from 'zod';
import { EXPORT_KINDS } from '../adapters/artefact/export-plan.ts';
import { absoluteSource, formatSource, parseSource } from '../adapters/sources/address.ts';
import { isLoopback } from '../api/access.ts';
import {
  adapterPageSchema,
  adapterSchema,
  exportSchema,
  operationSchema,
  operationsSchema,
  replicasSchema,
  type WireAdapter,
  type WireOperation,
} from '../api/adapters-wire.ts';
import { ADAPTER_TAGS } from '../core/adapter.ts';
import { ServiceError } from '../core/errors.ts';
import type { Runtime } from '../core/runtime.ts';
import { adapterLines, adapterTable, operationTable, replicaLines } from './adapter-lines.ts';
import { checked, codeOf, type Gateway, type GatewayFlags, gatewayFlags, openGateway } from './client.ts';
import type { Verb } from './index.ts';
import { OperationDisplay } from './operation-display.ts';
import { printable } from './spoken.ts';

const ROOT = '/admin/v1/adapters';
const OPERATIONS = '/admin/v1/adapter-operations';
const REPLICAS = '/admin/v1/adapter-replicas';
const PAGE = 1_000;

interface Flags extends GatewayFlags {
  readonly json?: boolean;
}
interface LongFlags extends Flags {
  readonly detach?: boolean;
}
interface AddFlags extends LongFlags {
  readonly name: string;
  readonly version: string;
  readonly base?: string;
  readonly sha256?: string;
  readonly licence?: string;
  readonly notes?: string;
  readonly trainingRun?: string;
}

/** The verb `adapters` with its commands. */
export const adaptersVerb: Verb = (program, runtime, signal) => {
  const group = program
    .command('adapters')
    .description(
      'LoRA adapters of a running gateway: add, publish, swap without a pause, see where they are.',
    );

  long(group.command('add').description('Bring an adapter into the registry: fetch, check, convert.'))
    .argument(
      '<source>',
      "a path on the gateway's machine (./folder, /path/adapter.gguf), https://…, hf://owner/repository or s3://bucket/prefix",
    )
    .requiredOption('--name <name>', 'what personas call it, such as lich')
    .requiredOption('--version <version>', 'never used for other bytes again, such as 7')
    .option('--base <model>', 'base model that it was trained on (default: the first that takes adapters)')
    .option('--licence <text>', 'what it may be used for, such as CC0-1.0')
    .option('--notes <text>', 'for whoever looks at it later')
    .option('--training-run <id>', 'which training made it')
    .option('--sha256 <digest>', 'of its weights file, 64 hexadecimal digits')
    .action(async (source: string, flags: AddFlags) => {
      const { name, version, base, sha256, licence, notes, trainingRun } = flags;
      await using gateway = openGateway(flags, runtime);
      const body = {
        ...{ source: sourceFor(gateway, source), name, version, base, sha256, licence, notes },
        training_run: trainingRun,
      };
      await work(gateway, ROOT, body, flags, runtime, signal);
    });

  shown(group.command('list').description('Show what is registered, and where it is resident.'))
    .argument('[name]', 'only versions of this name')
    .action(async (name: string | undefined, flags: Flags) => {
      await using gateway = openGateway(flags, runtime);
      const all = await listAll(gateway, name, signal);
      if (flags.json === true) return console.log(JSON.stringify(all, null, 2));
      console.log(
        all.length === 0
          ? 'No adapters. Add one: greenroom adapters add ./folder --name lich --version 1'
          : adapterTable(all),
      );
    });

  shown(group.command('show').description('Show one adapter: its record, its tags, its engines.'))
    .argument('<adapter>', 'lich@7, lich@canary, or lich')
    .action(async (id: string, flags: Flags) => {
      await using gateway = openGateway(flags, runtime);
      const found = await gateway.call(adapterSchema, { method: 'GET', path: at(id) }, signal);
      if (flags.json === true) return console.log(JSON.stringify(found, null, 2));
      for (const line of adapterLines(found)) console.log(line);
    });

  const on = (verb: string, description: string) =>
    long(group.command(verb).description(description)).argument('<adapter>', 'lich@7, lich@canary, or lich');
  const workOn = async (id: string, verb: string, body: object, flags: LongFlags) => {
    await using gateway = openGateway(flags, runtime);
    await work(gateway, `${at(id)}/${verb}`, { ...body }, flags, runtime, signal);
  };
  on('publish', 'Load it where it belongs, verify that it answers as itself, then let lines go to it.')
    .addOption(
      new Option('--tag <tag>', 'tag to move to it (default: stable for the first of its name)').choices(
        ADAPTER_TAGS,
      ),
    )
    .option('--pin', 'never evict it for another one')
    .action(
      async (id: string, { tag, pin = false, ...flags }: LongFlags & { tag?: string; pin?: boolean }) =>
        await workOn(id, 'publish', { tag: tag ?? null, pin }, flags),
    );
  on('swap', 'Publish a version and move the tag to it at once; running lines end with the one before.')
    .addOption(new Option('--tag <tag>', 'tag to move').choices(ADAPTER_TAGS).default('stable'))
    .action(
      async (id: string, { tag, ...flags }: LongFlags & { tag: string }) =>
        await workOn(id, 'swap', { tag }, flags),
    );
  on('unload', 'Take it off the engines when its lines have ended; it stays registered.')
    .option('--force', 'also when a tag stands at it; the tag goes too')
    .action(
      async (id: string, { force = false, ...flags }: LongFlags & { force?: boolean }) =>
        await workOn(id, 'unload', { force }, flags),
    );
  on('verify', 'Compare every byte of its files with its digest.')
    .option('--refetch', 'fetch again from its source what is missing or damaged')
    .action(
      async (id: string, { refetch = false, ...flags }: LongFlags & { refetch?: boolean }) =>
        await workOn(id, 'verify', { refetch }, flags),
    );

  for (const [verb, description] of [
    ['pin', 'Never evict it for another one.'],
    ['unpin', 'It may be evicted again.'],
  ] as const)
    shown(group.command(verb).description(description))
      .argument('<adapter>', 'lich@7, lich@canary, or lich')
      .action(async (id: string, flags: Flags) => {
        await using gateway = openGateway(flags, runtime);
        const request = { method: 'POST', path: `${at(id)}/${verb}`, body: {} } as const;
        const found = await gateway.call(adapterSchema, request, signal);
        if (flags.json === true) return console.log(JSON.stringify(found, null, 2));
        console.log(`${found.id} ${found.is_pinned ? 'is pinned' : 'is not pinned any more'}.`);
      });

  shown(
    group.command('export').description('Print how an engine that takes no adapters by call is given it.'),
  )
    .argument('<adapter>', 'lich@7, lich@canary, or lich')
    .addOption(new Option('--engine <kind>', 'what it is for').choices(EXPORT_KINDS).makeOptionMandatory())
    .requiredOption('--base <model>', 'the base model as that engine names it: a path, or a model of Ollama')
    .option('--folder <path>', "where that engine sees the artefact's folder")
    .action(
      async (
        id: string,
        { engine, base, folder, ...flags }: Flags & { engine: string; base: string; folder?: string },
      ) => {
        await using gateway = openGateway(flags, runtime);
        const query = new URLSearchParams({ engine, base, ...(folder === undefined ? {} : { folder }) });
        const request = { method: 'GET', path: `${at(id)}/export?${query.toString()}` } as const;
        const plan = await gateway.call(exportSchema, request, signal);
        if (flags.json === true) return console.log(JSON.stringify(plan, null, 2));
        console.log(plan.text);
        for (const { path, content } of plan.files) console.log(`\n# ${path}\n${content}`);
      },
    );

  gatewayFlags(group.command('remove').description('Take it out of the registry; its files go with it.'))
    .argument('<adapter>', 'lich@7')
    .action(async (id: string, flags: GatewayFlags) => {
      await using gateway = openGateway(flags, runtime);
      await gateway.call(z.null(), { method: 'DELETE', path: at(id) }, signal);
      console.log(printable(`${id} is removed.`));
    });

  shown(group.command('replicas').description('Show what lies on each engine.'))
    .option('--watch', 'again whenever it changes')
    .action(async (flags: Flags & { readonly watch?: boolean }) => {
      await using gateway = openGateway(flags, runtime);
      const show = ({ data }: z.output<typeof replicasSchema>) =>
        console.log(flags.json === true ? JSON.stringify(data, null, 2) : replicaLines(data).join('\n'));
      if (flags.watch !== true)
        return show(await gateway.call(replicasSchema, { method: 'GET', path: REPLICAS }, signal));
      for await (const { event, data } of gateway.follow(REPLICAS, signal))
        if (event === 'replicas') show(checked(replicasSchema, data, event));
    });

  shown(group.command('operations').description('Show long work: what runs and what ended, newest first.'))
    .argument('[operation]', 'follow this one to its end')
    .action(async (id: string | undefined, flags: Flags) => {
      await using gateway = openGateway(flags, runtime);
      if (id !== undefined) {
        const path = `${OPERATIONS}/${encodeURIComponent(id)}`;
        const operation = await gateway.call(operationSchema, { method: 'GET', path }, signal);
        return await followed(gateway, operation, flags, runtime, signal);
      }
      const { data } = await gateway.call(operationsSchema, { method: 'GET', path: OPERATIONS }, signal);
      if (flags.json === true) return console.log(JSON.stringify(data, null, 2));
      console.log(data.length === 0 ? 'No long work since the gateway started.' : operationTable(data));
    });
};

function shown(command: Command): Command {
  return gatewayFlags(command).option('--json', 'as JSON');
}

function long(command: Command): Command {
  return shown(command).option('--detach', 'do not wait for the end; print the operation');
}

function at(id: string): string {
  return `${ROOT}/${encodeURIComponent(id)}`;
}

/** On this machine a relative path means what it means here, wherever the gateway was started. */
function sourceFor({ origin }: Gateway, source: string): string {
  if (!isLoopback(origin)) return source;
  return formatSource(absoluteSource(parseSource(dotted(source)), process.cwd()));
}

/** `adapters/lich` may be a folder or a hub's repository, so it is refused undotted; here the disk says which it is. */
function dotted(source: string): string {
  const [place = ''] = source.split('#sha256=', 1);
  return !isAbsolute(place) && existsSync(place) ? `./${source}` : source;
}

async function listAll(
  gateway: Gateway,
  name: string | undefined,
  signal: AbortSignal,
): Promise<WireAdapter[]> {
  const all: WireAdapter[] = [];
  for (let after: string | null | undefined; after !== null; ) {
    const query = new URLSearchParams({ limit: String(PAGE) });
    if (name !== undefined) query.set('name', name);
    if (after !== undefined) query.set('after', after);
    const request = { method: 'GET', path: `${ROOT}?${query.toString()}` } as const;
    const page = await gateway.call(adapterPageSchema, request, signal);
    all.push(...page.data);
    after = page.next;
  }
  return all;
}

/** Begins long work and follows it to its end, unless `--detach` says otherwise. */
async function work(
  gateway: Gateway,
  path: string,
  body: Readonly<Record<string, unknown>>,
  flags: LongFlags,
  runtime: Runtime,
  signal: AbortSignal,
): Promise<void> {
  const operation = await gateway.call(operationSchema, { method: 'POST', path, body }, signal);
  if (flags.detach !== true) return await followed(gateway, operation, flags, runtime, signal);
  console.log(flags.json === true ? JSON.stringify(operation, null, 2) : operation.id);
}

/** Prints what was done; throws as it failed. */
async function followed(
  gateway: Gateway,
  started: WireOperation,
  flags: Flags,
  runtime: Runtime,
  signal: AbortSignal,
): Promise<void> {
  using display = new OperationDisplay({
    write: (text) => process.stderr.write(text),
    isTerminal: process.stderr.isTTY === true,
    columns: () => process.stderr.columns ?? 80,
    monotonicMs: () => runtime.clock.monotonicMs(),
  });
  let last = started;
  if (last.outcome === null) display.show(last);
  try {
    const events = gateway.follow(`${OPERATIONS}/${encodeURIComponent(started.id)}`, signal);
    for await (const { event, data } of events) {
      if (event !== 'progress' && event !== 'done') continue;
      last = checked(operationSchema, data, event);
      if (last.outcome === null) display.show(last);
    }
  } catch (error) {
    display[Symbol.dispose]();
    if (signal.aborted)
      console.error(
        `The ${started.kind} of ${started.adapter} goes on; follow it: greenroom adapters operations ${started.id}`,
      );
    throw error;
  }
  display[Symbol.dispose]();
  if (last.failure !== null) throw new ServiceError(codeOf(last.failure.code), last.failure.message);
  if (last.outcome === null)
    throw new ServiceError(
      'engine_error',
      `the gateway ended the line before the ${last.kind} of ${last.adapter} ended; look again: greenroom adapters operations ${last.id}`,
    );
  console.log(flags.json === true ? JSON.stringify(last, null, 2) : printable(`${last.detail}.`));
}
