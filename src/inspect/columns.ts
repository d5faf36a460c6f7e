/** Prints one line per row, with the columns aligned and two spaces apart. `paint` may add text that has no width, such as colours. */
export function alignColumns(
  rows: readonly (readonly string[])[],
  paint: (cell: string, column: number, row: number) => string = (cell) => cell,
): string {
  const columns = Math.max(0, ...rows.map(({ length }) => length));
  const widths = Array.from({ length: columns }, (_, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  );
  return rows
    .map((row, at) => {
      const padding = (cell: string, column: number): string => ' '.repeat((widths[column] ?? 0) - cell.length);
      const cells = row.map((cell, column) => paint(cell, column, at) + padding(cell, column));
      return `${cells.join('  ').trimEnd()}\n`;
    })
    .join('');
}
