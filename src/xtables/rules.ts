/** Rules in iptables-save's words, and what iptables-restore is given: the same for every mode. */
import type { Answer } from '../model/answer';
import type { SavedTables } from './parse-save';
import type { Variant } from './variant';

export type TableName = 'nat' | 'filter' | 'mangle';
export const tableNames: readonly TableName[] = ['nat', 'filter', 'mangle'];

/** A jump from a built-in chain, inserted at its top where it is missing. */
export interface Jump {
  readonly table: TableName;
  readonly from: 'PREROUTING' | 'INPUT' | 'FORWARD' | 'OUTPUT' | 'POSTROUTING';
  readonly rule: string;
}

export interface TableStep {
  readonly table: TableName;
  /** Written anew, whole: chain -> its lines. */
  readonly chains: readonly (readonly [chain: string, lines: string])[];
  /** Added to a chain that has rules of others too. */
  readonly appends: readonly (readonly [chain: string, lines: string])[];
  readonly deletions: readonly string[];
  readonly jumps: readonly Jump[];
  /** Deleted, as they were read. */
  readonly staleJumps?: readonly Jump[];
}

export interface Step {
  readonly title: string;
  readonly tables: readonly TableStep[];
}

/** The machine's iptables: a driver, or nothing but memory in a dry run. */
export interface KernelTables {
  readonly variant: Variant;
  /** Throws where the tables cannot be read. */
  save(): Promise<SavedTables>;
  /** One call of iptables-restore --noflush: all of a table's part or nothing. */
  restore(input: string): Promise<void>;
  /** Cheap: found where no table was flushed, absent where one was. */
  canariesStand(): Promise<Answer<true>>;
}

export function* slices<T>(list: T[], size: number): Generator<T[]> {
  for (let at = 0; at < list.length; at += size) yield list.slice(at, at + size);
}

/** Valid input of `iptables-restore --noflush`. A declared chain is emptied; foreign chains are not touched. */
export function printStep(step: Step): string {
  return step.tables.map(printTable).join('');
}

export function printTable({ table, chains, appends, deletions, jumps, staleJumps = [] }: TableStep): string {
  const lines = [`*${table}`];
  for (const [chain] of chains) lines.push(`:${chain} - [0:0]`);
  for (const chain of deletions) lines.push(`:${chain} - [0:0]`);
  for (const [, text] of [...chains, ...appends]) if (text !== '') lines.push(text);
  for (const jump of jumps) lines.push(`-I ${jump.from} ${jump.rule}`);
  for (const { from, rule } of staleJumps) lines.push(`-D ${from} ${rule}`);
  for (const chain of deletions) lines.push(`-X ${chain}`);
  lines.push('COMMIT', '');
  return lines.join('\n');
}

export function countLines(lines: string): number {
  if (lines === '') return 0;
  let count = 1;
  for (let at = lines.indexOf('\n'); at >= 0; at = lines.indexOf('\n', at + 1)) count++;
  return count;
}
