/** Tables in memory that take iptables-restore's text as the kernel would, all of a call or nothing. */
import { ownTables } from '../../src/xtables/known-chains';
import { type SavedTables, SaveParser } from '../../src/xtables/parse-save';
import type { KernelTables } from '../../src/xtables/rules';
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
  /** The next so many calls of restore fail. */
  failures = 0;
  /** Called before each table of a call is put in force. */
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
      for (const line of lines) execute(table, line);
      checkJumps(table);
      this.beforeCommit?.();
      this.tables.set(name, table);
    }
    return Promise.resolve();
  }

  canariesStand(): Promise<boolean> {
    const stands = (table: Table): boolean => (table.get('KUBE-PROXY-CANARY')?.length ?? 0) > 0;
    return Promise.resolve(ownTables.every((table) => stands(this.tables.get(table) ?? new Map<string, string[]>())));
  }

  /** As iptables-save. */
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

function execute(table: Table, line: string): void {
  if (line.startsWith(':')) {
    table.set(line.slice(1, line.indexOf(' ')), []);
    return;
  }
  const [command = '', chain = ''] = line.split(' ', 2);
  const rule = line.slice(command.length + chain.length + 2);
  const rules = table.get(chain);
  if (rules === undefined) throw new Error(`No chain by that name: ${line}`);
  if (command === '-A') rules.push(rule);
  else if (command === '-I') rules.unshift(rule);
  else if (command === '-D') {
    const at = rules.indexOf(rule);
    if (at < 0) throw new Error(`Bad rule: ${line}`);
    rules.splice(at, 1);
  } else if (command === '-X') {
    if (rules.length > 0) throw new Error(`Directory not empty: ${line}`);
    if ([...table.values()].flat().some((other) => other.endsWith(`-j ${chain}`)))
      throw new Error(`Resource busy: ${line}`);
    table.delete(chain);
  } else throw new Error(`what is ${line}`);
}

function checkJumps(table: Table): void {
  for (const rule of [...table.values()].flat()) {
    const target = / -j (KUBE-(?!MARK-DROP)\S+)$|^-j (KUBE-\S+)$/.exec(rule);
    const name = target?.[1] ?? target?.[2];
    if (name !== undefined && !table.has(name)) throw new Error(`No chain by that name: ${rule}`);
  }
}
