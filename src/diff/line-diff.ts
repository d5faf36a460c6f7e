/** The difference between two lists of lines. */

export interface Line {
  /** `-`: the kernel has it but should not. `+`: it should have it but does not. ` `: it has it and should. */
  readonly sign: ' ' | '-' | '+';
  readonly text: string;
}

/** Longer lists, after equal lines at both ends are cut off, count as entirely different. */
const mostCells = 4_000_000;

export function diffLines(before: readonly string[], after: readonly string[]): Line[] {
  let start = 0;
  while (start < before.length && start < after.length && before[start] === after[start]) start++;
  let end = 0;
  while (
    end < before.length - start &&
    end < after.length - start &&
    before[before.length - 1 - end] === after[after.length - 1 - end]
  )
    end++;
  const same = (text: string): Line => ({ sign: ' ', text });
  return [
    ...before.slice(0, start).map(same),
    ...diffMiddle(before.slice(start, before.length - end), after.slice(start, after.length - end)),
    ...before.slice(before.length - end).map(same),
  ];
}

/** Uses the longest common subsequence. */
function diffMiddle(before: readonly string[], after: readonly string[]): Line[] {
  const width = after.length + 1;
  const goes = (text: string): Line => ({ sign: '-', text });
  const comes = (text: string): Line => ({ sign: '+', text });
  if ((before.length + 1) * width > mostCells) return [...before.map(goes), ...after.map(comes)];
  const lengths = new Uint32Array((before.length + 1) * width);
  const at = (i: number, j: number): number => lengths[i * width + j] ?? 0;
  for (let i = before.length - 1; i >= 0; i--)
    for (let j = after.length - 1; j >= 0; j--)
      lengths[i * width + j] = before[i] === after[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
  const lines: Line[] = [];
  let [i, j] = [0, 0];
  while (i < before.length && j < after.length) {
    const [old = '', next = ''] = [before[i], after[j]];
    if (old === next) [i, j] = [i + 1, (lines.push({ sign: ' ', text: old }), j + 1)];
    else if (at(i + 1, j) >= at(i, j + 1)) i = (lines.push(goes(old)), i + 1);
    else j = (lines.push(comes(next)), j + 1);
  }
  return [...lines, ...before.slice(i).map(goes), ...after.slice(j).map(comes)];
}
