/** A row of the table: what was measured, what it is compared with, and whether it reaches the target. */

export interface Figure {
  readonly what: string;
  /** The target in words; '' for a figure that has no target. */
  readonly toReach: string;
  readonly here: string;
  /** The tool alone, or whatever else the figure is compared with. */
  readonly beside: string;
  /** The ratio of `here` to `beside`. */
  readonly ratio?: number;
  readonly ok?: boolean;
  /** Every single measurement, in the unit of `here`. */
  readonly raw: readonly number[];
}

export function median(values: readonly number[]): number {
  return percentile(values, 0.5);
}

/** Returns the smallest value that this share of the values does not exceed, or NaN if there are no values. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}

export function printMs(ms: number): string {
  if (ms >= 10_000) return `${(ms / 1000).toFixed(1)} s`;
  if (ms >= 1000) return `${(ms / 1000).toFixed(2)} s`;
  return `${ms.toFixed(ms >= 100 ? 0 : ms >= 10 ? 1 : 2)} ms`;
}

export function printMiB(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(0)} MiB`;
}

export function printTable(figures: readonly Figure[]): string {
  const titles = ['what', 'target', 'measured', 'compared with', 'ratio', 'ok?'];
  const rows = figures.map(({ what, toReach, here, beside, ratio, ok }) => [
    what,
    toReach === '' ? '-' : toReach,
    here,
    beside === '' ? '-' : beside,
    ratio === undefined ? '-' : ratio.toFixed(2),
    ok === undefined ? '-' : ok ? 'yes' : 'NO',
  ]);
  const widths = titles.map((title, i) =>
    Math.max(...[title, ...rows.map((row) => row[i] ?? '')].map((c) => c.length)),
  );
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(' | ')} |`;
  const rule = `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`;
  return [line(titles), rule, ...rows.map(line), ''].join('\n');
}
