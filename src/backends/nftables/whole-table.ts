import type { ChainObject, SetElement, SetObject, TableWrite } from './objects';
import type { WholeTable } from './print-json';

/** What a table holds after these writes, which begin with nothing and delete nothing. */
export function wholeTable(writes: Iterable<TableWrite>): WholeTable {
  const chains = new Map<string, ChainObject>();
  const sets = new Map<string, { readonly set: SetObject; readonly elements: SetElement[] }>();
  for (const write of writes)
    switch (write.op) {
      case 'add-set':
        sets.set(write.set.name, { set: write.set, elements: [] });
        break;
      case 'add-chain':
        chains.set(write.chain.name, { ...write.chain, rules: [] });
        break;
      case 'set-rules':
        chains.set(write.chain, { name: write.chain, ...chains.get(write.chain), rules: write.rules });
        break;
      case 'add-elements':
        for (const element of write.elements) sets.get(write.set.name)?.elements.push(element);
    }
  return { chains: [...chains.values()], sets: [...sets.values()] };
}
