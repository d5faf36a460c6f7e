/**
 * Tables in memory that take iptables-restore's text as the kernel would: the part of a table as a whole or not at all, line by line.
 * It refuses a rule whose chain does not exist, and the deletion of a chain that has rules or that a rule leads to.
 */
import { absent, type Answer, found } from '../../src/model/answer';
import { ownTables } from '../../src/xtables/known-chains';
import { type SavedTables, SaveParser } from '../../src/xtables/parse-save';
import type { KernelTables } from '../../src/xtables/kernel-tables';
import type { Variant } from '../../src/xtables/variant';

type Table = Map<string, string[]>;

const builtIn: Readonly<Record<string, readonly string[]>> = {
  nat: ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'],
  filter: ['INPUT', 'FORWARD', 'OUTPUT'],
  mangle: ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'],
};

export class FakeIptables implements KernelTables {
  tables = new Map<string, Table>();
  readonly inputs: string[] = [];
  /** How many of the next calls of restore fail. */
  failures = 0;
  /** Called before each table of a call takes effect. */
  beforeCommit: (() => void) | undefined;

  constructor(readonly variant: Variant = 'nft') {
    for (const [table, chains] of Object.entries(builtIn))
      this.tables.set(table, new Map(chains.map((chain) => [chain, []])));
  }

  save(): Promise<SavedTables> {
    const parser = new SaveParser();
    for (const line of this.print().split('\n')) parser.line(line);
    return Promise.resolve(parser.result());
  }

  restore(input: string): Promise<void> {
    this.inputs.push(input);
    if (this.failures > 0) {
      this.failures--;
      return Promise.reject(new Error('iptables-restore: told to fail'));
    }
    for (const [name, lines] of sections(input)) {
      const table = copy(this.tables.get(name) ?? new Map<string, string[]>());
      execute(table, lines);
      this.beforeCommit?.();
      this.tables.set(name, table);
    }
    return Promise.resolve();
  }

  canariesStand(): Promise<Answer<true>> {
    const stands = (table: Table): boolean => (table.get('KUBE-PROXY-CANARY')?.length ?? 0) > 0;
    const all = ownTables.every((table) => stands(this.tables.get(table) ?? new Map<string, string[]>()));
    return Promise.resolve(all ? found(true) : absent);
  }

  /** As iptables-save prints it. */
  print(): string {
    return [...this.tables]
      .flatMap(([name, table]) => [
        `*${name}`,
        ...[...table.keys()].map((chain) => `:${chain} - [0:0]`),
        ...[...table].flatMap(([chain, rules]) => rules.map((rule) => `-A ${chain} ${rule}`)),
        'COMMIT',
      ])
      .join('\n');
  }
}

function* sections(input: string): Generator<[string, string[]]> {
  let name = '';
  let lines: string[] = [];
  for (const line of input.split('\n')) {
    if (line.startsWith('*')) [name, lines] = [line.slice(1), []];
    else if (line === 'COMMIT') yield [name, lines];
    else if (line !== '') lines.push(line);
  }
}

function copy(table: Table): Table {
  return new Map([...table].map(([chain, rules]) => [chain, [...rules]]));
}

/** KUBE-MARK-DROP belongs to the kubelet, and not every test has it among its rules. */
const target = /(?:^| )-[jg] (KUBE-(?!MARK-DROP)\S+)$/;

function execute(table: Table, lines: readonly string[]): void {
  /** The chains that rules lead to, while chains are deleted one by one. */
  let led: ReadonlySet<string> | undefined;
  for (const line of lines) {
    if (!line.startsWith('-X ')) {
      led = undefined;
      executeOne(table, line);
      continue;
    }
    const chain = line.slice(3);
    led ??= targetsIn(table);
    const rules = table.get(chain);
    if (rules === undefined) throw new Error(`No chain by that name: ${line}`);
    if (rules.length > 0) throw new Error(`Directory not empty: ${line}`);
    if (led.has(chain)) throw new Error(`Resource busy: ${line}`);
    table.delete(chain);
  }
}

function targetsIn(table: Table): ReadonlySet<string> {
  const led = new Set<string>();
  for (const rules of table.values()) for (const rule of rules) led.add(target.exec(rule)?.[1] ?? '');
  return led;
}

function executeOne(table: Table, line: string): void {
  if (line.startsWith(':')) {
    const [chain = '', policy] = line.slice(1).split(' ', 2);
    if (policy !== '-' && !table.has(chain)) throw new Error(`No chain by that name: ${line}`);
    table.set(chain, []);
    return;
  }
  const [command = '', chain = ''] = line.split(' ', 2);
  const rule = line.slice(command.length + chain.length + 2);
  const rules = table.get(chain);
  if (rules === undefined) throw new Error(`No chain by that name: ${line}`);
  const to = target.exec(rule)?.[1];
  if (command !== '-D' && to !== undefined && !table.has(to)) throw new Error(`No chain by that name: ${line}`);
  if (command === '-A') rules.push(rule);
  else if (command === '-I') rules.unshift(rule);
  else if (command === '-D') {
    const at = rules.indexOf(rule);
    if (at < 0) throw new Error(`Bad rule: ${line}`);
    rules.splice(at, 1);
  } else throw new Error(`what is ${line}`);
}
