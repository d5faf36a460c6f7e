/** Changes to a table as `nft -f` takes them. */
import type { Family } from '../../model/address';
import { type SetElement, tableComment, type TableWrite } from './objects';
import { printChain, printElement, printRule, printSet, printTableName } from './print';

/** Elements in one command: nft's time for a command grows faster than the number of its elements. */
const elementsPerCommand = 2_000;

/** One transaction: a line for each command and each element, with its end. */
export function printWrites(writes: readonly TableWrite[], family: Family): string {
  return writes.flatMap((write) => linesOf(write, family).map((line) => `${line}\n`)).join('');
}

function linesOf(write: TableWrite, family: Family): readonly string[] {
  const table = printTableName(family);
  switch (write.op) {
    case 'add-table':
      return [`add table ${table} { comment "${tableComment}"; }`];
    case 'delete-table':
      return [`delete table ${table}`];
    case 'add-set':
      return [printSet(write.set, family)];
    case 'delete-set':
      return [`delete set ${table} ${write.set}`];
    case 'add-chain':
      return [printChain(write.chain, family)];
    case 'set-rules': {
      const { chain, rules } = write;
      const added = rules.map((rule) => `add rule ${table} ${chain} ${printRule(rule, family)}`);
      return [`flush chain ${table} ${chain}`, ...added];
    }
    case 'delete-chain':
      return [`delete chain ${table} ${write.chain}`];
    case 'add-elements':
      return printElements(`add element ${table} ${write.set.name}`, write.elements, printElement);
    case 'delete-elements':
      return printElements(`delete element ${table} ${write.set.name}`, write.elements, ({ key }) => key);
  }
}

function printElements(
  command: string,
  elements: readonly SetElement[],
  print: (element: SetElement) => string,
): readonly string[] {
  const lines: string[] = [];
  for (let at = 0; at < elements.length; at += elementsPerCommand) {
    const some = elements.slice(at, at + elementsPerCommand);
    lines.push(`${command} {`, ...some.map((element) => `  ${print(element)},`), '}');
  }
  return lines;
}
