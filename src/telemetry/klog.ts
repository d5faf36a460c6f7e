/** kube-proxy's two formats of a log line: klog's text, and the JSON of Kubernetes components. Pure. */
import type { LogFields, Logger } from './log';

export type Level = keyof Logger;

/** The JSON format has no field for the level: a line without a verbosity is an error. */
const levels: Readonly<Record<Level, { readonly letter: string; readonly v?: number }>> = {
  error: { letter: 'E' },
  warn: { letter: 'W', v: 0 },
  info: { letter: 'I', v: 0 },
  debug: { letter: 'I', v: 4 },
  trace: { letter: 'I', v: 6 },
};

export interface LogEntry {
  readonly level: Level;
  /** Milliseconds since the epoch. */
  readonly timeMs: number;
  /** The place in the source that logged it, such as `reconciler.ts:246`. */
  readonly caller: string;
  readonly message: string;
  /** Values as in JSON. Errors have become their messages. */
  readonly fields: LogFields;
}

/** `I0102 03:04:05.678000   12345 run.ts:85] "synced" family="IPv4" services=3`, without the newline. */
export function printText({ level, timeMs, caller, message, fields }: LogEntry): string {
  const at = new Date(timeMs);
  const two = (value: number): string => String(value).padStart(2, '0');
  const day = two(at.getMonth() + 1) + two(at.getDate());
  const time = [at.getHours(), at.getMinutes(), at.getSeconds()].map(two).join(':');
  const micros = `${String(at.getMilliseconds()).padStart(3, '0')}000`;
  const header = `${levels[level].letter}${day} ${time}.${micros} ${String(process.pid).padStart(7)} ${caller}]`;
  const pairs = Object.entries(fields).map(([key, value]) => `${key}=${printValue(value)}`);
  return [header, JSON.stringify(message), ...pairs].join(' ');
}

/** Prints text in quotes, or as a block when it has several lines. Prints lists and objects as JSON. */
function printValue(value: unknown): string {
  if (typeof value !== 'string' || !value.includes('\n')) return JSON.stringify(value);
  return `<\n${value.replaceAll(/^/gm, '\t')}\n >`;
}

/** `{"ts":1767323045678,"caller":"run.ts:85","msg":"synced","v":0,"family":"IPv4","services":3}`, without the newline. */
export function printJson({ level, timeMs, caller, message, fields }: LogEntry): string {
  const { v } = levels[level];
  return JSON.stringify({
    ts: timeMs,
    caller,
    msg: message,
    ...(v === undefined ? {} : { v }),
    // Kubernetes components have no field that marks a warning.
    ...(level === 'warn' ? { level } : {}),
    ...fields,
  });
}
