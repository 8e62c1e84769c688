/** Structured logs through pino: one JSON line an event, or readable lines on a terminal. Player text never at info. */
import { pino } from 'pino';
import type { LogFields, Logger } from '../core/runtime.ts';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';

type Write = (line: string) => void;

/** `format: 'text'` is for people: time, level, event, `key=value`. `write` receives whole lines with their newline. */
export function createLogger(options: { level: LogLevel; format: 'json' | 'text'; write: Write }): Logger {
  const write = options.format === 'json' ? options.write : (line: string) => options.write(readable(line));
  const root = pino(
    {
      level: options.level,
      base: null,
      messageKey: 'event',
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { error: pino.stdSerializers.err },
    },
    { write },
  );
  const wrap = (logger: pino.Logger): Logger => ({
    debug: (event, fields) => logger.debug(fields ?? {}, event),
    info: (event, fields) => logger.info(fields ?? {}, event),
    warn: (event, fields) => logger.warn(fields ?? {}, event),
    error: (event, fields) => logger.error(fields ?? {}, event),
    child: (fields: LogFields) => wrap(logger.child(fields)),
  });
  return wrap(root);
}

function readable(line: string): string {
  const { level, time, event, ...fields } = JSON.parse(line) as Record<string, unknown>;
  const rest = Object.entries(fields)
    .map(([key, value]) => `${key}=${plain(value)}`)
    .join(' ');
  return `${String(time).slice(11, 23)} ${String(level).padEnd(5)} ${String(event)}${rest === '' ? '' : `  ${rest}`}\n`;
}

/** One event is one line: text with spaces, quotes or control characters (a terminal obeys them) is quoted. */
function plain(value: unknown): string {
  if (typeof value === 'string' && /^[^\s"\p{C}]+$/u.test(value)) return value;
  return JSON.stringify(value).replace(
    /\p{C}/gu,
    (character) => `\\u{${character.codePointAt(0)?.toString(16) ?? ''}}`,
  );
}

/** A logger that says nothing: for tests and for commands whose output is the point. */
export const silentLogger: Logger = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  child: () => silentLogger,
};
