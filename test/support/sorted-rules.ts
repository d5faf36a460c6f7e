/**
 * Lines such as `nat -A CHAIN ...` and `nat :CHAIN`, sorted by table and chain. The rules of a chain keep their order. The lines of the
 * built-in chains themselves are left out.
 */
export function sortedRules(save: string): string[] {
  const chains = new Map<string, string[]>();
  let table = '';
  for (const line of save.split('\n')) {
    const chain = /^(?:-A |:)(\S+)/.exec(line)?.[1] ?? '';
    if (line.startsWith('*')) table = line.slice(1);
    else if (line.startsWith(':') && !line.includes(' - ')) continue;
    else if (line.startsWith(':')) chains.set(`${table} ${chain}`, [`${table} :${chain}`]);
    else if (line.startsWith('-A ')) {
      const key = `${table} ${chain}`;
      const rules = chains.get(key) ?? [];
      chains.set(key, rules);
      rules.push(`${table} ${line}`);
    }
  }
  return [...chains.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).flatMap(([, rules]) => rules);
}
