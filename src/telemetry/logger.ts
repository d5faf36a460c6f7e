/** The log. pino decides which lines are printed and turns values into JSON; klog.ts formats the lines. */
import { basename } from 'node:path';
import { pino } from 'pino';
import { type Level, type LogEntry, printJson, printText } from './klog';
import type { LogFields, Logger } from './log';

export interface LogSettings {
  /** kube-proxy's -v. Below 4: info; from 4: debug; from 6: trace. */
  readonly verbosity: number;
  readonly format: 'text' | 'json';
}

export interface AdjustableLogger extends Logger {
  /** Changes the settings, from the next line on. */
  adjust(settings: Partial<LogSettings>): void;
}

/** Fields that must not appear in the log, at the top level or one level below. */
const secrets = ['token', 'password', 'authorization', 'Authorization'].flatMap((key) => [key, `*.${key}`]);

/** A line of JSON from pino. Our fields are nested, so that they cannot be mistaken for pino's own. */
interface PinoLine {
  readonly level: Level;
  readonly time: number;
  readonly msg?: string;
  readonly fields?: LogFields & { readonly caller?: string };
}

/**
 * Writes each entry at once, as one line.
 * @param write takes a line with its newline. By default it writes to stderr.
 */
export function createLogger(settings: LogSettings, write = writeToStderr): AdjustableLogger {
  let { format } = settings;
  const print = (line: string): void => {
    write(`${(format === 'json' ? printJson : printText)(parseLine(line))}\n`);
  };
  const printer = pino(
    {
      level: levelOf(settings.verbosity),
      base: null,
      nestedKey: 'fields',
      redact: { paths: secrets, censor: '[redacted]' },
      formatters: { level: (level) => ({ level }), log: plainErrors },
    },
    { write: print },
  );
  const method = (level: Level): Logger[Level] => {
    // scripts/build.mjs makes every call in the bundle pass its place in the source as `this`.
    function tell(this: unknown, first: LogFields | string, message?: string): void {
      if (!printer.isLevelEnabled(level)) return;
      const caller = typeof this === 'string' ? this : findCaller(tell);
      const [fields, text] = typeof first === 'string' ? [{}, first] : [first, message ?? ''];
      printer[level]({ caller, ...fields }, text);
    }
    return tell;
  };
  return {
    adjust: (next) => {
      format = next.format ?? format;
      if (next.verbosity !== undefined) printer.level = levelOf(next.verbosity);
    },
    error: method('error'),
    warn: method('warn'),
    info: method('info'),
    debug: method('debug'),
    trace: method('trace'),
  };
}

function levelOf(verbosity: number): Level {
  if (verbosity >= 6) return 'trace';
  return verbosity >= 4 ? 'debug' : 'info';
}

function writeToStderr(line: string): void {
  process.stderr.write(line);
}

/** Replaces errors by their messages: a stack does not belong in a log line. */
function plainErrors(fields: LogFields): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([key, value]) => [key, value instanceof Error ? value.message : value]),
  );
}

function parseLine(line: string): LogEntry {
  const { level, time, msg = '', fields: { caller = 'unknown:1', ...fields } = {} } = JSON.parse(line) as PinoLine;
  return { level, timeMs: time, caller, message: msg, fields };
}

/** Returns file and line of the caller of `callee`. */
function findCaller(callee: (...args: never[]) => unknown): string {
  const holder: { stack?: string } = {};
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 1;
  Error.captureStackTrace(holder, callee);
  Error.stackTraceLimit = stackTraceLimit;
  const [, path = 'unknown', line = '1'] = /\(?([^\s(]+):(\d+):\d+\)?$/.exec(holder.stack ?? '') ?? [];
  return `${basename(path)}:${line}`;
}
