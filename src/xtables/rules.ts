/** Rules in iptables-save's words, and the input of iptables-restore. The same for every mode. */
export type TableName = 'nat' | 'filter' | 'mangle';
export const tableNames: readonly TableName[] = ['nat', 'filter', 'mangle'];

/** A jump from a built-in chain. It is inserted at the top of the chain when it is missing. */
export interface Jump {
  readonly table: TableName;
  readonly from: 'PREROUTING' | 'INPUT' | 'FORWARD' | 'OUTPUT' | 'POSTROUTING';
  readonly rule: string;
}

export interface TableStep {
  readonly table: TableName;
  /** Chains that are written anew as a whole, with their lines. */
  readonly chains: readonly (readonly [chain: string, lines: string])[];
  /** Lines that are added to a chain which also has other people's rules. */
  readonly appends: readonly (readonly [chain: string, lines: string])[];
  readonly deletions: readonly string[];
  readonly jumps: readonly Jump[];
  /** Jumps to delete, in the words in which they were read. */
  readonly staleJumps?: readonly Jump[];
}

/** A step that does nothing to the table. */
export function emptyStep(table: TableName): TableStep {
  return { table, chains: [], appends: [], deletions: [], jumps: [] };
}

export interface Step {
  readonly title: string;
  readonly tables: readonly TableStep[];
}

export function* slices<T>(list: T[], size: number): Generator<T[]> {
  for (let at = 0; at < list.length; at += size) yield list.slice(at, at + size);
}

/** The step as input of `iptables-restore --noflush`. It empties the chains that it declares and leaves all others alone. */
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

export interface StepsSize {
  readonly rules: Record<TableName, number>;
  /** Tables that the steps write to. */
  readonly tables: readonly TableName[];
}

/** How many rules the steps write. */
export function countRules(steps: readonly Step[]): StepsSize {
  const rules = { nat: 0, filter: 0, mangle: 0 };
  const written = new Set<TableName>();
  for (const { table, chains, appends, jumps } of steps.flatMap(({ tables }) => tables)) {
    written.add(table);
    rules[table] += jumps.length;
    for (const [, lines] of [...chains, ...appends]) rules[table] += countLines(lines);
  }
  return { rules, tables: tableNames.filter((name) => written.has(name)) };
}

export function addJumps(
  rules: Readonly<Record<TableName, number>>,
  jumps: readonly Jump[],
): Readonly<Record<TableName, number>> {
  const counts = { ...rules };
  for (const { table } of jumps) counts[table]++;
  return counts;
}

/** The rules of a chain as `-A CHAIN ...` lines, joined by newlines. */
export function chainText(chain: string, rules: readonly string[]): string {
  return rules.map((rule) => `-A ${chain} ${rule}`).join('\n');
}

export function countLines(lines: string): number {
  if (lines === '') return 0;
  let count = 1;
  for (let at = lines.indexOf('\n'); at >= 0; at = lines.indexOf('\n', at + 1)) count++;
  return count;
}
