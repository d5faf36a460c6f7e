import { destination, pino, stdSerializers, stdTimeFunctions } from 'pino';
import type { Logger } from './log';

export interface LogSettings {
  /** kube-proxy's -v: below 4 is info, from 4 debug, from 6 trace. */
  readonly verbosity: number;
  readonly format: 'text' | 'json';
  /** Stands in every line; '' or left out: not. */
  readonly name?: string;
}

function levelOf(verbosity: number): 'info' | 'debug' | 'trace' {
  if (verbosity >= 6) return 'trace';
  return verbosity >= 4 ? 'debug' : 'info';
}

export interface AdjustableLogger extends Logger {
  /** From the next line on. */
  adjust(settings: Pick<LogSettings, 'verbosity' | 'format'>): void;
}

/**
 * One line an entry, written at once, to stderr. json: `{"level":"info","time":"2026-01-02T03:04:05.678Z",...,"msg":"..."}`;
 * text: `2026-01-02T03:04:05.678Z info  synced services=3 rules=20`.
 * @param write where lines go, newline included, in the place of stderr.
 */
export function createLogger(settings: LogSettings, write?: (line: string) => void): AdjustableLogger {
  let { format } = settings;
  const stderr = write === undefined ? destination({ dest: 2, sync: true }) : undefined;
  const writeJson = write ?? ((line: string): void => void stderr?.write(line));
  const logger = pino(
    {
      level: levelOf(settings.verbosity),
      // Neither pid nor host name: the node's log collector knows both.
      base: settings.name ? { name: settings.name } : null,
      timestamp: stdTimeFunctions.isoTime,
      serializers: { error: stdSerializers.err },
      formatters: { level: (label) => ({ level: label }) },
    },
    { write: (line: string) => writeJson(format === 'json' ? line : toText(line)) },
  );
  return Object.assign(logger, {
    adjust: (next: Pick<LogSettings, 'verbosity' | 'format'>): void => {
      logger.level = levelOf(next.verbosity);
      ({ format } = next);
    },
  });
}

/** A JSON line of pino's as a line to read; fields keep their order. */
function toText(line: string): string {
  const { level, time, name, msg, ...fields } = JSON.parse(line) as Record<string, unknown>;
  const parts = Object.entries(fields).map(([key, value]) => `${key}=${fieldText(value)}`);
  const subject = typeof name === 'string' ? `${name}: ` : '';
  const message = typeof msg === 'string' ? msg : '';
  return `${[String(time), String(level).padEnd(5), subject + message, ...parts].join(' ')}\n`;
}

/** As logfmt: bare where no space, quote or equals sign is in it; objects as JSON. An error is its message; its stack needs json. */
function fieldText(value: unknown): string {
  const isError = typeof value === 'object' && value !== null && 'stack' in value && 'message' in value;
  const plain = isError ? value.message : value;
  const text = typeof plain === 'string' ? plain : JSON.stringify(plain);
  return text !== '' && !/[\s"=]/.test(text) ? text : JSON.stringify(plain);
}
