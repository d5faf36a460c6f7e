/** Writes to a family's table in transactions over netlink. */
import type { RawSocketSizes } from '../../host/netlink-addon';
import { type NfMessage, NfTransactionError, NfTransactions } from '../../host/nf-transaction';
import type { Family } from '../../model/address';
import { TableMessages } from './driver-messages';
import { RefusedWritesError, tableComment, type TableWrite } from './objects';

/** The most refused writes that an error names in its text. */
const mostNamed = 3;

export class TableWriter {
  readonly #messages: TableMessages;
  readonly #transactions: NfTransactions;

  constructor(family: Family, sizes: RawSocketSizes = {}) {
    this.#messages = new TableMessages(family);
    this.#transactions = new NfTransactions(sizes);
  }

  /** As NftKernel.write. Throws RangeError for what is too much for one transaction. */
  async write(writes: readonly TableWrite[]): Promise<void> {
    const { messages, owners } = encodeWrites(this.#messages, writes);
    try {
      await this.#transactions.commit(messages);
    } catch (error) {
      throw error instanceof NfTransactionError ? refusal(error, writes, owners) : error;
    }
  }

  close(): void {
    this.#transactions.close();
  }
}

interface EncodedWrites {
  readonly messages: readonly NfMessage[];
  /** For each message, the index of its write. */
  readonly owners: readonly number[];
}

/** The messages of one transaction. */
export function encodeWrites(to: TableMessages, writes: readonly TableWrite[]): EncodedWrites {
  const messages: NfMessage[] = [];
  const owners: number[] = [];
  for (const [i, write] of writes.entries())
    for (const message of encodeWrite(to, write, i + 1)) {
      messages.push(message);
      owners.push(i);
    }
  return { messages, owners };
}

/** @param id differs for each set of a transaction. */
function encodeWrite(to: TableMessages, write: TableWrite, id: number): Iterable<NfMessage> {
  switch (write.op) {
    case 'add-table':
      return [to.addTable(tableComment)];
    case 'delete-table':
      return [to.deleteTable()];
    case 'add-set':
      return [to.addSet(write.set, id)];
    case 'delete-set':
      return [to.deleteSet(write.set)];
    case 'add-chain':
      return [to.addChain(write.chain)];
    case 'set-rules':
      return [to.flushChain(write.chain), ...write.rules.map((rule) => to.addRule(write.chain, rule))];
    case 'delete-chain':
      return [to.deleteChain(write.chain)];
    case 'add-elements':
      return to.addElements(write.set, write.elements);
    case 'delete-elements':
      return to.deleteElements(write.set, write.elements);
  }
}

function refusal(
  error: NfTransactionError,
  writes: readonly TableWrite[],
  owners: readonly number[],
): RefusedWritesError {
  const refused = new Map<number, string>();
  for (const [message, code] of error.refused) {
    const at = owners[message];
    if (at !== undefined && !refused.has(at)) refused.set(at, code);
  }
  const named = [...refused]
    .slice(0, mostNamed)
    .flatMap(([at, code]) => (writes[at] === undefined ? [] : [`${describe(writes[at])}: ${code}`]));
  const more = refused.size > mostNamed ? [`and ${refused.size - mostNamed} more`] : [];
  const what = refused.size === 0 ? `a transaction of ${writes.length} writes: ${error.code}` : '';
  return new RefusedWritesError(`nf_tables refused ${what}${[...named, ...more].join(', ')}`, refused);
}

/** What a write is about, without its rules and elements: `add-elements vipwire-vips 10.96.0.10 . tcp . 80 and 9 more`. */
function describe(write: TableWrite): string {
  switch (write.op) {
    case 'add-table':
    case 'delete-table':
      return write.op;
    case 'add-set':
      return `${write.op} ${write.set.name}`;
    case 'delete-set':
      return `${write.op} ${write.set}`;
    case 'add-chain':
      return `${write.op} ${write.chain.name}`;
    case 'set-rules':
    case 'delete-chain':
      return `${write.op} ${write.chain}`;
    case 'add-elements':
    case 'delete-elements': {
      const [first, ...others] = write.elements;
      const some = first === undefined ? '' : ` ${first.key}${others.length === 0 ? '' : ` and ${others.length} more`}`;
      return `${write.op} ${write.set.name}${some}`;
    }
  }
}
