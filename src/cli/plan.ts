/** `greenroom plan`: how many engines a game needs, what its players hear, what it costs. Needs no engine and no network. */
import { InvalidArgumentError, Option } from 'commander';
import { readYamlFile } from '../config/load.ts';
import { ENGINE_CLASSES } from '../planning/engine-classes.ts';
import { readPlan } from '../planning/options.ts';
import { makePlan } from '../planning/plan.ts';
import { planAsJson, planAsText } from '../planning/report.ts';
import type { Verb } from './index.ts';

interface PlanFlags {
  readonly file?: string;
  readonly json?: boolean;
  readonly classes?: boolean;
  readonly cloudFirst?: readonly number[];
  readonly cloudBelow?: readonly number[];
  readonly cache: boolean;
  /** What stands in a plan file under the same name. */
  readonly [key: string]: unknown;
}

/** Flags that are keys of a plan file, too: by the name that commander gives them. */
const KEYS: Readonly<Record<string, string>> = {
  players: 'players',
  dialoguesPerHour: 'dialoguesPerPlayerHour',
  turns: 'turnsMean',
  hoursPerDay: 'hoursPerDay',
  burst: 'burstFactor',
  tierShares: 'tierShares',
  firstSentenceMs: 'firstSentenceMs',
  repeats: 'repeats',
  engine: 'engine',
  usdPerEngineHour: 'usdPerEngineHour',
  engineHoursPerDay: 'engineHoursPerDay',
  spare: 'spare',
  warmUpS: 'warmUpS',
  settledS: 'settledS',
  burstS: 'burstS',
  cellPlayers: 'cellPlayers',
  seed: 'seed',
};

export const planVerb: Verb = (program, _runtime, signal) => {
  program
    .command('plan')
    .description(
      'How many engines a game needs, what its players then hear and what it costs: its busy hour, played through the real service on a simulated clock.',
    )
    .option('--file <yaml>', 'your own numbers; flags win over it')
    .option('--players <number>', 'players at once in a busy hour', number)
    .option('--dialogues-per-hour <number>', 'talks that one player begins in an hour', number)
    .option('--turns <number>', 'turns of a talk, mean', number)
    .option('--hours-per-day <number>', 'hours a day in which so many play', number)
    .option('--burst <factor>', 'times the mean load for which engines are counted', number)
    .option('--tier-shares <1=60,2=25,3=10,4=5>', 'percent of lines by tier of the NPC', byTier)
    .option('--first-sentence-ms <1=600,…>', 'longest time to the first sentence, 95th percentile', byTier)
    .option('--repeats <0..1>', 'share of what players say that everybody says', number)
    .option('--engine <class>', `engine class: ${ENGINE_CLASSES.map(({ name }) => name).join(', ')}`)
    .option('--usd-per-engine-hour <dollars>', 'price of an hour of one engine', number)
    .option('--engine-hours-per-day <hours>', 'hours a day for which engines are paid', number)
    .option('--spare <number>', 'engines beyond the load', number)
    .option('--cloud-first <tiers>', 'tiers that ask a cloud first: 4', tiers)
    .option('--cloud-below <tiers>', 'tiers that ask it when engines are too busy: 2,3', tiers)
    .option('--no-cache', 'without the dialogue cache')
    .option('--warm-up-s <seconds>', 'age of the caches for which engines are counted', number)
    .option('--settled-s <seconds>', 'age of the caches for the figures', number)
    .option('--burst-s <seconds>', 'seconds at the burst load, which count', number)
    .option('--cell-players <number>', 'more players than this are played as equal cells', number)
    .option('--seed <number>', 'the same seed gives the same plan', number)
    .addOption(new Option('--classes', 'list the engine classes, with the source of each figure'))
    .option('--json', 'as JSON')
    .action(async (flags: PlanFlags) => {
      if (flags.classes === true) {
        printClasses(flags.json === true);
        return;
      }
      const fromFile = flags.file === undefined ? {} : await readYamlFile(flags.file, '--file');
      const input = readPlan({ ...fromFile, ...fromFlags(flags, fromFile) }, flags.file ?? 'the flags');
      const plan = await makePlan(
        input,
        ({ engines, inTime, holds }) =>
          console.error(
            `greenroom plan: ${engines} engines${input.options.players > input.options.cellPlayers ? ' a cell' : ''}: ${(inTime * 100).toFixed(1)} % of the worst tier in time, ${holds ? 'enough' : 'too few'}`,
          ),
        signal,
      );
      if (flags.json === true) console.log(JSON.stringify(planAsJson(plan), null, 2));
      else for (const line of planAsText(plan)) console.log(line);
    });
};

function fromFlags(flags: PlanFlags, file: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const { cloudFirst, cloudBelow } = flags;
  const cloud = (typeof file['cloud'] === 'object' ? file['cloud'] : null) ?? {};
  return {
    ...Object.fromEntries(
      Object.entries(KEYS).flatMap(([flag, key]) => (flags[flag] === undefined ? [] : [[key, flags[flag]]])),
    ),
    ...(flags.cache ? {} : { cache: false }),
    ...(cloudFirst === undefined && cloudBelow === undefined
      ? {}
      : {
          cloud: {
            ...cloud,
            ...(cloudFirst === undefined ? {} : { first: cloudFirst }),
            ...(cloudBelow === undefined ? {} : { below: cloudBelow }),
          },
        }),
  };
}

function printClasses(asJson: boolean): void {
  if (asJson) {
    console.log(JSON.stringify(ENGINE_CLASSES, null, 2));
    return;
  }
  for (const { name, machine, model, usdPerHour, origin, paceSource, priceSource } of ENGINE_CLASSES) {
    console.log(`${name}: ${machine}, ${model}`);
    console.log(`  pace, ${origin}: ${paceSource}`);
    console.log(`  ${usdPerHour === null ? 'no price' : `$${usdPerHour} an hour`}: ${priceSource}`);
  }
}

function number(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value))
    throw new InvalidArgumentError(`is ${JSON.stringify(text)}; expected a number, such as 1000`);
  return value;
}

/** `1=60,2=25` becomes `{"1": 60, "2": 25}`; what is not a tier is refused by the schema, by its name. */
function byTier(text: string): Record<string, number> {
  const values: Record<string, number> = {};
  for (const part of text.split(',')) {
    const [tier = '', value = ''] = part.split('=').map((word) => word.trim());
    if (!/^[1-4]$/.test(tier) || value === '' || !Number.isFinite(Number(value)))
      throw new InvalidArgumentError(
        `has ${JSON.stringify(part)}; expected tier=number pairs with tiers 1 to 4, such as 1=60,2=25,3=10,4=5`,
      );
    values[tier] = Number(value);
  }
  return values;
}

function tiers(text: string): readonly number[] {
  return text.split(',').map((part) => {
    if (!/^\s*[1-4]\s*$/.test(part))
      throw new InvalidArgumentError(`has ${JSON.stringify(part)}; expected tiers 1 to 4, such as 3,4`);
    return Number(part);
  });
}
