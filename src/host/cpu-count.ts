import { cpus } from 'node:os';

/** The number of the machine's CPUs, even if this process may use only some of them. */
export function countCpus(): number {
  return cpus().length;
}
