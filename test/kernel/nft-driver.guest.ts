/** Random tables through both drivers, in a namespace of its own. */
import { execFileSync } from 'node:child_process';
import { NetlinkNftKernel } from '../../src/backends/nftables/driver';
import { NftToolKernel } from '../../src/backends/nftables/driver-nft';
import {
  type NftKernel,
  RefusedWritesError,
  type SetObject,
  type TableWrite,
} from '../../src/backends/nftables/objects';
import { systemClock } from '../../src/host/clock';
import { runCommand } from '../../src/host/command';
import type { Family } from '../../src/model/address';
import { listTable, nft } from '../support/nft-listing';
import { sampleTable, writesOfTable } from '../support/nft-tables';
import { packWrites } from '../support/pack-writes';

async function main(): Promise<unknown> {
  const seed = Number(process.argv[2] ?? '1');
  const told: Record<string, unknown> = {};
  for (const family of ['IPv4', 'IPv6'] as const) {
    const byNetlink = await driverTold(family, seed, new NetlinkNftKernel(family, { queueBytes: 212_992 }));
    const byTool = await driverTold(family, seed, new NftToolKernel(family, runCommand, systemClock));
    told[family] = { byNetlink, byTool };
  }
  return told;
}

async function driverTold(family: Family, seed: number, writer: NftKernel): Promise<unknown> {
  const table = sampleTable(family, seed);
  const steps = packWrites(writesOfTable(table), family);
  for (const step of steps) await writer.write(step);
  const listed = listTable(family);
  const others = toolsOfOthers(family);
  const refused = await refusals(writer, family);
  const isUntouched = JSON.stringify(listTable(family)) === JSON.stringify(listed);
  for (const writes of removals(table.sets.map(({ set }) => set))) await writer.write(writes);
  const emptied = nft('list', 'ruleset');
  await writer.write([{ op: 'delete-table' }]);
  const left = nft('list', 'ruleset');
  writer.close();
  return { listed, others, refused, isUntouched, emptied, left };
}

/** What others do on the node while our table is there: nft with a table of theirs, and iptables. Returns what iptables lists. */
function toolsOfOthers(family: Family): string {
  const word = family === 'IPv4' ? 'ip' : 'ip6';
  const input = `add table ${word} other\nadd chain ${word} other c { type filter hook input priority 0; }\nadd rule ${word} other c drop\n`;
  execFileSync('nft', ['-f', '-'], { input });
  nft('list', 'ruleset');
  nft('-j', 'list', 'ruleset');
  nft('delete', 'table', word, 'other');
  const iptables = `${word}tables-nft`;
  execFileSync(iptables, ['-N', 'THEIRS']);
  const rules = execFileSync(iptables, ['-S'], { encoding: 'utf8' });
  execFileSync(`${iptables}-save`);
  nft('delete', 'table', word, 'filter');
  return rules;
}

/** Whether the kernel lets go of each, and in which order. */
function removals(sets: readonly SetObject[]): readonly (readonly TableWrite[])[] {
  const chains = nft('list', 'chains')
    .split('\n')
    .flatMap((line) => /^\tchain (\S+) \{/.exec(line)?.[1] ?? []);
  return [
    chains.map((chain) => ({ op: 'set-rules', chain, rules: [] })),
    sets.map(({ name }) => ({ op: 'delete-set', set: name })),
    chains.filter((chain) => chain !== 'filter-input').map((chain) => ({ op: 'delete-chain', chain })),
  ];
}

async function refusals(writer: NftKernel, family: Family): Promise<readonly unknown[]> {
  const vips: SetObject = { name: 'vipwire-services', key: ['address', 'protocol', 'port'], data: 'verdict' };
  const address = family === 'IPv4' ? '192.0.2.1' : '2001:db8::1';
  const told: unknown[] = [];
  for (const writes of [
    [
      { op: 'add-chain', chain: { name: 'vipwire-new' } },
      { op: 'delete-chain', chain: 'vipwire-none' },
      { op: 'set-rules', chain: 'vipwire-new', rules: [{ statements: [{ kind: 'drop' }] }] },
    ],
    [
      { op: 'add-chain', chain: { name: 'vipwire-new' } },
      { op: 'add-elements', set: vips, elements: [{ key: `${address} . tcp . 80`, value: 'goto vipwire-absent' }] },
    ],
  ] satisfies (readonly TableWrite[])[])
    try {
      await writer.write(writes);
      told.push('done');
    } catch (error) {
      told.push(error instanceof RefusedWritesError ? [...error.refused] : String(error));
    }
  return told;
}

void main().then((told) => process.stdout.write(JSON.stringify(told)));
