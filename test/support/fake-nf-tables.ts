/** nf_tables in memory, read as through the kernel's netlink. */
import type { NfRule } from '../../src/host/nf-rule';
import type { NfRuleName, NfTable } from '../../src/host/nf-tables';
import type { NfTableReader } from '../../src/xtables/driver-native-tables';

interface FakeRule {
  readonly handle: number;
  /** What follows `-A CHAIN`. iptables cannot print a rule that begins with `native`. */
  readonly text: string;
}

/** The tables of one family. They are written in iptables' words and read with handles. */
export class FakeNfTables implements NfTableReader {
  readonly tables = new Map<string, Map<string, FakeRule[]>>();
  private handles = 0;
  /** The errors that the next calls fail with. */
  readonly failures: Error[] = [];

  insert(table: string, chain: string, text: string, where: 'first' | 'last' = 'last'): void {
    const rules = this.chain(table, chain);
    const rule = { handle: ++this.handles, text };
    if (where === 'first') rules.unshift(rule);
    else rules.push(rule);
  }

  chain(table: string, chain: string): FakeRule[] {
    const chains = this.tables.get(table) ?? new Map<string, FakeRule[]>();
    this.tables.set(table, chains);
    const rules = chains.get(chain) ?? [];
    chains.set(chain, rules);
    return rules;
  }

  textsOf(table: string, chain: string): string[] {
    return (this.tables.get(table)?.get(chain) ?? []).map(({ text }) => text);
  }

  /** Takes the input of `iptables-nft-restore --noflush`. */
  restore(input: string): void {
    let table = '';
    for (const line of input.split('\n')) {
      const [command = '', chain = ''] = line.split(' ', 2);
      const rule = line.slice(command.length + chain.length + 2);
      if (line.startsWith('*')) table = line.slice(1);
      else if (line.startsWith(':')) this.chain(table, command.slice(1)).splice(0);
      else if (command === '-A') this.insert(table, chain, rule);
      else if (command === '-I') this.insert(table, chain, rule, 'first');
      else if (command === '-X') this.tables.get(table)?.delete(chain);
      else if (command === '-D') {
        const rules = this.chain(table, chain);
        const at = rules.findIndex(({ text }) => text === rule);
        const blocked = rules.slice(0, at < 0 ? undefined : at).some(({ text }) => text.startsWith('native'));
        if (blocked) throw new Error('Parsing nftables rule failed');
        if (at < 0) throw new Error(`Bad rule: ${line}`);
        rules.splice(at, 1);
      }
    }
  }

  readTables(): Promise<{ name: string; handle: number }[]> {
    const failure = this.failures.shift();
    if (failure !== undefined) return Promise.reject(failure);
    return Promise.resolve([...this.tables.keys()].map((name, i) => ({ name, handle: i + 1 })));
  }

  readTable<R>(name: string, take: (rule: NfRule) => R): Promise<NfTable<R> | undefined> {
    const chains = this.tables.get(name);
    if (chains === undefined) return Promise.resolve(undefined);
    const targetOf = (text: string): string => /-[jg] (\S+)$/.exec(text)?.[1] ?? '';
    const usesOf = (chain: string): number =>
      [...chains.values()].flat().filter(({ text }) => targetOf(text) === chain).length;
    const asRule = (chain: string, { handle, text }: FakeRule): NfRule => {
      const target = chains.has(targetOf(text)) ? targetOf(text) : '';
      // Comments are the only matches that are decoded: another version may have other words for the rest.
      const [, comment] = /--comment "([^"]*)"/.exec(text) ?? [];
      const isPlain = /^(-m comment --comment "[^"]*" )?-[jg] \S+$/.test(text);
      const verdict = { kind: 'verdict', verdict: target === '' ? 'drop' : 'jump', chain: target };
      const expressions = () => [
        ...(isPlain ? [] : [{ kind: 'other', name: 'unheard-of' }]),
        ...(comment === undefined ? [] : [{ kind: 'match', name: 'comment', data: Buffer.from(`${comment}\0`) }]),
        ...(target === '' && !text.endsWith('-j DROP') ? [] : [verdict]),
      ];
      return { table: name, chain, handle, target, comment: '', expressions } as unknown as NfRule;
    };
    return Promise.resolve({
      name,
      handle: 1,
      chains: [...chains].map(([chain, rules], i) => ({
        table: name,
        name: chain,
        handle: i,
        isBase: /^[A-Z]+$/.test(chain),
        uses: rules.length + usesOf(chain),
      })),
      rules: new Map([...chains].map(([chain, rules]) => [chain, rules.map((rule) => take(asRule(chain, rule)))])),
    });
  }

  deleteRules(rules: readonly NfRuleName[]): Promise<void> {
    for (const { table, chain, handle } of rules) {
      const list = this.chain(table, chain);
      const at = list.findIndex((rule) => rule.handle === handle);
      if (at < 0) return Promise.reject(new Error('ENOENT'));
      list.splice(at, 1);
    }
    return Promise.resolve();
  }

  close(): void {
    // Nothing is open.
  }

  /** As iptables-nft-save prints it. */
  print(): string {
    return [...this.tables]
      .map(([table, chains]) =>
        [...chains.values()].flat().some(({ text }) => text.startsWith('native'))
          ? `# Table \`${table}' is incompatible, use 'nft' tool.`
          : [
              `*${table}`,
              ...[...chains.keys()].map((chain) => `:${chain} - [0:0]`),
              ...[...chains].flatMap(([chain, rules]) => rules.map(({ text }) => `-A ${chain} ${text}`)),
              'COMMIT',
            ].join('\n'),
      )
      .join('\n');
  }

  /** As `-S CHAIN` prints it. Undefined from the first chain with a native rule on. */
  show(table: string, chain: string): string[] | undefined {
    const rules = this.tables.get(table)?.get(chain);
    if (rules === undefined || rules.some(({ text }) => text.startsWith('native'))) return undefined;
    return [`-N ${chain}`, ...rules.map(({ text }) => `-A ${chain} ${text}`)];
  }
}
