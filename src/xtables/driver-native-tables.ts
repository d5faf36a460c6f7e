/**
 * Reads our chains from nf_tables in tables with rules that iptables cannot print, such as those of `nft add rule ip filter ...`.
 * The kernel's answer tells which chains there are, which rules jump to them and how many of those are other people's. It does not
 * have the text of a rule. A chain's text is known from the last look as long as the chain has rules with the same handles.
 * Otherwise iptables prints that chain alone, and where it cannot, the text is what was last written there. When all of that fails,
 * the text says so, and because it then differs, the chain is written anew.
 */
import type { RunCommand } from '../host/command';
import type { NfRule } from '../host/nf-rule';
import type { NfTable, NfTables } from '../host/nf-tables';
import { blockLocalnetRule, sharedChain, targetChain } from './known-chains';
import { couldBe, decodeJump, isLocalnetBlock, printUnreadRule } from './driver-native-text';
import { isBuiltIn, isOurs, type SavedTables } from './parse-save';
import type { Jump, TableName } from './rules';
import { showChains } from './driver-show-chains';

export type NfTableReader = Pick<NfTables, 'readTables' | 'readTable' | 'deleteRules' | 'close'>;

/** What one table holds of a service proxy. */
export type NativeTable = Pick<SavedTables, 'usedByOthers' | 'foreignRules' | 'kubeletChains'> & {
  readonly chains: Map<string, string>;
  readonly jumps: readonly Jump[];
};

interface SeenRule {
  readonly handle: number;
  readonly target: string;
  /** The text of a jump that matches only what our jumps match. undefined for other rules. */
  readonly jump: string | undefined;
  readonly isLocalnetBlock: boolean;
}

/** Known texts. As long as a table exists, its handles are never used again, and a rule with a handle never changes. */
interface Memory {
  readonly tableHandle: number;
  /** Chain -> the handles of its rules, and their lines. */
  readonly chains: Map<string, { readonly handles: string; readonly text: string }>;
  /** Handle of a jump -> what follows `-A CHAIN` in its line. */
  readonly jumps: Map<number, string>;
}

/** What was written since the last look. */
interface Written {
  /** Chain -> its lines, of chains that were written as a whole. */
  readonly chains: Map<string, readonly string[]>;
  /** Chain -> the line that was added to it. */
  readonly appends: Map<string, string>;
  /** `INPUT KUBE-FORWARD` -> jumps that were inserted and not seen since. */
  readonly jumps: Map<string, string[]>;
}

type Table = NfTable<SeenRule>;

export class NativeTables {
  readonly #memories = new Map<TableName, Memory>();
  readonly #written = new Map<TableName, Written>();
  /** As of the last look: `INPUT -m comment ... -j KUBE-FORWARD` -> handles, from the top of the chain. */
  readonly #handles = new Map<TableName, Map<string, number[]>>();
  readonly #run: RunCommand;
  readonly #restoreTool: string;

  /** @param restoreTool iptables-restore of this family. */
  constructor(run: RunCommand, restoreTool: string) {
    this.#run = run;
    this.#restoreTool = restoreTool;
  }

  /** Whether rules of this table must be deleted by handle. To find a rule by its text, iptables would read all rules before it. */
  has(table: TableName): boolean {
    return this.#handles.has(table);
  }

  /** To be called when iptables can print the table again. */
  forget(table: TableName): void {
    this.#memories.delete(table);
    this.#written.delete(table);
    this.#handles.delete(table);
  }

