/**
 * Tables that hold rules which iptables cannot print, `nft add rule ip filter ...` for one: what is ours in them is read from nf_tables.
 * Which chains there are, which rules jump to them and how many of others do is in the kernel's own answer. The text of a rule is
 * not: that of a chain is known from its last look as long as it has the same rules by their handles, else iptables prints that chain
 * alone, else it is what was last written there. Where all of that fails the text says so, and so the chain is written anew.
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

/** Of one table. */
export type NativeTable = Pick<SavedTables, 'usedByOthers' | 'foreignRules' | 'kubeletChains'> & {
  readonly chains: Map<string, string>;
  readonly jumps: readonly Jump[];
};

interface SeenRule {
  readonly handle: number;
  readonly target: string;
  /** Of a jump that says nothing but what ours say. */
  readonly jump: string | undefined;
  readonly isLocalnetBlock: boolean;
}

/** Handles are never given again in the life of a table, and a rule with a handle never changes. */
interface Memory {
  readonly tableHandle: number;
  /** Chain -> its rules' handles, and the lines that they are. */
  readonly chains: Map<string, { readonly handles: string; readonly text: string }>;
  /** Handle of a jump -> what follows `-A CHAIN`. */
  readonly jumps: Map<number, string>;
}

interface Written {
  readonly chains: Map<string, readonly string[]>;
  /** The same of lines that were added to what a chain has. */
  readonly appends: Map<string, string>;
  /** `INPUT KUBE-FORWARD` -> rules that were inserted, and not seen since. */
  readonly jumps: Map<string, string[]>;
}

type Table = NfTable<SeenRule>;

export class NativeTables {
  private readonly memories = new Map<TableName, Memory>();
  private readonly written = new Map<TableName, Written>();
  /** As of the last look: `INPUT -m comment ... -j KUBE-FORWARD` -> handles, from the top down. */
  private readonly handles = new Map<TableName, Map<string, number[]>>();

  /** @param restoreTool of this family. */
  constructor(
    private readonly run: RunCommand,
    private readonly restoreTool: string,
  ) {}

  /** Whether rules of the table are deleted by their handles: to find one by its text, iptables reads all that stand before it. */
  has(table: TableName): boolean {
    return this.handles.has(table);
  }

  /** The table can be printed again. */
  forget(table: TableName): void {
    this.memories.delete(table);
    this.written.delete(table);
    this.handles.delete(table);
  }

  /** undefined: there is no such table. Throws what NfTables throws. */
  async read(reader: NfTableReader, name: TableName): Promise<NativeTable | undefined> {
    const table = await reader.readTable(name, (rule) => seeRule(rule));
    if (table === undefined) {
      this.forget(name);
      return undefined;
    }
    const memory = this.memoryOf(name, table);
    for (const chain of memory.chains.keys()) if (!table.rules.has(chain)) memory.chains.delete(chain);
    const unknown = unknownChains(name, table, memory);
    if (unknown.length > 0) {
      const shown = await showChains(this.run, this.restoreTool, name, unknown);
      for (const chain of unknown) this.learn(name, table, chain, shown.get(chain));
    }
    return this.describe(name, table, memory);
  }

  /** What a call of iptables-restore wrote, to be known again at the next look. */
  noteWritten(name: TableName, lines: readonly string[]): void {
    const written: Written = this.written.get(name) ?? { chains: new Map(), appends: new Map(), jumps: new Map() };
    this.written.set(name, written);
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

  /** Takes them out of what is known, the last one from the top first. */
  takeHandles(name: TableName, rules: readonly Pick<Jump, 'from' | 'rule'>[]): { chain: string; handle: number }[] {
    return rules.flatMap(({ from, rule }) => {
      const handle = this.handles.get(name)?.get(`${from} ${rule}`)?.pop();
      return handle === undefined ? [] : [{ chain: from, handle }];
    });
  }

  private memoryOf(name: TableName, { handle }: Table): Memory {
    const known = this.memories.get(name);
    if (known?.tableHandle === handle) return known;
    const memory: Memory = { tableHandle: handle, chains: new Map(), jumps: new Map() };
    this.memories.set(name, memory);
    return memory;
  }

  /** By what iptables printed just now, or what was written last. Rules that came or went meanwhile are another number, most likely. */
  private learn(name: TableName, table: Table, chain: string, shown: readonly string[] | undefined): void {
    const rules = table.rules.get(chain) ?? [];
    const memory = this.memoryOf(name, table);
    if (isBuiltIn(chain)) {
      if (shown?.length === rules.length) learnShown(name, rules, shown, memory);
      this.learnInserted(name, chain, rules, memory);
      return;
    }
    const written = this.written.get(name)?.chains;
    const targets = rules.map(({ target }) => target);
    const lines = [shown, written?.get(chain)].find((some) => some !== undefined && couldBe(some, targets));
    written?.delete(chain);
    const text = lines?.join('\n') ?? (chain === sharedChain ? this.written.get(name)?.appends.get(chain) : undefined);
    if (text !== undefined) memory.chains.set(chain, { handles: handlesOf(rules), text });
  }

  /** What was inserted last stands on top. */
  private learnInserted(name: TableName, chain: string, rules: readonly SeenRule[], memory: Memory): void {
    for (const { handle, target, jump } of rules) {
      if (jump !== undefined || memory.jumps.has(handle)) continue;
      const text = this.written.get(name)?.jumps.get(`${chain} ${target}`)?.pop();
      if (text !== undefined) memory.jumps.set(handle, text);
    }
  }

  private describe(name: TableName, table: Table, memory: Memory): NativeTable {
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
    this.handles.set(name, handles);
    const usedByOthers = usesOfOthers(name, table);
    return { chains, jumps, usedByOthers, foreignRules, kubeletChains };
  }
}

/** Chains of ours that are used by more than the jumps of ours and of the built-in chains: a verdict map's uses are in no rule. */
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

/** The jumps of a built-in chain, of which each rule has its line. */
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

/** Of ours those with rules that are not known by their handles; of the built-in ones those with jumps that are not. */
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
  // Of a chain that the kubelet shares only our own rule matters, and that once.
  const isBlocked = text.includes(blockLocalnetRule) || rules.some((rule) => rule.isLocalnetBlock);
  return isBlocked ? `-A ${chain} ${blockLocalnetRule}` : '';
}

function handlesOf(rules: readonly SeenRule[]): string {
  return rules.map(({ handle }) => handle).join();
}

function textOf(line: string): string {
  return line.replace(/^-A \S+ /, '');
}
