/**
 * Finds out whether the kernel has all that every table of ours uses, in a transaction that it always refuses, so that nothing is ever written.
 * What single Services need, a hash for example, is found out when it is written: the others are served without it.
 */
import type { Family } from '../../model/address';
import { prefix } from './names';
import {
  type NftKernel,
  RefusedWritesError,
  type Selector,
  type SetObject,
  type Statement,
  type TableWrite,
} from './objects';

interface Part {
  /** The option of the kernel's configuration that brings it. */
  readonly option: string;
  readonly neededFor: string;
  readonly writes: readonly TableWrite[];
}

/** What the kernel lacks. */
export interface MissingPart {
  readonly option: string;
  readonly neededFor: string;
  /** The name of errno. */
  readonly code: string;
}

const map: SetObject = { name: `${prefix}probe-map`, key: ['address', 'index'], data: ['address', 'port'] };
const hook = { type: 'nat', hook: 'postrouting', priority: 300 } as const;
/** Nobody has it, so the transaction that deletes it is refused as a whole. */
const noChain: TableWrite = { op: 'delete-chain', chain: `${prefix}probe-none` };

const random: Selector = { kind: 'numgen', mode: 'random', modulus: 2 };

function partsOf(family: Family): readonly Part[] {
  const number = family === 'IPv4' ? '4' : '6';
  /** A chain with one rule, so that its errors are its own. */
  const rule = (name: string, ...statements: readonly Statement[]): readonly TableWrite[] => [
    { op: 'add-chain', chain: { name: `${prefix}probe-${name}` } },
    { op: 'set-rules', chain: `${prefix}probe-${name}`, rules: [{ statements }] },
  ];
  const nat = (name: string, statement: Statement): readonly TableWrite[] => [
    { op: 'add-chain', chain: { name: `${prefix}probe-${name}`, base: hook } },
    { op: 'set-rules', chain: `${prefix}probe-${name}`, rules: [{ statements: [statement] }] },
  ];
  return [
    { option: 'CONFIG_NF_TABLES', neededFor: 'maps of endpoints', writes: [{ op: 'add-set', set: map }] },
    { option: 'CONFIG_NFT_CT', neededFor: 'new connections', writes: rule('ct', { kind: 'ct-state-new' }) },
    {
      option: `CONFIG_NFT_FIB_IPV${number}`,
      neededFor: 'NodePorts',
      writes: rule('fib', { kind: 'is-local', side: 'destination' }),
    },
    {
      option: 'CONFIG_NFT_NUMGEN',
      neededFor: 'the choice of an endpoint',
      writes: rule('numgen', { kind: 'in-set', key: [{ kind: 'destination' }, random], set: map.name }),
    },
    { option: `CONFIG_NFT_REJECT_IPV${number}`, neededFor: 'refusals', writes: rule('reject', { kind: 'reject' }) },
    { option: 'CONFIG_NFT_NAT', neededFor: 'everything', writes: nat('nat', { kind: 'accept' }) },
    { option: 'CONFIG_NFT_MASQ', neededFor: 'masquerading', writes: nat('masq', { kind: 'masquerade' }) },
  ];
}

/**
 * The kernel loads modules for what it is asked for, where it can. Throws as NftKernel.write does where it does not say what it lacks,
 * for example for want of a right.
 */
export async function findMissingParts(
  family: Family,
  kernel: Pick<NftKernel, 'write'>,
): Promise<readonly MissingPart[]> {
  const table: Part = {
    option: `CONFIG_NF_TABLES_IPV${family === 'IPv4' ? 4 : 6}`,
    neededFor: 'everything',
    writes: [{ op: 'add-table' }],
  };
  const parts = [table, ...partsOf(family)];
  const owners = parts.flatMap((part) => part.writes.map(() => part));
  try {
    await kernel.write([...parts.flatMap(({ writes }) => writes), noChain]);
  } catch (error) {
    if (!(error instanceof RefusedWritesError) || error.refused.size === 0) throw error;
    const missing = new Map<Part, string>();
    for (const [at, code] of error.refused) {
      const part = owners[at];
      if (part !== undefined && !missing.has(part)) missing.set(part, code);
    }
    const all = [...missing].map(([{ option, neededFor }, code]) => ({ option, neededFor, code }));
    // Without a table nothing else can be tried.
    return missing.has(table) ? all.slice(0, 1) : all;
  }
  throw new Error(`the kernel deleted the chain ${prefix}probe-none, which was not there`);
}
