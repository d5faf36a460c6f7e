/** Log lines as kube-proxy writes them: klog's text, or the JSON of Kubernetes' components. */
import { basename } from 'node:path';
import type { LogFields, Logger } from './log';

export interface LogSettings {
  /** kube-proxy's -v: below 4 is info, from 4 debug, from 6 trace. */
  readonly verbosity: number;
  readonly format: 'text' | 'json';
}

export interface AdjustableLogger extends Logger {
  /** From the next line on. */
  adjust(settings: Partial<LogSettings>): void;
}

type Level = keyof Logger;

/** An error has no verbosity: by that it is told in JSON. */
const levels: Readonly<Record<Level, { readonly letter: string; readonly v?: number }>> = {
  error: { letter: 'E' },
  warn: { letter: 'W', v: 0 },
  info: { letter: 'I', v: 0 },
  debug: { letter: 'I', v: 4 },
  trace: { letter: 'I', v: 6 },
};

interface Entry {
  readonly level: Level;
  readonly at: Date;
  /** `vipwire.cjs:1234`: where the line was asked for. */
  readonly caller: string;
  readonly message: string;
  readonly fields: LogFields;
}

/**
 * One line an entry, written at once, to stderr.
 * text: `I0102 03:04:05.678000   12345 run.ts:85] "synced" family="IPv4" services=3`;
 * json: `{"ts":1767323045678,"caller":"run.ts:85","msg":"synced","v":0,"family":"IPv4","services":3}`.
 * @param write where lines go, newline included, in the place of stderr.
 */
export function createLogger(settings: LogSettings, write = writeToStderr): AdjustableLogger {
  let { verbosity, format } = settings;
  const method = (level: Level): Logger[Level] => {
    const { v = 0 } = levels[level];
    const log = (first: LogFields | string, message?: string): void => {
      if (v > verbosity) return;
      const print = format === 'json' ? printJson : printText;
      const entry =
        typeof first === 'string' ? { message: first, fields: {} } : { message: message ?? '', fields: first };
      write(`${print({ ...entry, level, at: new Date(), caller: findCaller(log) })}\n`);
    };
    return log;
  };
  return {
    adjust: (next) => ({ verbosity = verbosity, format = format } = next),
    error: method('error'),
    warn: method('warn'),
    info: method('info'),
    debug: method('debug'),
    trace: method('trace'),
  };
}

function writeToStderr(line: string): void {
  process.stderr.write(line);
}

/** File and line of who called `callee`. */
function findCaller(callee: (...args: never[]) => unknown): string {
  const holder: { stack?: string } = {};
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 1;
  Error.captureStackTrace(holder, callee);
  Error.stackTraceLimit = stackTraceLimit;
  const [, path = 'unknown', line = '1'] = /\(?([^\s(]+):(\d+):\d+\)?$/.exec(holder.stack ?? '') ?? [];
  return `${basename(path)}:${line}`;
}

function printText({ level, at, caller, message, fields }: Entry): string {
  const two = (value: number): string => String(value).padStart(2, '0');
  const day = two(at.getMonth() + 1) + two(at.getDate());
  const time = [at.getHours(), at.getMinutes(), at.getSeconds()].map(two).join(':');
  const micros = `${String(at.getMilliseconds()).padStart(3, '0')}000`;
  const header = `${levels[level].letter}${day} ${time}.${micros} ${String(process.pid).padStart(7)} ${caller}]`;
  const pairs = Object.entries(fields).flatMap(([key, value]) =>
    value === undefined ? [] : `${key}=${printValue(value)}`,
  );
  return [header, JSON.stringify(message), ...pairs].join(' ');
}

/** Text in quotes, of several lines as a block; an error is its message; lists and objects as JSON. */
function printValue(value: unknown): string {
  const plain = value instanceof Error ? value.message : value;
  if (typeof plain !== 'string' || !plain.includes('\n')) return JSON.stringify(plain);
  return `<\n${plain.replaceAll(/^/gm, '\t')}\n >`;
}

function printJson({ level, at, caller, message, fields }: Entry): string {
  const { v } = levels[level];
  const plain = Object.entries(fields).map(([key, value]) => [key, value instanceof Error ? value.message : value]);
  return JSON.stringify({
    ts: at.getTime(),
    caller,
    msg: message,
    ...(v === undefined ? {} : { v }),
    // Kubernetes' components have no word for it.
    ...(level === 'warn' ? { level } : {}),
    ...Object.fromEntries(plain),
  });
}
