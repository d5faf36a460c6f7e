/**
 * Numbers by which the endpoints of one service port are remembered. They go through the packet's priority, so they are such that nothing
 * takes them for a real priority: those are small, and only a qdisc whose handle is the upper half looks at large ones. The lowest four
 * bits, by which pfifo_fast and prio choose a band, are those of the priority 0.
 */
const nonZeroUpper = 0x10000;
const usedBits = 0x7ffffff0;
const step = 0x10;

/**
 * The numbers follow from the endpoints alone, so that a restart finds the same: `1a2b:34c0` for each. Endpoints that come or go change
 * the number of another one only where both would have the same, one time in millions.
 * @param endpoints `10.244.1.2 . 8080`, in any order.
 */
export function assignAffinityIds(endpoints: Iterable<string>): ReadonlyMap<string, string> {
  const taken = new Set<number>();
  const ids = new Map<string, string>();
  for (const endpoint of [...new Set(endpoints)].sort()) {
    let id = usable(fnv1a(endpoint));
    while (taken.has(id)) id = usable(id + step);
    taken.add(id);
    ids.set(endpoint, printPriority(id));
  }
  return ids;
}

function usable(number: number): number {
  return (number & usedBits) | nonZeroUpper;
}

function printPriority(id: number): string {
  return `${(id >>> 16).toString(16)}:${(id & 0xffff).toString(16)}`;
}

function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193) >>> 0;
  return hash;
}
