/** A whole table as input of `nft -f`. */
import { printChain, printElement, printRule, printSet, printTableName } from '../../src/backends/nftables/print';
import type { WholeTable } from '../../src/backends/nftables/print-json';
import type { Family } from '../../src/model/address';

export function printWholeTable({ chains, sets }: WholeTable, family: Family): string {
  const table = printTableName(family);
  return [
    `add table ${table}`,
    ...chains.map((chain) => printChain(chain, family)),
    ...sets.map(({ set }) => printSet(set, family)),
    ...chains.flatMap(({ name, rules }) => rules.map((rule) => `add rule ${table} ${name} ${printRule(rule, family)}`)),
    ...sets.flatMap(({ set, elements }) =>
      Array.from(elements, (element) => `add element ${table} ${set.name} { ${printElement(element)} }`),
    ),
    '',
  ].join('\n');
}
