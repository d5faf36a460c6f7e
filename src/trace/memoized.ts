/** As many as are kept: then all are forgotten. */
const mostKept = 100_000;

/** The same function, which remembers: the same few addresses are asked for again and again. */
export function memoized<Result>(compute: (text: string) => Result): (text: string) => Result {
  const known = new Map<string, Result>();
  return (text) => {
    const found = known.get(text);
    if (found !== undefined) return found;
    if (known.size >= mostKept) known.clear();
    const result = compute(text);
    known.set(text, result);
    return result;
  };
}
