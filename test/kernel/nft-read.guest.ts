/** Reads what is in the kernel: random tables, what others changed in one, and one that is written to meanwhile. */
import { execFileSync } from 'node:child_process';
import { NetlinkNftKernel } from '../../src/backends/nftables/driver';
import type { ElementReader, ReadObjects, TableWrite } from '../../src/backends/nftables/objects';
import { printChainText, printSetText, printTableName, printValue } from '../../src/backends/nftables/print';
import type { Family } from '../../src/model/address';
import { nft } from '../support/nft-listing';
import { type SampleTable, sampleTable, writesOfTable } from '../support/nft-tables';
import { packWrites } from '../support/pack-writes';

type Texts = Readonly<Record<string, Readonly<Record<string, string>>>>;

class Elements implements ElementReader {
  readonly sets = new Map<string, Map<string, string>>();
  restarts = 0;

  restart(): void {
    this.restarts++;
    this.sets.clear();
  }

  element(set: string, key: string, value: string): void {
    const of = this.sets.get(set) ?? new Map<string, string>();
    if (of.has(key)) throw new Error(`${set} ${key} came twice`);
    this.sets.set(set, of.set(key, value));
  }

  client(set: string): void {
    throw new Error(`${set} is none of ours`);
  }
}

const sorted = (texts: Iterable<readonly [string, string]>): Readonly<Record<string, string>> =>
  Object.fromEntries([...texts].toSorted(([a], [b]) => (a < b ? -1 : 1)));

function textsOf({ chains, sets }: SampleTable, family: Family): Texts {
  return {
    chains: sorted(chains.map((chain) => [chain.name, printChainText(chain, family)])),
    sets: sorted(sets.map(({ set }) => [set.name, printSetText(set, family)])),
    ...Object.fromEntries(
      sets
        .filter(({ set, elements }) => elements.length > 0 && set.dynamicSize === undefined)
        .map(({ set, elements }) => [
          set.name,
          sorted(elements.map((element) => [element.key, printValue(element)] as const)),
        ]),
    ),
  };
}

async function readTexts(kernel: NetlinkNftKernel): Promise<Texts> {
  const elements = new Elements();
  const objects = await kernel.read(elements);
  return {
    chains: sorted(objects?.chains ?? []),
    sets: sorted(objects?.sets ?? []),
    ...Object.fromEntries([...elements.sets].map(([set, texts]) => [set, sorted(texts)])),
  };
}

async function writeTable(kernel: NetlinkNftKernel, table: SampleTable, family: Family): Promise<void> {
  for (const step of packWrites(writesOfTable(table), family)) await kernel.write(step);
}

async function samplesTold(kernel: NetlinkNftKernel, family: Family): Promise<unknown> {
  const differing: unknown[] = [];
  for (let seed = 1; seed <= 60; seed++) {
    const table = sampleTable(family, seed);
    await writeTable(kernel, table, family);
    const [written, read] = [textsOf(table, family), await readTexts(kernel)];
    if (JSON.stringify(Object.entries(written).toSorted()) !== JSON.stringify(Object.entries(read).toSorted()))
      differing.push({ seed, written, read });
    await kernel.write([{ op: 'delete-table' }]);
  }
  return differing;
}

/** Which texts differ after somebody's command, and that they are ours again once it is undone. */
async function changesTold(kernel: NetlinkNftKernel, family: Family): Promise<unknown> {
  const table = printTableName(family);
  const address = family === 'IPv4' ? '192.0.2.1' : '2001:db8::1';
  const told: Record<string, unknown> = {};
  for (const command of [
    `add rule ${table} nat-prerouting counter`,
    `add rule ${table} nat-postrouting meta l4proto tcp masquerade to :1000-2000`,
    `add rule ${table} nat-prerouting meta l4proto tcp dnat to ${family === 'IPv4' ? address : `[${address}]`}:80`,
    `add rule ${table} filter-input ct state established drop`,
    `add rule ${table} filter-input ct direction original drop`,
    `add rule ${table} filter-input reject with tcp reset`,
    `add rule ${table} filter-input log prefix "x" drop`,
    `add rule ${table} filter-input limit rate 1/second accept`,
    `add rule ${table} filter-input numgen inc mod 2 offset 1 vmap { 1 : drop }`,
    `add chain ${table} filter-input { policy drop; }`,
    `add chain ${table} extra { type route hook output priority 5; }`,
    `add set ${table} extra { type ether_addr; }`,
    `add set ${table} extra { type inet_service; flags interval; }`,
    `add set ${table} extra { type inet_service; flags timeout; }`,
    `add element ${table} vipwire-services { ${address} . icmp . 80 : drop }`,
    `add element ${table} vipwire-services { ${address} . tcp . 80 : jump vipwire-refuse }`,
    `add element ${table} vipwire-cluster-ips { * }`,
  ]) {
    await writeTable(kernel, sampleTable(family, 5), family);
    const before = await readTexts(kernel);
    execFileSync('nft', ['-f', '-'], { input: command });
    told[command.replace(address, 'ADDRESS').replace(table, 'T')] = differences(before, await readTexts(kernel));
    await kernel.write([{ op: 'delete-table' }]);
  }
  return told;
}

