/** A driver on a real transport before a double: what the tests of drivers open, ask and close. */
import type { z } from 'zod';
import type { EngineUsage, GenerateEvent, GenerateRequest } from '../core/engine.ts';
import type { Driver, DriverDefinition } from '../engines/driver.ts';
import { createTransport } from '../engines/transport.ts';
import { lineRequest, type OpenedEngine } from './engine-conformance.ts';
import type { WireServer } from './wires/wire-server.ts';

export interface OpenedDriver extends Driver, AsyncDisposable {}

/** Opens a driver for model `m` at `origin`, with its options as the configuration would have them. */
export function openDriver<Schema extends z.ZodObject>(
  definition: DriverDefinition<Schema>,
  origin: string,
  options: z.input<Schema>,
  parts: { readonly apiKey?: string; readonly model?: string; readonly connections?: number } = {},
): OpenedDriver {
  const parsed = definition.options.parse(options);
  const transport = createTransport({
    baseUrl: origin,
    connections: parts.connections ?? 8,
    connectTimeoutMs: 5_000,
    headers: definition.headers(parts.apiKey ?? 'test-key', parsed),
  });
  return {
    ...definition.create({
      name: 'tested',
      model: parts.model ?? 'm',
      options: parsed,
      transport: () => transport,
    }),
    [Symbol.asyncDispose]: () => transport[Symbol.asyncDispose](),
  };
}

export interface Said {
  readonly text: string;
  readonly reason: string;
  readonly usage: EngineUsage;
  /** What was spent, as told before the finish, the last of it. */
  readonly running: EngineUsage | null;
}

/** One whole answer. */
export async function say(
  { engine }: Pick<Driver, 'engine'>,
  changes: Partial<GenerateRequest> = {},
  onEvent: (event: GenerateEvent) => void = () => {},
): Promise<Said> {
  let text = '';
  let running: EngineUsage | null = null;
  for await (const event of engine.generate(lineRequest(changes), new AbortController().signal)) {
    onEvent(event);
    if (event.type === 'text') text += event.text;
    else if (event.type === 'usage') running = event.usage;
    else return { text, reason: event.reason, usage: event.usage, running };
  }
  throw new Error('the engine ended without a finish');
}

/** A driver before its double, as the suite of engines takes it. */
export async function openForConformance<Schema extends z.ZodObject>(
  definition: DriverDefinition<Schema>,
  start: () => Promise<WireServer>,
  options: z.input<Schema>,
): Promise<OpenedEngine> {
  const double = await start();
  const { work } = double;
  const driver = openDriver(definition, double.origin, options);
  await driver.prepare?.(new AbortController().signal);
  return {
    engine: driver.engine,
    probe: driver.probe,
    model: 'm',
    untilIdle: () => double.untilRunning(0),
    load: () => ({ running: work.running, waiting: work.waiting }),
    hold: async (phase) => {
      const held = work.hold(phase);
      return { [Symbol.asyncDispose]: async () => held[Symbol.dispose]() };
    },
    [Symbol.asyncDispose]: async () => {
      await driver[Symbol.asyncDispose]();
      await double[Symbol.asyncDispose]();
    },
  };
}
