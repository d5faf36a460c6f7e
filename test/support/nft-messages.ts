import { TableMessages } from '../../src/backends/nftables/driver-messages';
import type { TableWrite } from '../../src/backends/nftables/objects';
import type { NfMessage } from '../../src/host/nf-transaction';
import type { Family } from '../../src/model/address';

/** What netlink sends for a write. */
export function messagesOf(write: TableWrite, family: Family): readonly NfMessage[] {
  const to = new TableMessages(family);
  switch (write.op) {
    case 'add-table':
      return [to.addTable('rules for Services')];
    case 'delete-table':
      return [to.deleteTable()];
    case 'add-set':
      return [to.addSet(write.set, 1)];
    case 'delete-set':
      return [to.deleteSet(write.set)];
    case 'add-chain':
      return [to.addChain(write.chain)];
    case 'set-rules':
      return [to.flushChain(write.chain), ...write.rules.map((rule) => to.addRule(write.chain, rule))];
    case 'delete-chain':
      return [to.deleteChain(write.chain)];
    case 'add-elements':
      return [...to.addElements(write.set, write.elements)];
    case 'delete-elements':
      return [...to.deleteElements(write.set, write.elements)];
  }
}
