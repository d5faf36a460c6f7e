/** Aligned text: cells in columns, under the heading of their group. */

export interface Group {
  readonly heading: string;
  /** Said under the heading in the place of rows, where there are none. */
  readonly note?: string;
  readonly rows: readonly Row[];
}

export interface Row {
  readonly cells: readonly string[];
  /** At the end of the line. */
  readonly mark?: string;
}

/** A cell that says the same as the one above it, with all cells before it, is left blank. */
function withoutRepeats(rows: readonly Row[], columns: number): Row[] {
  return rows.map((row, n) => {
    const above = rows[n - 1]?.cells ?? [];
    let same = true;
    const cells = row.cells.map((cell, i) => {
      same = same && i < columns && above[i] === cell;
      return same ? '' : cell;
    });
    return { ...row, cells };
  });
}

/** The first `grouping` columns are said once. */
export function printTable(titles: readonly string[], groups: readonly Group[], grouping: number): string {
  const all = [{ cells: titles }, ...groups.flatMap(({ rows }) => rows)];
  const widths = titles.map((_, i) => Math.max(...all.map(({ cells }) => (cells[i] ?? '').length)));
  const printRow = ({ cells, mark = '' }: Row): string =>
    `  ${cells.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join('  ')}${mark === '' ? '' : `  ${mark}`}`.trimEnd();
  const printGroup = ({ heading, note, rows }: Group): string =>
    [heading, ...(note === undefined ? [] : [`  ${note}`]), ...withoutRepeats(rows, grouping).map(printRow)].join('\n');
  return [printRow({ cells: titles }), ...groups.map(printGroup)].join('\n\n');
}
