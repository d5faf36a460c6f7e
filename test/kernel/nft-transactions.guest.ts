/** Transactions that the kernel refuses, in whole or message by message, with the usual limits of a socket's buffers. */
import { execFileSync } from 'node:child_process';
import { TableMessages } from '../../src/backends/nftables/driver-messages';
import type { Rule, SetObject, Statement } from '../../src/backends/nftables/objects';
import {
  type NfMessage,
  NfTransactionError,
  NfTransactions,
  takeTransaction,
  transactionLimits,
} from '../../src/host/nf-transaction';

const to = new TableMessages('IPv4');
const map: SetObject = { name: 'vipwire-services', key: ['address', 'protocol', 'port'], data: 'verdict' };
const listed = (): string => execFileSync('nft', ['list', 'ruleset'], { encoding: 'utf8' });

function elementsTo(chain: string, count: number): readonly NfMessage[] {
  const elements = Array.from({ length: count }, (_, i) => ({
    key: `10.96.${(i >> 8) & 255}.${i & 255} . tcp . ${1 + (i >> 16)}`,
    value: `goto ${chain}`,
  }));
  return [...to.addElements(map, elements)];
}

async function refusalOf(transactions: NfTransactions, messages: readonly NfMessage[]): Promise<unknown> {
  try {
    await transactions.commit(messages);
    return 'done';
  } catch (error) {
    return error instanceof NfTransactionError ? [error.code, [...error.refused]] : String(error);
  }
}

async function main(): Promise<unknown> {
  // What a socket gets on a kernel that nobody has tuned.
  const transactions = new NfTransactions({ queueBytes: 212_992 });
  await transactions.commit([to.addTable('rules'), to.addChain({ name: 'vipwire-pick-1' }), to.addSet(map, 1)]);
  const before = listed();
  // They are as large as possible, and every message has a mistake.
  const large = elementsTo('vipwire-none', 20_000);
  const many = Array.from({ length: transactionLimits.messages }, () => to.deleteChain('vipwire-none'));
  // An error of this length needs the most memory per byte.
  const range: Statement = { kind: 'address', side: 'source', isNot: true, cidr: '10.0.0.0/9' };
  const rule: Rule = { statements: [range, range, range], comment: 'c'.repeat(100) };
  const rules = Array.from({ length: transactionLimits.messages }, () => to.addRule('vipwire-none', rule));
  const ruleCount = takeTransaction(rules);
  const largest = large.slice(0, takeTransaction(large));
  const told = {
    largest: largest.length,
    large: await refusalOf(transactions, largest),
    ruleBytes: rules[0]?.payload.length,
    ruleCount,
    rules: await refusalOf(transactions, rules.slice(0, ruleCount)),
    many: await refusalOf(transactions, many),
    amid: await refusalOf(transactions, [
      to.addChain({ name: 'vipwire-a' }),
      to.deleteChain('vipwire-none'),
      to.addChain({ name: 'vipwire-b' }),
    ]),
    isUntouched: listed() === before,
    tooMany: await transactions.commit([...many, ...many]).catch((error: unknown) => String(error)),
    after: await refusalOf(transactions, [to.addChain({ name: 'vipwire-b' })]),
    used: await refusalOf(transactions, [...elementsTo('vipwire-b', 1), to.deleteChain('vipwire-b')]),
  };
  transactions.close();
  return { ...told, closed: await refusalOf(transactions, [to.addChain({ name: 'vipwire-c' })]) };
}

void main().then((told) => process.stdout.write(JSON.stringify(told)));
