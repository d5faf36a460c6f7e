import { hash } from 'node:crypto';
import { mostMarks } from '../../src/backends/ipvs/sets/marks';

/** The first mark that is tried for the TCP port of `default/NAME`. */
export function markSlot(name: string): number {
  return hash('sha256', `default/${name} TCP`, 'buffer').readUInt32BE(0) % mostMarks;
}

/** Names of three Services, sorted: the first two want the same mark, and the third wants the mark that the second then gets. */
export function collidingNames(): readonly [string, string, string] {
  const names = Array.from({ length: 20_000 }, (_, i) => `local-${i.toString().padStart(5, '0')}`);
  const bySlot = new Map<number, string[]>();
  for (const name of names) bySlot.set(markSlot(name), [...(bySlot.get(markSlot(name)) ?? []), name]);
  for (const [slot, [first, second]] of bySlot) {
    const third = bySlot.get((slot + 1) % mostMarks)?.find((name) => second !== undefined && name > second);
    if (first !== undefined && second !== undefined && third !== undefined) return [first, second, third];
  }
  throw new Error('no such names');
}
