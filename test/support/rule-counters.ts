/** Reads the output of `iptables-save -c`: `nat KUBE-SERVICES -d ...` -> packets. */
export function parseCounters(save: string): ReadonlyMap<string, number> {
  const counters = new Map<string, number>();
  let table = '';
  for (const line of save.split('\n')) {
    if (line.startsWith('*')) table = line.slice(1);
    const [, packets, rule] = /^\[(\d+):\d+\] -A (.*)$/.exec(line) ?? [];
    if (rule !== undefined) counters.set(`${table} ${rule}`, Number(packets));
  }
  return counters;
}

/** The rules that packets matched between the two readings. */
export function movedRules(before: ReadonlyMap<string, number>, after: ReadonlyMap<string, number>): string[] {
  return [...after].flatMap(([rule, packets]) => (packets > (before.get(rule) ?? 0) ? rule : []));
}
