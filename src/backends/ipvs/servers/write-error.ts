import type { Family } from '../../../model/address';
import { printServerWrite } from './ipvsadm-text';
import type { ServerWrite } from './virtual-server';

export interface RefusedWrite {
  readonly write: ServerWrite;
  /** The name of the errno. undefined when ipvsadm did not tell it. */
  readonly code?: string;
}

function explain({ write, code }: RefusedWrite): string {
  if (code === undefined) return 'not in force after it was written';
  if (code === 'ENOENT' && write.op === 'add-server') return 'ENOENT: the kernel has no such scheduler';
  if (code === 'ESRCH') return 'ESRCH: there is no such virtual server';
  return code;
}

/** Writes that the kernel refused. All other writes of the same call are done. */
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
