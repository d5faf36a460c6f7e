/** The most results that are kept. When there are more, all are forgotten. */
const mostKept = 100_000;

/** Returns the same function with a memory, for callers that ask about the same few texts again and again. */
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
