/** A table in memory that refuses what the kernel refuses. */
import {
  type ChainObject,
  type ElementReader,
  type NftKernel,
  type ReadObjects,
  RefusedWritesError,
  type SetObject,
  type TableWrite,
} from '../../../src/backends/nftables/objects';
import { printChainText, printSetText, printValue } from '../../../src/backends/nftables/print';
import type { Family } from '../../../src/model/address';

interface Table {
  readonly chains: Map<string, ChainObject>;
  readonly sets: Map<string, { readonly set: SetObject; readonly elements: Map<string, string> }>;
}

export class InMemoryTable implements NftKernel {
  readonly family: Family;
  readonly canRead = true;
  table: Table | undefined;
  /** Called after each transaction. */
  afterWrite: ((writes: readonly TableWrite[]) => void) | undefined;
  transactions = 0;
  /** Returns errno's name for what this kernel lacks. */
  lacks: ((write: TableWrite) => string | undefined) | undefined;

  constructor(family: Family) {
    this.family = family;
  }

  read(reader: ElementReader): Promise<ReadObjects | undefined> {
    for (const [name, { elements }] of this.table?.sets ?? [])
      for (const [key, value] of elements) reader.element(name, key, value);
    return this.readObjects();
  }

  readObjects(): Promise<ReadObjects | undefined> {
    const { table, family } = this;
    return Promise.resolve(
      table && {
        chains: new Map([...table.chains].map(([name, chain]) => [name, printChainText(chain, family)])),
        sets: new Map([...table.sets].map(([name, { set }]) => [name, printSetText(set, family)])),
      },
    );
  }

  write(writes: readonly TableWrite[]): Promise<void> {
    const before = this.table;
    let now = copyOf(before);
    const refused = new Map<number, string>();
    for (const [index, write] of writes.entries()) {
      if (write.op === 'add-table') now ??= { chains: new Map(), sets: new Map() };
      else if (now === undefined) refused.set(index, 'ENOENT');
      else if (write.op === 'delete-table') now = undefined;
      else {
        const code = this.lacks?.(write) ?? change(now, write, before);
        if (code !== undefined) refused.set(index, code);
      }
    }
    if (refused.size > 0) return Promise.reject(new RefusedWritesError(JSON.stringify([...refused]), refused));
    this.table = now;
    this.transactions++;
    this.afterWrite?.(writes);
    return Promise.resolve();
  }

  close(): void {
    this.table = undefined;
  }
}

function copyOf(table: Table | undefined): Table | undefined {
  return (
    table && {
      chains: new Map(table.chains),
      sets: new Map([...table.sets].map(([name, { set, elements }]) => [name, { set, elements: new Map(elements) }])),
    }
  );
}

/** Returns errno's name where the kernel refuses the change. */
function change(now: Table, write: TableWrite, before: Table | undefined): string | undefined {
  const { chains, sets } = now;
  switch (write.op) {
    case 'add-set':
      sets.set(write.set.name, sets.get(write.set.name) ?? { set: write.set, elements: new Map() });
      return undefined;
    case 'add-chain':
      chains.set(write.chain.name, chains.get(write.chain.name) ?? { ...write.chain, rules: [] });
      return undefined;
    case 'delete-set':
      if (usesOf(now, write.set)) return 'EBUSY';
      return sets.delete(write.set) ? undefined : 'ENOENT';
    case 'delete-chain': {
      const isHook = chains.get(write.chain)?.base !== undefined;
      // Kernels before 6.2 release a map's references only after the transaction.
      if (!isHook && (usesOf(now, write.chain) || usesOf(before, write.chain))) return 'EBUSY';
      return chains.delete(write.chain) ? undefined : 'ENOENT';
    }
    case 'set-rules':
      return setRules(now, write);
    default:
      return changeElements(now, write);
  }
}

function setRules(
  { chains, sets }: Table,
  { chain, rules }: Extract<TableWrite, { op: 'set-rules' }>,
): string | undefined {
  const old = chains.get(chain);
  const names = namesIn(rules);
  if (old === undefined || !names.every((name) => chains.has(name) || sets.has(name))) return 'ENOENT';
  chains.set(chain, { ...old, rules });
  return undefined;
}

type ElementsWrite = Extract<TableWrite, { op: 'add-elements' | 'delete-elements' }>;

function changeElements(
  { chains, sets }: Table,
  write: ElementsWrite | Extract<TableWrite, { op: string }>,
): string | undefined {
  if (write.op !== 'add-elements' && write.op !== 'delete-elements') return 'EINVAL';
  const elements = sets.get(write.set.name)?.elements;
  if (elements === undefined) return 'ENOENT';
  for (const element of write.elements) {
    const seen = elements.get(element.key);
    const chain = /^goto (\S+)/.exec(element.value ?? '')?.[1];
    if (write.op === 'delete-elements') {
      if (!elements.delete(element.key)) return 'ENOENT';
    } else if (seen !== undefined && seen !== printValue(element)) return 'EEXIST';
    else if (chain !== undefined && !chains.has(chain)) return 'ENOENT';
    else elements.set(element.key, printValue(element));
  }
  return undefined;
}

function namesIn(rules: ChainObject['rules']): readonly string[] {
  return rules
    .flatMap(({ statements }) => statements)
    .flatMap((one) => ('chain' in one ? one.chain : 'map' in one ? one.map : 'set' in one ? one.set : []));
}

function usesOf(table: Table | undefined, name: string): boolean {
  if (table === undefined) return false;
  const leads = [...table.sets.values()].some(({ elements }) =>
    [...elements.values()].some((value) => value === `goto ${name}` || value.startsWith(`goto ${name} `)),
  );
  return leads || [...table.chains.values()].some(({ rules }) => namesIn(rules).includes(name));
}
