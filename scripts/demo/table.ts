/** Prints rows as aligned columns, under the heading of their group. */

export interface Group {
  readonly heading: string;
  /** Printed under the heading. Groups without rows have one. */
  readonly note?: string;
  readonly rows: readonly Row[];
}

export interface Row {
  readonly cells: readonly string[];
  /** Printed at the end of the line. */
  readonly mark?: string;
}

/** Blanks a cell if it and all cells before it are the same as in the row above. */
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

/** The first `grouping` columns are not repeated in rows that have the same values. */
export function printTable(titles: readonly string[], groups: readonly Group[], grouping: number): string {
  const all = [{ cells: titles }, ...groups.flatMap(({ rows }) => rows)];
  const widths = titles.map((_, i) => Math.max(...all.map(({ cells }) => (cells[i] ?? '').length)));
  const printRow = ({ cells, mark = '' }: Row): string =>
    `  ${cells.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join('  ')}${mark === '' ? '' : `  ${mark}`}`.trimEnd();
  const printGroup = ({ heading, note, rows }: Group): string =>
    [heading, ...(note === undefined ? [] : [`  ${note}`]), ...withoutRepeats(rows, grouping).map(printRow)].join('\n');
  return [printRow({ cells: titles }), ...groups.map(printGroup)].join('\n\n');
}
