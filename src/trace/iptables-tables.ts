/** Parses the text of iptables-save or iptables-restore into tables through which a connection can be traced. */
import { parseRule, type Rule } from './iptables-rule';

export class TracedChain {
  readonly rules: Rule[] = [];
  #byKey: ReadonlyMap<string | number, readonly number[]> | undefined;
  #others: readonly number[] = [];

  constructor(readonly name: string) {}

  /** Returns the positions of the rules that a packet with this destination could match, in order. Long chains have an index. */
  candidates(destination: string, port: number): Iterable<number> {
    if (this.rules.length <= 16) return this.rules.keys();
    this.#byKey ??= this.#makeIndex();
    const found = [...(this.#byKey.get(destination) ?? []), ...(this.#byKey.get(port) ?? []), ...this.#others];
    return found.sort((a, b) => a - b);
  }

  add(rule: Rule, isFirst: boolean): void {
    if (isFirst) this.rules.unshift(rule);
    else this.rules.push(rule);
    this.#byKey = undefined;
  }

  #makeIndex(): ReadonlyMap<string | number, readonly number[]> {
    const byKey = new Map<string | number, number[]>();
    const others: number[] = [];
    for (const [i, { destination, port }] of this.rules.entries()) {
      const key = destination ?? port;
      const list = key === undefined ? others : (byKey.get(key) ?? []);
      list.push(i);
      if (key !== undefined) byKey.set(key, list);
    }
    this.#others = others;
    return byKey;
  }
}

export interface TracedTable {
  readonly chains: Map<string, TracedChain>;
  /** Chains whose policy is DROP. */
  readonly dropping: Set<string>;
}

export type TableName = 'nat' | 'filter' | 'mangle';
export type TracedTables = Readonly<Record<TableName, TracedTable>>;

/** Which rules are parsed. */
export interface ParseOptions {
  /**
   * Parses only the rules of a service proxy: those in chains whose names begin with KUBE-, and those in built-in chains that
   * lead to such a chain. Policies are left out too. If this is false, a rule that is not understood, or one in a table that the
   * tracer does not know, throws.
   */
  readonly onlyProxy: boolean;
}

function emptyTable(): TracedTable {
  return { chains: new Map(), dropping: new Set() };
}

const builtIn = new Set(['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING']);
const counters = /^\[\d+:\d+\] /;

/** Starts from empty tables: the text is what iptables-save prints, or what iptables-restore is given. */
export function parseTables(text: string, { onlyProxy }: ParseOptions = { onlyProxy: false }): TracedTables {
  const tables: TracedTables = { nat: emptyTable(), filter: emptyTable(), mangle: emptyTable() };
  const isKnown = (name: string): name is TableName => Object.hasOwn(tables, name);
  let table: TracedTable | undefined;
  for (const given of text.split('\n')) {
    const line = given.replace(counters, '').trimEnd();
    const [command = '', chain = ''] = line.split(' ', 2);
    if (command === '' || command === '#' || command === 'COMMIT') continue;
    if (command.startsWith('*')) {
      const name = command.slice(1);
      table = isKnown(name) ? tables[name] : undefined;
    } else if (command.startsWith(':')) {
      const name = command.slice(1);
      table?.chains.set(name, new TracedChain(name));
      if (chain === 'DROP' && !onlyProxy) table?.dropping.add(name);
    } else if (table !== undefined) addRule(table, line, onlyProxy);
    else if (!onlyProxy) throw new Error(`the tracer does not know this table, with: ${line}`);
  }
  if (!onlyProxy) for (const { chains } of Object.values(tables)) checkChains(chains);
  return tables;
}

function addRule({ chains }: TracedTable, line: string, onlyProxy: boolean): void {
  const [, command = '', chain = '', text = ''] = /^(\S+) (\S+) ?(.*)$/.exec(line) ?? [];
  if (onlyProxy && (builtIn.has(chain) ? !/ -[jg] KUBE-/.test(` ${text}`) : !chain.startsWith('KUBE-'))) return;
  const rule = parseRule(text);
  if (!onlyProxy && rule.target?.kind === 'unknown') throw new Error(`${rule.target.why}, in: ${text}`);
  const isFirst = command === '-I';
  if (!isFirst && command !== '-A') throw new Error(`the tracer does not know command ${command}`);
  let list = chains.get(chain);
  if (list === undefined && chain.startsWith('KUBE-')) throw new Error(`the tracer does not know chain ${chain}`);
  if (list === undefined) chains.set(chain, (list = new TracedChain(chain)));
  list.add(rule, isFirst);
}

function checkChains(chains: ReadonlyMap<string, TracedChain>): void {
  for (const { rules } of chains.values())
    for (const { target } of rules)
      if ((target?.kind === 'jump' || target?.kind === 'goto') && !chains.has(target.chain))
        throw new Error(`the tracer does not know chain ${target.chain}`);
}
