/** Durations as Go writes them: `1h30m`, `100ms`, `1.5s`, `-2s`, `0`. */

const unitMs: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3, // U+00B5, micro sign
  μs: 1e-3, // U+03BC, Greek mu
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};
const part = /(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)/y;

/** Returns milliseconds, possibly fractional, or undefined when the text is not a duration. Every number needs a unit, except a lone 0. */
export function parseDuration(text: string): number | undefined {
  const signed = /^[-+]/.test(text);
  const sign = text.startsWith('-') ? -1 : 1;
  const unsigned = signed ? text.slice(1) : text;
  if (unsigned === '0') return 0;
  let total = 0;
  part.lastIndex = 0;
  while (part.lastIndex < unsigned.length) {
    const match = part.exec(unsigned);
    if (match === null) return undefined;
    total += Number(match[1]) * (unitMs[match[2] ?? ''] ?? Number.NaN);
  }
  return unsigned === '' ? undefined : sign * total;
}

/** Returns a text that parseDuration reads back, such as `1h30m` or `0s`. */
export function formatDuration(ms: number): string {
  if (ms < 0) return `-${formatDuration(-ms)}`;
  if (ms % 1000 !== 0) return `${ms}ms`;
  const [hours, minutes, seconds] = [Math.floor(ms / 3_600_000), Math.floor(ms / 60_000) % 60, (ms / 1000) % 60];
  const text = `${hours > 0 ? `${hours}h` : ''}${minutes > 0 ? `${minutes}m` : ''}${seconds > 0 ? `${seconds}s` : ''}`;
  return text === '' ? '0s' : text;
}

/** Returns the text that Go prints: `1h30m0s`, `5m0s`, `100ms`. */
export function formatGoDuration(ms: number): string {
  return formatDuration(ms)
    .replace(/h$/, 'h0m0s')
    .replace(/m$/, 'm0s')
    .replace(/h(\d+)s$/, 'h0m$1s');
}