function differences(before: Texts, after: Texts): readonly string[] {
  return Object.entries(after).flatMap(([kind, texts]) =>
    Object.entries(texts)
      .filter(([name, text]) => before[kind]?.[name] !== text)
      .map(([name, text]) => `${kind} ${name}: ${text.split('\n').at(-1) ?? ''}`),
  );
}

/** What cannot be what somebody wrote is written away again by its key alone. */
async function foreignElementsTold(kernel: NetlinkNftKernel): Promise<unknown> {
  const table = sampleTable('IPv4', 5);
  await writeTable(kernel, table, 'IPv4');
  const before = await readTexts(kernel);
  nft('add', 'element', 'ip', 'kube-proxy', 'vipwire-services', '{ 192.0.2.1 . icmp . 80 : drop, * : drop }');
  const found = await readTexts(kernel);
  const set = table.sets.find(({ set: { name } }) => name === 'vipwire-services')?.set;
  const old = before['vipwire-services'] ?? {};
  const foreign = Object.keys(found['vipwire-services'] ?? {}).filter((key) => !(key in old));
  if (set === undefined) throw new Error('no such set');
  await kernel.write([{ op: 'delete-elements', set, elements: foreign.map((key) => ({ key })) }]);
  const after = await readTexts(kernel);
  await kernel.write([{ op: 'delete-table' }]);
  return { foreign, isRestored: JSON.stringify(after) === JSON.stringify(before) };
}

/** Somebody writes to another table all the time, with pauses of 20 ms. */
async function busyTold(kernel: NetlinkNftKernel): Promise<unknown> {
  const set = {
    name: 'vipwire-endpoints',
    key: ['address', 'protocol', 'port', 'index'],
    data: ['address', 'port'],
  } as const;
  const elements = Array.from({ length: 20_000 }, (_, i) => ({
    key: `10.96.${i >> 12}.${(i >> 4) & 255} . tcp . 80 . ${i & 15}`,
    value: `10.244.${i >> 8}.${i & 255} . 8080`,
  }));
  const table: readonly TableWrite[] = [
    { op: 'add-table' },
    { op: 'add-set', set },
    { op: 'add-elements', set, elements },
  ];
  for (const step of packWrites(table, 'IPv4')) await kernel.write(step);
  const other = new NetlinkNftKernel('IPv6');
  const over = new AbortController();
  let writes = 0;
  const busy = (async () => {
    for (; !over.signal.aborted; writes++) {
      await other.write([{ op: 'add-table' }]);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  })();
  const counts: number[] = [];
  let objects: ReadObjects | undefined;
  for (let i = 0; i < 5; i++) {
    const read = new Elements();
    objects = await kernel.read(read);
    counts.push(read.sets.get(set.name)?.size ?? 0);
  }
  over.abort();
  await busy;
  other.close();
  return { counts, sets: [...(objects?.sets ?? [])], isBusy: writes > 3 };
}

async function main(): Promise<unknown> {
  const told: Record<string, unknown> = {};
  for (const family of ['IPv4', 'IPv6'] as const) {
    const kernel = new NetlinkNftKernel(family);
    const isAbsent = (await kernel.read(new Elements())) === undefined;
    told[family] = {
      isAbsent,
      differing: await samplesTold(kernel, family),
      changes: await changesTold(kernel, family),
    };
    kernel.close();
  }
  const kernel = new NetlinkNftKernel('IPv4');
  told['foreign'] = await foreignElementsTold(kernel);
  told['busy'] = await busyTold(kernel);
  kernel.close();
  return told;
}

void main().then((told) => process.stdout.write(JSON.stringify(told)));
