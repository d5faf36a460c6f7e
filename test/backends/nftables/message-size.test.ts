import { sizeOfWrite, stepLimits } from '../../../src/backends/nftables/message-size';
import type { TableWrite } from '../../../src/backends/nftables/objects';
import { headerBytes } from '../../../src/host/netlink';
import { type NfMessage, transactionLimits } from '../../../src/host/nf-transaction';
import { families, type Family } from '../../../src/model/address';
import { messagesOf } from '../../support/nft-messages';
import { sampleTable, writesOfTable } from '../../support/nft-tables';

function bytesOf(messages: readonly NfMessage[]): number {
  return messages.reduce((all, { payload }) => all + headerBytes + payload.length, 0);
}

function writesOf(family: Family, seed: number): readonly TableWrite[] {
  const table = sampleTable(family, seed);
  const { sets, chains } = table;
  return [
    ...writesOfTable(table),
    ...sets.map(({ set, elements }) => ({ op: 'delete-elements' as const, set, elements })),
    ...chains.map(({ name }) => ({ op: 'delete-chain' as const, chain: name })),
    ...sets.map(({ set }) => ({ op: 'delete-set' as const, set: set.name })),
    { op: 'delete-table' },
  ];
}

/** A transaction refuses what is larger than it was estimated. */
test.each(families)(
  '%s: the estimate is not below what is sent, and for large writes not above three times as much',
  (family) => {
    for (let seed = 1; seed <= 20; seed++)
      for (const write of writesOf(family, seed)) {
        const messages = messagesOf(write, family);
        const { messages: count, bytes } = sizeOfWrite(write, family);
        expect(count).toBeGreaterThanOrEqual(messages.length);
        expect(bytes).toBeGreaterThanOrEqual(bytesOf(messages));
        if (write.op === 'set-rules' || write.op === 'add-elements')
          expect(bytes).toBeLessThanOrEqual(3 * bytesOf(messages));
      }
  },
);

test('the limits are those of a transaction', () => {
  expect(stepLimits).toEqual(transactionLimits);
});
