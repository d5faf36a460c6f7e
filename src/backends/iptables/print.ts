/** Prints the whole rule set for people, with a comment before each Service's chains. It is still valid input of iptables-restore. */
import { describeServices } from '../../planner/describe';
import type { Plan } from '../../planner/plan';
import type { TableName } from '../../xtables/rules';
import type { RuleSet } from './desired-state';

export function printListing(rules: RuleSet, plan: Plan): string {
  return printNat(rules, plan) + printTable(rules, 'filter');
}

function printNat(rules: RuleSet, plan: Plan): string {
  const { nat } = rules.tables;
  const rest = new Map([...nat.desiredEntries()].sort(byName));
  const names = [...rest.keys()];
  const services = describeServices(plan).flatMap(({ key, text }) => {
    const chains = rules.chainsOf(key).map((chain) => {
      rest.delete(chain);
      return nat.getDesired(chain) ?? '';
    });
    return [`# ${text}`, ...chains.filter((lines) => lines !== '')];
  });
  const marks = take(rest, ['KUBE-MARK-MASQ', 'KUBE-POSTROUTING', 'KUBE-PROXY-CANARY']);
  return table('nat', names, [
    ...services,
    '# marks and masquerading',
    ...marks,
    '# dispatch by address and port',
    ...rest.values(),
    ...jumps(rules, 'nat'),
  ]);
}

function printTable(rules: RuleSet, name: TableName): string {
  const chains = new Map([...rules.tables[name].desiredEntries()].sort(byName));
  return table(name, [...chains.keys()], [...chains.values(), ...jumps(rules, name)]);
}

function table(name: TableName, chains: readonly string[], lines: readonly string[]): string {
  const declared = chains.map((chain) => `:${chain} - [0:0]`);
  return [`*${name}`, ...declared, ...lines.filter((line) => line !== ''), 'COMMIT', ''].join('\n');
}

function jumps(rules: RuleSet, name: TableName): string[] {
  const lines = rules.jumps.filter((jump) => jump.table === name).map(({ from, rule }) => `-I ${from} ${rule}`);
  return lines.length === 0 ? [] : ['# jumps from the built-in chains, where they are missing', ...lines];
}

function take(chains: Map<string, string>, names: readonly string[]): string[] {
  return names.flatMap((name) => {
    const lines = chains.get(name);
    chains.delete(name);
    return lines ?? [];
  });
}

function byName([a]: [string, string], [b]: [string, string]): number {
  return a < b ? -1 : 1;
}
