/** What rules have noted about a client: the elements that its packets added to sets and maps, as PacketState.recent has them. */

export interface Noted {
  /** '' in a set. */
  readonly value: string;
  /** For how long. Infinity: as long as the rules and elements stay the same. */
  readonly seconds: number;
}

type Memory = ReadonlySet<string>;

export function note(memory: Memory, set: string, key: string, { value, seconds }: Noted): Memory {
  return new Set([...forget(memory, set, key), `${startOf(set, key)}${seconds}s : ${value}`]);
}

export function recall(memory: Memory, set: string, key: string): Noted | undefined {
  if (memory.size === 0) return undefined;
  const start = startOf(set, key);
  for (const entry of memory) {
    if (!entry.startsWith(start)) continue;
    const [seconds = '', value = ''] = entry.slice(start.length).split('s : ');
    return { value, seconds: Number(seconds) };
  }
  return undefined;
}

export function forget(memory: Memory, set: string, key: string): Memory {
  const start = startOf(set, key);
  return new Set([...memory].filter((entry) => !entry.startsWith(start)));
}

/** `@vipwire-affinity 192.0.2.1 . 8c1f:23d0 timeout ` */
function startOf(set: string, key: string): string {
  return `${set} ${key} timeout `;
}
