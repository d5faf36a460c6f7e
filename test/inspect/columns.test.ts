import { alignColumns } from '../../src/inspect/columns';

test('columns are as wide as their widest cell, and no line ends with spaces', () => {
  const rows = [
    ['KIND', 'VIP', 'PODS'],
    ['ClusterIP', '10.96.0.1', ''],
    ['NodePort', '*'],
  ];
  expect(alignColumns(rows)).toBe('KIND       VIP        PODS\nClusterIP  10.96.0.1\nNodePort   *\n');
});

test('what paint adds has no width', () => {
  const paint = (cell: string, column: number, row: number): string => `<${row}${column}>${cell}`;
  expect(
    alignColumns(
      [
        ['a', 'b'],
        ['long', 'c'],
      ],
      paint,
    ),
  ).toBe('<00>a     <01>b\n<10>long  <11>c\n');
});

test('no rows are no text', () => expect(alignColumns([])).toBe(''));
