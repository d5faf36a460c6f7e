import { readFileSync } from 'node:fs';

/** The number of packets that no CPU had the time to take from a device's queue. */
export function droppedByMachine(): number {
  const cpus = readFileSync('/proc/net/softnet_stat', 'utf8').trim().split('\n');
  return cpus.reduce((sum, cpu) => sum + Number.parseInt(cpu.split(' ')[1] ?? '0', 16), 0);
}
