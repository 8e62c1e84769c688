/**
 * The client at the command line. It prints what `report.ts` makes of a run:
 *
 *     node bench/npc-trace/drive.ts --target greenroom=http://127.0.0.1:8080 --speed 2 --seconds 60
 *     node bench/npc-trace/drive.ts --target openai=http://127.0.0.1:8081 --model m --seconds 60
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type DriveOptions, type DriveTarget, drive, windowOf } from './client.ts';
import { reportOf, tableOf } from './report.ts';
import { readTrace } from './trace.ts';

export { type DriveOptions, type DriveTarget, drive, windowOf } from './client.ts';

const PUBLISHED = join(import.meta.dirname, 'published.jsonl');

export interface PlayFlags {
  readonly target: DriveTarget;
  readonly trace: string;
  readonly out: string | null;
  readonly options: DriveOptions;
}

/** Throws for a flag that is unknown, missing or no number. */
export function readFlags(argv: readonly string[]): PlayFlags {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      target: { type: 'string' },
      model: { type: 'string', default: 'default' },
      key: { type: 'string' },
      units: { type: 'string', default: 'sentence' },
      trace: { type: 'string', default: PUBLISHED },
      speed: { type: 'string', default: '1' },
      from: { type: 'string', default: '0' },
      seconds: { type: 'string', default: '60' },
      'give-up': { type: 'string', default: '30' },
      'no-barks': { type: 'boolean', default: false },
      'no-events': { type: 'boolean', default: false },
      out: { type: 'string' },
    },
  });
  const [, kind, url] = /^(greenroom|openai)=(.+)$/.exec(values.target ?? '') ?? [];
  if (kind === undefined || url === undefined)
    throw new Error('--target greenroom=http://127.0.0.1:8080 or --target openai=http://127.0.0.1:8081');
  const units = values.units;
  if (units !== 'sentence' && units !== 'token')
    throw new Error(`--units is ${units}; expected sentence or token`);
  const headers = values.key === undefined ? {} : { authorization: `Bearer ${values.key}` };
  const speed = positive('speed', values.speed);
  return {
    target:
      kind === 'openai'
        ? { kind: 'openai', url, model: values.model, headers }
        : { kind: 'greenroom', url, units, headers },
    trace: values.trace,
    out: values.out ?? null,
    options: {
      speed,
      fromMs: positive('from', values.from) * 1_000,
      // Wall time on the command line, the trace's own time inside.
      forMs: positive('seconds', values.seconds) * 1_000 * speed,
      includeBarks: !values['no-barks'],
      useEvents: !values['no-events'],
      giveUpMs: positive('give-up', values['give-up']) * 1_000,
    },
  };
}

function positive(name: string, text: string): number {
  const value = Number(text);
  if (Number.isFinite(value) && value >= 0) return value;
  throw new Error(`--${name} is ${text}; expected a number, 0 or more`);
}

/** Plays, prints, and writes outcomes as JSON lines where --out asks for it. */
export async function play(argv: readonly string[], signal: AbortSignal): Promise<void> {
  const flags = readFlags(argv);
  const trace = readTrace(flags.trace);
  const onFault = (fault: string) => console.error(fault);
  const outcomes = await drive(trace, flags.target, { ...flags.options, onFault }, signal);
  if (flags.out !== null)
    writeFileSync(flags.out, outcomes.map((outcome) => `${JSON.stringify(outcome)}\n`).join(''));
  const says = windowOf(trace.entries, flags.options).flatMap(({ entry }) =>
    entry.kind === 'say' ? [entry] : [],
  );
  const wallMs = flags.options.forMs / flags.options.speed;
  process.stdout.write(tableOf(reportOf(trace.header, says, outcomes, wallMs)));
}

if (import.meta.main) {
  const interrupt = new AbortController();
  process.once('SIGINT', () => interrupt.abort(new Error('interrupted')));
  await play(process.argv.slice(2), interrupt.signal);
}