  /** Returns undefined when there is no such table. Throws what NfTables throws. */
  async read(reader: NfTableReader, name: TableName): Promise<NativeTable | undefined> {
    const table = await reader.readTable(name, (rule) => seeRule(rule));
    if (table === undefined) {
      this.forget(name);
      return undefined;
    }
    const memory = this.#memoryOf(name, table);
    for (const chain of memory.chains.keys()) if (!table.rules.has(chain)) memory.chains.delete(chain);
    const unknown = unknownChains(name, table, memory);
    if (unknown.length > 0) {
      const shown = await showChains(this.#run, this.#restoreTool, name, unknown);
      for (const chain of unknown) this.#learn(name, table, chain, shown.get(chain));
    }
    return this.#describe(name, table, memory);
  }

  /** Takes note of what a call of iptables-restore wrote, so that the next look knows these texts. */
  noteWritten(name: TableName, lines: readonly string[]): void {
    const written: Written = this.#written.get(name) ?? { chains: new Map(), appends: new Map(), jumps: new Map() };
    this.#written.set(name, written);
    const chains = new Map<string, string[]>();
    for (const line of lines) {
      const [command = '', chain = ''] = line.split(' ', 2);
      if (command.startsWith(':')) chains.set(command.slice(1), []);
      else if (command === '-A' && !chains.has(chain)) written.appends.set(chain, line);
      else if (command === '-A') chains.get(chain)?.push(line);
      else if (command === '-I') {
        const rule = line.slice(4 + chain.length);
        const key = `${chain} ${targetChain(rule) ?? ''}`;
        written.jumps.set(key, [...(written.jumps.get(key) ?? []), rule]);
      }
    }
    for (const [chain, text] of chains) written.chains.set(chain, text);
  }

  /** Returns the handles of these rules and forgets them. Of several equal rules the lowest in the chain comes first. */
  takeHandles(name: TableName, rules: readonly Pick<Jump, 'from' | 'rule'>[]): { chain: string; handle: number }[] {
    return rules.flatMap(({ from, rule }) => {
      const handle = this.#handles.get(name)?.get(`${from} ${rule}`)?.pop();
      return handle === undefined ? [] : [{ chain: from, handle }];
    });
  }

  #memoryOf(name: TableName, { handle }: Table): Memory {
    const known = this.#memories.get(name);
    if (known?.tableHandle === handle) return known;
    const memory: Memory = { tableHandle: handle, chains: new Map(), jumps: new Map() };
    this.#memories.set(name, memory);
    return memory;
  }

  /**
   * Learns a chain's text from what iptables printed just now, or from what was written last. When rules came or went meanwhile,
   * their number most likely differs, and nothing is learnt.
   */
  #learn(name: TableName, table: Table, chain: string, shown: readonly string[] | undefined): void {
    const rules = table.rules.get(chain) ?? [];
    const memory = this.#memoryOf(name, table);
    if (isBuiltIn(chain)) {
      if (shown?.length === rules.length) learnShown(name, rules, shown, memory);
      this.#learnInserted(name, chain, rules, memory);
      return;
    }
    const written = this.#written.get(name)?.chains;
    const targets = rules.map(({ target }) => target);
    const lines = [shown, written?.get(chain)].find((some) => some !== undefined && couldBe(some, targets));
    written?.delete(chain);
    const text = lines?.join('\n') ?? (chain === sharedChain ? this.#written.get(name)?.appends.get(chain) : undefined);
    if (text !== undefined) memory.chains.set(chain, { handles: handlesOf(rules), text });
  }

