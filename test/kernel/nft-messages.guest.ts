/** The tables that our messages make in a new namespace, compared with those that `nft -f` makes from the text that we print. */
import { execFileSync } from 'node:child_process';
import { TableMessages } from '../../src/backends/nftables/driver-messages';
import { printChain, printElement, printRule, printSet, printTableName } from '../../src/backends/nftables/print';
import type { Family } from '../../src/model/address';
import { NfTransactions, takeTransaction, type NfMessage } from '../../src/host/nf-transaction';
import { listTable, nft } from '../support/nft-listing';
import { sampleTable } from '../support/nft-tables';

async function main(): Promise<unknown> {
  const seed = Number(process.argv[2] ?? '1');
  const transactions = new NfTransactions();
  const told: Record<string, unknown> = {};
  for (const family of ['IPv4', 'IPv6'] as const) {
    const { text, messages } = bothWays(family, seed);
    execFileSync('nft', ['-f', '-'], { input: text });
    const byText = listTable(family);
    nft('flush', 'ruleset');
    let sent = 0;
    for (let at = 0; at < messages.length; at += sent) {
      sent = takeTransaction(messages, at);
      await transactions.commit(messages.slice(at, at + sent));
    }
    const byMessages = listTable(family);
    // nft accepts what it prints after our messages.
    execFileSync('nft', ['-f', '-'], { input: `flush ruleset\n${nft('list', 'ruleset')}` });
    told[family] = { byText, byMessages, again: listTable(family) };
    nft('flush', 'ruleset');
  }
  transactions.close();
  return told;
}

function bothWays(family: Family, seed: number): { readonly text: string; readonly messages: readonly NfMessage[] } {
  const { comment, sets, chains } = sampleTable(family, seed);
  const table = printTableName(family);
  const to = new TableMessages(family);
  const text = [
    `add table ${table} { comment "${comment}"; }`,
    ...chains.map((chain) => printChain(chain, family)),
    ...sets.map(({ set }) => printSet(set, family)),
    ...chains.flatMap(({ name, rules }) => rules.map((rule) => `add rule ${table} ${name} ${printRule(rule, family)}`)),
    ...sets.flatMap(({ set, elements }) =>
      elements.map((element) => `add element ${table} ${set.name} { ${printElement(element)} }`),
    ),
  ];
  const messages = [
    to.addTable(comment),
    ...chains.map((chain) => to.addChain(chain)),
    ...sets.map(({ set }, i) => to.addSet(set, i + 1)),
    ...chains.flatMap(({ name, rules }) => rules.map((rule) => to.addRule(name, rule))),
    ...sets.flatMap(({ set, elements }) => [...to.addElements(set, elements)]),
  ];
  return { text: `${text.join('\n')}\n`, messages };
}

void main().then((told) => process.stdout.write(JSON.stringify(told)));
