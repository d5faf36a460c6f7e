import { printElement, printRule } from '../../src/backends/nftables/print';
import { printTableJson } from '../../src/backends/nftables/print-json';
import { families } from '../../src/model/address';
import { parseNftTable } from '../../src/trace/nft-ruleset';
import { printNftElement, printNftRule } from '../../src/trace/nft-text';
import { sampleTable } from '../support/nft-tables';

const seeds = Array.from({ length: 20 }, (_, i) => i + 1);

test.each(families)('%s: what nft prints in JSON, in the words that it takes', (family) => {
  for (const seed of seeds) {
    const sample = sampleTable(family, seed);
    const table = parseNftTable(printTableJson(sample, family), family === 'IPv4' ? 'ip' : 'ip6', 'kube-proxy');
    // nft prints a host without its prefix length.
    for (const { name, rules } of sample.chains)
      expect(table?.chains.get(name)?.rules.map(printNftRule)).toEqual(
        rules.map((rule) => printRule(rule, family).replaceAll(/\/(?:32|128)\b/g, '')),
      );
    // What packets have added is not kept.
    for (const { set, elements } of sample.sets.filter((one) => one.set.dynamicSize === undefined))
      expect([...(table?.sets.get(set.name)?.elements() ?? [])].map(printNftElement)).toEqual(
        elements.map(printElement),
      );
  }
});

test.each([
  [
    { match: { op: 'in', left: { ct: { key: 'state' } }, right: ['established', 'related'] } },
    'ct state established,related',
  ],
  [{ match: { op: '==', left: { '&': [{ meta: { key: 'mark' } }, 255] }, right: 18 } }, 'mark and 0xff 18'],
  [
    { vmap: { key: { meta: { key: 'l4proto' } }, data: { set: [['tcp', { goto: { target: 'a' } }]] } } },
    'meta l4proto vmap { tcp : goto a }',
  ],
  [{ dnat: { addr: '10.244.1.2', port: 80 } }, 'dnat to 10.244.1.2:80'],
  [{ reject: { type: 'tcp reset' } }, 'reject with tcp reset'],
  [
    { set: { op: 'update', elem: { payload: { protocol: 'ip', field: 'saddr' } }, set: '@seen' } },
    'update @seen { ip saddr }',
  ],
  [
    'update @seen { ip saddr . 1:2 timeout 1h30m : meta priority }',
    'update @seen { ip saddr . 1:2 timeout 5400s : meta priority }',
  ],
  ['something { new }', 'something { new }'],
  [{ limit: { rate: 4 } }, '{"limit":{"rate":4}}'],
] as const)('%j', (statement, text) => {
  const rule = { family: 'ip', table: 't', chain: 'c', expr: [statement] };
  const nftables = [
    { table: { family: 'ip', name: 't' } },
    { chain: { family: 'ip', table: 't', name: 'c' } },
    { rule },
  ];
  const table = parseNftTable(JSON.stringify({ nftables }), 'ip', 't');
  expect(table?.chains.get('c')?.rules.map(printNftRule)).toEqual([text]);
});
