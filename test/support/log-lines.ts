/** A line of the JSON log, with its level by name. */
export interface LogLine {
  readonly level: string;
  readonly msg: string;
  readonly [field: string]: unknown;
}

export function parseLogLine(line: string): LogLine {
  const { v, ts, caller, ...rest } = JSON.parse(line) as { v?: number; ts: number; caller: string; msg: string };
  if (!(ts > 0) || !/^\S+:\d+$/.test(caller)) throw new Error(`no log line: ${line}`);
  return { level: v === undefined ? 'error' : v >= 6 ? 'trace' : v >= 4 ? 'debug' : 'info', ...rest };
}