  /** The jump that was inserted last stands on top. */
  #learnInserted(name: TableName, chain: string, rules: readonly SeenRule[], memory: Memory): void {
    for (const { handle, target, jump } of rules) {
      if (jump !== undefined || memory.jumps.has(handle)) continue;
      const text = this.#written.get(name)?.jumps.get(`${chain} ${target}`)?.pop();
      if (text !== undefined) memory.jumps.set(handle, text);
    }
  }

  #describe(name: TableName, table: Table, memory: Memory): NativeTable {
    const chains = new Map<string, string>();
    const jumps: Jump[] = [];
    const handles = new Map<string, number[]>();
    let foreignRules = 0;
    let kubeletChains = 0;
    for (const { name: chain } of table.chains) {
      const rules = table.rules.get(chain) ?? [];
      if (chain === 'KUBE-IPTABLES-HINT' || chain === 'KUBE-KUBELET-CANARY') kubeletChains++;
      if (isOurs(name, chain)) {
        chains.set(chain, printChain(chain, rules, memory));
        continue;
      }
      for (const { handle, target, jump } of rules) {
        if (!isBuiltIn(chain) || !isOurs(name, target)) {
          foreignRules++;
          continue;
        }
        const rule = jump ?? memory.jumps.get(handle) ?? printUnreadRule(handle, target);
        const key = `${chain} ${rule}`;
        jumps.push({ table: name, from: chain, rule });
        handles.set(key, [...(handles.get(key) ?? []), handle]);
      }
    }
    this.#handles.set(name, handles);
    const usedByOthers = usesOfOthers(name, table);
    return { chains, jumps, usedByOthers, foreignRules, kubeletChains };
  }
}

/**
 * Returns our chains that have more uses than jumps from our chains and the built-in chains account for. The uses count also
 * verdict maps, which are in no rule.
 */
export function usesOfOthers(
  name: TableName,
  table: Pick<NfTable<Pick<SeenRule, 'target'>>, 'chains' | 'rules'>,
): Set<string> {
  const known = new Map<string, number>();
  for (const [chain, rules] of table.rules)
    if (isOurs(name, chain) || isBuiltIn(chain))
      for (const { target } of rules) known.set(target, (known.get(target) ?? 0) + 1);
  const used = table.chains.filter(({ name: chain, uses }) => {
    const rules = table.rules.get(chain)?.length ?? 0;
    return isOurs(name, chain) && uses > rules + (known.get(chain) ?? 0);
  });
  return new Set(used.map(({ name: chain }) => chain));
}

/** Learns the jumps of a built-in chain of which every rule was printed. */
function learnShown(name: TableName, rules: readonly SeenRule[], shown: readonly string[], memory: Memory): void {
  for (const [i, { handle, target }] of rules.entries())
    if (isOurs(name, target)) memory.jumps.set(handle, textOf(shown[i] ?? ''));
}

function seeRule(rule: NfRule): SeenRule {
  const { handle, target } = rule;
  return {
    handle,
    target,
    jump: target === '' ? undefined : decodeJump(rule),
    isLocalnetBlock: rule.chain === sharedChain && isLocalnetBlock(rule),
  };
}

/** Our chains of which some rules' texts are unknown, and built-in chains with jumps to ours whose text is unknown. */
function unknownChains(name: TableName, table: Table, memory: Memory): string[] {
  return [...table.rules].flatMap(([chain, rules]) => {
    if (isOurs(name, chain)) return memory.chains.get(chain)?.handles === handlesOf(rules) ? [] : [chain];
    const hasUnknown = rules.some(
      ({ handle, target, jump }) => jump === undefined && isOurs(name, target) && !memory.jumps.has(handle),
    );
    return isBuiltIn(chain) && hasUnknown ? [chain] : [];
  });
}

function printChain(chain: string, rules: readonly SeenRule[], memory: Memory): string {
  const known = memory.chains.get(chain);
  const text =
    rules.length === 0
      ? ''
      : known?.handles === handlesOf(rules)
        ? known.text
        : rules.map(({ handle, target }) => printUnreadRule(handle, target)).join('\n');
  if (chain !== sharedChain) return text;
  // In the chain that is shared with the kubelet only our own rule counts, and only once.
  const isBlocked = text.includes(blockLocalnetRule) || rules.some((rule) => rule.isLocalnetBlock);
  return isBlocked ? `-A ${chain} ${blockLocalnetRule}` : '';
}

function handlesOf(rules: readonly SeenRule[]): string {
  return rules.map(({ handle }) => handle).join();
}

function textOf(line: string): string {
  return line.replace(/^-A \S+ /, '');
}
