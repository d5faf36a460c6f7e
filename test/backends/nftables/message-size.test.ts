import { TableMessages } from '../../../src/backends/nftables/driver-messages';
import { packWrites, splitWrite, stepLimits, takeWrites } from '../../../src/backends/nftables/message-size';
import type { SetElement, SetObject, TableWrite } from '../../../src/backends/nftables/objects';
import { headerBytes } from '../../../src/host/netlink';
import { type NfMessage, takeTransaction, transactionLimits } from '../../../src/host/nf-transaction';
import { families, type Family } from '../../../src/model/address';
import { sampleTable, writesOfTable } from '../../support/nft-tables';

const vips: SetObject = { name: 'vipwire-vips', key: ['address', 'protocol', 'port'], data: 'verdict' };

function manyElements(count: number): readonly SetElement[] {
  return Array.from({ length: count }, (_, i) => ({
    key: `10.96.${(i >> 8) & 255}.${i & 255} . tcp . ${80 + (i >> 16)}`,
    value: 'goto vipwire-pick-2',
    comment: `tenant-${i % 100}/web-${i}:http`,
  }));
}

function messagesOf(write: TableWrite, family: Family): readonly NfMessage[] {
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
    case 'flush-set':
      return [to.flushSet(write.set.name)];
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
    ...sets.flatMap(({ set }) => [
      { op: 'flush-set' as const, set },
      { op: 'delete-set' as const, set: set.name },
    ]),
    { op: 'delete-table' },
  ];
}

/** A transaction would refuse what is larger than it was estimated. */
test.each(families)('%s: steps cut by the estimate fit a transaction, and have all writes in order', (family) => {
  for (let seed = 1; seed <= 20; seed++) {
    const writes = writesOf(family, seed);
    const steps = packWrites(
      writes.map((write) => [write]),
      family,
    );
    expect(steps.flat()).toEqual(writes);
    for (const step of steps) {
      const messages = step.flatMap((write) => messagesOf(write, family));
      expect(takeTransaction(messages)).toBe(messages.length);
    }
  }
});

test.each(families)('%s: the estimate of rules and elements is below three times what is sent', (family) => {
  for (let seed = 1; seed <= 10; seed++)
    for (const write of writesOf(family, seed).filter(({ op }) => op === 'set-rules' || op === 'add-elements')) {
      const messages = messagesOf(write, family);
      if (messages.length === 0) continue;
      const count = 1 + takeWrites(Array<TableWrite>(200).fill(write), family);
      const isByBytes = count * messages.length <= stepLimits.messages;
      if (isByBytes) expect(3 * count * bytesOf(messages)).toBeGreaterThan(stepLimits.bytes);
    }
});

test('the limits are those of a transaction', () => {
  expect(stepLimits).toEqual(transactionLimits);
});

test('many elements are split into parts that fit, and nearly fill, a transaction', () => {
  const elements = manyElements(20_000);
  const write = { op: 'add-elements', set: vips, elements } as const;
  const parts = splitWrite(write, 'IPv4');
  expect(parts.flatMap((part) => (part.op === 'add-elements' ? part.elements : []))).toEqual(elements);
  for (const [i, part] of parts.entries()) {
    const messages = messagesOf(part, 'IPv4');
    expect(takeTransaction(messages)).toBe(messages.length);
    if (i < parts.length - 1) expect(bytesOf(messages)).toBeGreaterThan(0.7 * transactionLimits.bytes);
  }
  expect(packWrites([[write]], 'IPv4')).toEqual(parts.map((part) => [part]));
});

test('what must be done at once stays together', () => {
  const [element] = manyElements(1);
  if (element === undefined) throw new Error('no element');
  const unit: readonly TableWrite[] = [
    { op: 'delete-elements', set: vips, elements: [element] },
    { op: 'add-elements', set: vips, elements: [element] },
  ];
  const steps = packWrites(
    Array.from({ length: 301 }, () => unit),
    'IPv4',
  );
  expect(steps.flat()).toHaveLength(602);
  expect(steps.every((step) => step.length % 2 === 0)).toBe(true);
  expect(steps[0]).toHaveLength(stepLimits.messages);
});

test('a write that is too large by itself is a part of its own, and no writes give no parts', () => {
  const large: TableWrite = {
    op: 'set-rules',
    chain: 'vipwire-ranges',
    rules: Array.from({ length: 500 }, () => ({ statements: [{ kind: 'drop' as const }] })),
  };
  expect(takeWrites([large, large], 'IPv4')).toBe(1);
  expect(takeWrites([large], 'IPv4', 1)).toBe(0);
  expect(packWrites([[], []], 'IPv4')).toEqual([]);
});
