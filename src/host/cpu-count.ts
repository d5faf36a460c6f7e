import { cpus } from 'node:os';

/** Of the machine, whatever part of them this process may use. */
export function countCpus(): number {
  return cpus().length;
}
