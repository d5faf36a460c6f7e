import type { Family } from '../../../model/address';
import { printServerWrite } from './ipvsadm-text';
import type { ServerWrite } from './virtual-server';

export interface RefusedWrite {
  readonly write: ServerWrite;
  /** errno's name; undefined where ipvsadm did not say. */
  readonly code?: string;
}

function explain({ write, code }: RefusedWrite): string {
  if (code === undefined) return 'not in force after it was written';
  if (code === 'ENOENT' && write.op === 'add-server') return 'ENOENT: the kernel has no such scheduler';
  if (code === 'ESRCH') return 'ESRCH: there is no such virtual server';
  return code;
}

/** Writes that the kernel refused; all others of the same call are done. */
export class ServerWriteError extends Error {
  override readonly name = 'ServerWriteError';
  constructor(
    family: Family,
    readonly refused: readonly RefusedWrite[],
    total: number,
  ) {
    const [first] = refused;
    const why = first === undefined ? '' : `: ${printServerWrite(first.write, family)}: ${explain(first)}`;
    super(`IPVS refused ${refused.length} of ${total} writes${why}`);
  }
}
